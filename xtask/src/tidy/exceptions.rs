//! The list of sizes that are too big and known to be. Each line gives the exact size, so that it has to
//! be lowered when the code shrinks and cannot be raised unseen: the list may only get shorter.

use crate::repo::{self, Finding};
use std::collections::BTreeMap;

/// Where the list is.
pub const FILE: &str = "xtask/exceptions.txt";

/// Known excesses by what they are about (`file PATH`, `function PATH NAME`).
pub struct Exceptions {
    listed: BTreeMap<String, (usize, usize)>,
    findings: Vec<Finding>,
}

impl Exceptions {
    /// Reads the list: `<size> <subject>` a line, `#` starts a comment.
    pub fn parse(text: &str) -> Self {
        let mut exceptions = Self { listed: BTreeMap::new(), findings: Vec::new() };
        for (number, line) in repo::numbered(text) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let entry = line.split_once(' ').and_then(|(size, subject)| Some((size.parse().ok()?, subject.trim().to_owned())));
            match entry {
                Some((size, subject)) => drop(exceptions.listed.insert(subject, (size, number))),
                None => exceptions.findings.push(Finding::new(format!("{FILE}:{number}"), "expected `<size> <subject>`")),
            }
        }
        exceptions
    }

    /// Judges a size against its limit.
    pub fn judge(&mut self, place: &str, subject: &str, size: usize, limit: usize) {
        match self.listed.remove(subject) {
            None if size > limit => {
                self.findings.push(Finding::new(place, format!("{size} lines, at most {limit} are allowed: split it by idea")));
            }
            Some((known, _)) if size > known => {
                self.findings.push(Finding::new(place, format!("grew from {known} to {size} lines; the limit is {limit}")));
            }
            Some((_, number)) if size <= limit => {
                self.findings.push(Finding::new(format!("{FILE}:{number}"), format!("{subject} has {size} lines now: remove this line")));
            }
            Some((known, number)) if size < known => {
                self.findings.push(Finding::new(format!("{FILE}:{number}"), format!("{subject} shrank to {size} lines: write {size}")));
            }
            None | Some(_) => {}
        }
    }

    /// Everything found, with the entries that are about nothing.
    pub fn finish(mut self) -> Vec<Finding> {
        for (subject, (_, number)) in self.listed {
            self.findings.push(Finding::new(format!("{FILE}:{number}"), format!("there is no {subject}: remove this line")));
        }
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(list: &str, size: usize) -> Vec<String> {
        let mut exceptions = Exceptions::parse(list);
        exceptions.judge("a.rs", "file a.rs", size, 800);
        exceptions.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_list_may_only_shrink() {
        assert!(judged("", 800).is_empty());
        assert_eq!(judged("", 801).len(), 1);
        assert!(judged("900 file a.rs # being split", 900).is_empty());
        assert!(judged("900 file a.rs", 901)[0].contains("grew"));
        assert!(judged("900 file a.rs", 850)[0].contains("write 850"));
        assert!(judged("900 file a.rs", 700)[0].contains("remove"));
        assert!(judged("900 file b.rs", 700)[0].contains("there is no file b.rs"));
        assert!(judged("many file a.rs", 1)[0].contains("expected"));
    }
}
