//! Edge counters that the compiler adds when built by `cargo xtask fuzz`; without them there is simply
//! no coverage. The only place that touches the counters' memory.

use std::sync::Mutex;

/// Counter arrays, one for each object file: address and length.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called by each instrumented object file before `main`.
#[allow(unsafe_code)]
mod registration {
    // SAFETY: the name and signature are those of LLVM's SanitizerCoverage; the address range it passes
    // lives as long as the process.
    #[unsafe(no_mangle)]
    extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
        if let Ok(mut counters) = super::COUNTERS.lock() {
            let known = counters.iter().any(|(at, _)| *at == start as usize);
            if !known && end > start {
                counters.push((start as usize, end as usize - start as usize));
            }
        }
    }
}

/// What the executions of a campaign have reached so far.
#[derive(Default)]
pub struct Coverage {
    /// For each edge, the hit counts seen, one bit for each power of two.
    seen: Vec<u8>,
    edges: usize,
}

impl Coverage {
    /// Number of different edges reached.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.edges
    }

    /// Whether this build has counters.
    #[must_use]
    pub fn available() -> bool {
        COUNTERS.lock().is_ok_and(|counters| !counters.is_empty())
    }

    /// Takes in the counters of the last execution and clears them; true when it reached something new.
    pub fn collect(&mut self) -> bool {
        let Ok(counters) = COUNTERS.lock() else { return false };
        let mut new = false;
        let mut at = 0;
        for (start, length) in counters.iter().copied() {
            if self.seen.len() < at + length {
                self.seen.resize(at + length, 0);
            }
            for (slot, seen) in counters_of(start, length).zip(&mut self.seen[at..at + length]) {
                let count = slot.replace(0);
                if count == 0 {
                    continue;
                }
                let class = 1 << count.ilog2();
                if *seen & class == 0 {
                    self.edges += usize::from(*seen == 0);
                    *seen |= class;
                    new = true;
                }
            }
            at += length;
        }
        new
    }
}

/// The counters of one object file.
#[allow(unsafe_code)]
fn counters_of(start: usize, length: usize) -> impl Iterator<Item = &'static std::cell::Cell<u8>> {
    // SAFETY: the range was given to us by the instrumented code, is never freed, and consists of bytes,
    // which are valid for every bit pattern. Campaigns run on one thread; a lost increment of another
    // thread would only lose a little guidance.
    (0..length).map(move |offset| unsafe { &*((start + offset) as *const std::cell::Cell<u8>) })
}
