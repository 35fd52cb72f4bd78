//! One campaign: mutate, execute, judge, keep what reaches new code. Stops at the first input that breaks
//! a promise and says how to see it again.

use crate::{
    coverage::Coverage,
    memory,
    mutate::{Random, mutate},
};
use std::{
    cell::RefCell,
    fs,
    io::{Seek, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, Instant},
};

/// Something that reads what others wrote.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name, also of its corpus folder.
    pub name: &'static str,
    /// Reads an input; panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Words of its language.
    pub words: &'static [&'static str],
    /// Longest input.
    pub longest: usize,
    /// Executions of the short campaign: a few seconds unoptimised.
    pub short: u64,
}

/// When to stop.
#[derive(Clone, Copy)]
pub enum Budget {
    /// After so many executions: the same on every machine.
    Executions(u64),
    /// After so long.
    Time(Duration),
}

/// What a campaign without findings has done.
#[derive(Debug)]
pub struct Report {
    /// Executions.
    pub executions: u64,
    /// Edges reached; 0 without coverage counters.
    pub edges: usize,
    /// Inputs in the corpus at the end.
    pub corpus: usize,
}

/// An execution may take so long, also on a busy machine and unoptimised.
const SLOW: Duration = Duration::from_secs(10);

/// Memory an execution may take: a base for tables and buffers, and a multiple of its input.
fn memory_limit(input: usize) -> usize {
    (32 << 20) + 500 * input
}

/// The checked-in inputs of a target.
///
/// # Errors
/// When the folder cannot be read or is empty.
pub fn corpus(target: Target) -> Result<Vec<Vec<u8>>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let inputs: Result<Vec<_>, _> = paths.iter().map(|path| fs::read(path).map_err(|e| format!("{}: {e}", path.display()))).collect();
    inputs.and_then(|inputs| if inputs.is_empty() { Err(format!("{}: no inputs", folder.display())) } else { Ok(inputs) })
}

/// Runs a campaign.
///
/// # Errors
/// The first broken promise, with the file that holds the input.
pub fn run(target: Target, seed: u64, budget: Budget, findings: &Path) -> Result<Report, String> {
    fs::create_dir_all(findings).map_err(|e| format!("{}: {e}", findings.display()))?;
    // Holds the input being executed: a stack overflow ends the process, and this is what remains.
    let current = findings.join(format!("{}.current", target.name));
    let mut now = fs::File::create(&current).map_err(|e| format!("{}: {e}", current.display()))?;
    let mut inputs = corpus(target)?;
    let mut random = Random::new(seed);
    let mut coverage = Coverage::default();
    let mut executions = 0;
    let start = Instant::now();
    let mut queue = inputs.clone();
    loop {
        let input = queue.pop().unwrap_or_else(|| {
            let mut input = random.pick(&inputs).cloned().unwrap_or_default();
            mutate(&mut random, &mut input, &inputs, target.words, target.longest);
            input
        });
        let noted = now.rewind().and_then(|()| now.set_len(0)).and_then(|()| now.write_all(&input));
        noted.map_err(|e| format!("{}: {e}", current.display()))?;
        if let Err(why) = execute(target, &input) {
            let file = findings.join(format!("{}-{seed}-{executions}", target.name));
            fs::write(&file, &input).map_err(|e| format!("{}: {e}", file.display()))?;
            return Err(format!(
                "{}: {why}\ninput of {} bytes: {}\nagain: cargo xtask fuzz replay {} {}",
                target.name,
                input.len(),
                file.display(),
                target.name,
                file.display()
            ));
        }
        executions += 1;
        if coverage.collect() && executions > inputs.len() as u64 {
            inputs.push(input);
        }
        let over = match budget {
            Budget::Executions(most) => executions >= most,
            Budget::Time(longest) => start.elapsed() >= longest,
        };
        if over {
            drop(fs::remove_file(&current));
            return Ok(Report { executions, edges: coverage.edges(), corpus: inputs.len() });
        }
    }
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static WATCHED: RefCell<bool> = const { RefCell::new(false) };
}

/// Executes one input.
///
/// # Errors
/// The promise it breaks.
pub fn execute(target: Target, input: &[u8]) -> Result<(), String> {
    watch_panics();
    memory::reset_peak();
    let before = memory::live();
    let start = Instant::now();
    WATCHED.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    WATCHED.set(false);
    if outcome.is_err() {
        return Err(PANIC.take().unwrap_or_else(|| "panicked".to_owned()));
    }
    let (took, most) = (start.elapsed(), memory::peak().saturating_sub(before));
    if took > SLOW {
        return Err(format!("took {took:?}, at most {SLOW:?} are reasonable"));
    }
    if most > memory_limit(input.len()) {
        return Err(format!("took {most} bytes of memory for an input of {} bytes", input.len()));
    }
    Ok(())
}

/// Keeps the words of panics inside executions from the terminal and for the report.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if WATCHED.with_borrow(|watched| *watched) {
                PANIC.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("portolan-fuzz-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_broken_promise_is_found_and_its_input_kept() {
        let target =
            Target { name: "xml", run: |input| assert!(!input.contains(&b'!'), "an exclamation"), words: &["!"], longest: 100, short: 0 };
        let findings = folder("broken");
        let error = run(target, 7, Budget::Executions(10_000), &findings).unwrap_err();
        assert!(error.contains("an exclamation"), "{error}");
        let kept = fs::read_dir(&findings).unwrap().flatten().find(|e| e.file_name().to_string_lossy().starts_with("xml-7")).unwrap();
        assert!(fs::read(kept.path()).unwrap().contains(&b'!'));
        fs::remove_dir_all(findings).unwrap();
    }

    #[test]
    fn a_target_that_keeps_its_promises_passes() {
        let target = Target { name: "xml", run: |_| {}, words: &[], longest: 100, short: 0 };
        let findings = folder("kept");
        assert_eq!(run(target, 7, Budget::Executions(1000), &findings).unwrap().executions, 1000);
        fs::remove_dir_all(findings).unwrap();
    }
}
