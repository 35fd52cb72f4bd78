//! What a location knows: which files wait, which are under way, which are held back and until when,
//! and what operators were told. No file is touched here.

use super::take::{Candidate, NotTaken, Stamp};
use portolan_model::{Code, code};
use portolan_sdk::{Proxy, SourceNotice};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// First and longest pause before a file that cannot be read is looked at again.
const HOLD: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Operators are told of a locked file only when it stays locked for so long: a writer takes its time.
const LOCKED_FOR: Duration = Duration::from_secs(60);

/// The names of a folder and what is known of them.
#[derive(Debug, Default)]
pub struct Names {
    /// To be taken, in order of name; `true`: known to be complete.
    queue: BTreeMap<OsString, bool>,
    /// Under way, or received and not yet deleted.
    busy: HashSet<OsString>,
    /// Busy names that were announced again meanwhile, perhaps for a new file; `true`: complete.
    announced: HashMap<OsString, bool>,
    held: HashMap<OsString, Held>,
}

#[derive(Debug)]
struct Held {
    since: Instant,
    due: Instant,
    pause: Duration,
    seen: Option<(Stamp, std::time::Instant)>,
    told: bool,
    /// Announcements do not shorten the pause: some are echoes of giving the file its name back.
    patient: bool,
}

impl Names {
    /// Whether nothing waits to be taken.
    pub fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes over what the operating system announced.
    pub fn announced(&mut self, names: BTreeMap<OsString, bool>) {
        for (name, complete) in names {
            if self.busy.contains(&name) {
                *self.announced.entry(name).or_default() |= complete;
            } else if self.held.get(&name).is_some_and(|held| held.patient) {
                continue;
            } else if complete {
                self.held.remove(&name);
                self.queue.insert(name, true);
            } else if let Some(held) = self.held.get_mut(&name) {
                // Perhaps its permissions were changed.
                held.due = Instant::now();
            } else {
                self.queue.entry(name).or_insert(false);
            }
        }
    }

    /// Takes over a listing of the folder.
    pub fn listed(&mut self, names: Vec<OsString>) {
        if !self.held.is_empty() {
            let there: HashSet<&OsString> = names.iter().collect();
            self.held.retain(|name, _| there.contains(name));
        }
        for name in names {
            if !self.busy.contains(&name) && !self.held.contains_key(&name) {
                self.queue.entry(name).or_insert(false);
            }
        }
    }

    /// Whether the name is under way.
    pub fn is_busy(&self, name: &OsStr) -> bool {
        self.busy.contains(name)
    }

    /// The next candidates; they are busy from now on.
    pub fn next(&mut self, count: usize) -> Vec<Candidate> {
        let mut candidates = Vec::with_capacity(count);
        while candidates.len() < count
            && let Some((name, complete)) = self.queue.pop_first()
        {
            self.busy.insert(name.clone());
            let seen = self.held.get(&name).and_then(|held| held.seen);
            candidates.push(Candidate { name, complete, seen });
        }
        candidates
    }

    /// Nothing waits any more: the folder has to be looked at again.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// Puts back candidates that nobody looked at.
    pub fn requeue(&mut self, candidates: Vec<Candidate>) {
        for candidate in candidates {
            self.busy.remove(&candidate.name);
            let complete = self.announced.remove(&candidate.name).unwrap_or_default() || candidate.complete;
            self.queue.insert(candidate.name, complete);
        }
    }

    /// This name is no longer under way. `again`: there is a file of that name to be taken.
    pub fn release(&mut self, name: OsString, again: bool) {
        self.busy.remove(&name);
        self.held.remove(&name);
        let announced = self.announced.remove(&name);
        if announced.is_some() || again {
            self.queue.insert(name, announced.unwrap_or_default());
        }
    }

    /// This name must not be taken until it is released.
    pub fn keep_busy(&mut self, name: &OsStr) {
        self.queue.remove(name);
        self.busy.insert(name.to_owned());
    }

    /// A candidate was not taken: holds it back, and tells operators once when they must know.
    pub fn not_taken(&mut self, name: OsString, reason: NotTaken, folder: &Path, source: &Source) {
        self.busy.remove(&name);
        if reason == NotTaken::EmptyDeleted {
            source.item(code::FILE_EMPTY, format!("the empty file {} was deleted without processing", folder.join(&name).display()));
        }
        let patient = matches!(reason, NotTaken::Poisonous(_));
        let announced = self.announced.remove(&name).filter(|_| !patient);
        if announced == Some(true) || announced.is_some() && matches!(reason, NotTaken::Ignored | NotTaken::EmptyDeleted) {
            // What was seen is out of date.
            self.held.remove(&name);
            self.queue.insert(name, announced.unwrap_or_default());
            return;
        }
        let shown = folder.join(&name);
        let (pause, seen, trouble) = match reason {
            NotTaken::Ignored | NotTaken::EmptyDeleted => {
                self.held.remove(&name);
                return;
            }
            NotTaken::Unsettled(stamp, after) => (Some(after), Some(stamp), None),
            NotTaken::Locked(why) => (None, None, Some((why, LOCKED_FOR))),
            NotTaken::Unreadable(why) | NotTaken::Poisonous(why) => (None, None, Some((why, Duration::ZERO))),
        };
        let now = Instant::now();
        let held = self.held.entry(name).or_insert(Held { since: now, due: now, pause: HOLD.0, seen: None, told: false, patient });
        held.patient = patient;
        if let Some(stamp) = seen
            && held.seen.is_none_or(|(before, _)| before != stamp)
        {
            held.seen = Some((stamp, std::time::Instant::now()));
        }
        if let Some((why, told_after)) = trouble
            && !held.told
            && now.duration_since(held.since) >= told_after
        {
            held.told = true;
            source.item(
                code::FILE_LOCKED,
                format!("{} is not received: {why}; it is tried again until it works or the file is gone", shown.display()),
            );
        }
        // Closed meanwhile, perhaps, or its permissions were changed.
        let at_once = announced.is_some() && pause.is_none();
        held.due = if at_once { now } else { now + pause.unwrap_or(held.pause) };
        if pause.is_none() {
            held.pause = (held.pause * 2).min(HOLD.1);
        }
    }

    /// Puts held names whose time has come back into the queue.
    pub fn wake_held(&mut self) {
        let now = Instant::now();
        for (name, held) in &mut self.held {
            if held.due <= now && !self.busy.contains(name) {
                // Until the look at it says otherwise.
                held.due = now + HOLD.1;
                self.queue.entry(name.clone()).or_insert(false);
            }
        }
    }

    /// When the next held name is due.
    pub fn next_held(&self) -> Option<Instant> {
        self.held.iter().filter(|(name, _)| !self.busy.contains(*name)).map(|(_, held)| held.due).min()
    }
}

/// The state of the source as operators know it.
pub struct Source {
    proxy: Proxy,
    failures: u32,
    unremoved: HashSet<PathBuf>,
    left_behind: HashSet<PathBuf>,
}

impl Source {
    /// A source that works as far as anybody knows.
    pub fn new(proxy: Proxy) -> Self {
        Self { proxy, failures: 0, unremoved: HashSet::new(), left_behind: HashSet::new() }
    }

    /// Whether the folder cannot be used now.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// The folder cannot be used; operators are told once. Returns how often in a row.
    pub fn failed(&mut self, message: &str) -> u32 {
        if self.failures == 0 {
            self.proxy.notice(SourceNotice::Failing { code: code::LOCATION_FAILED, message: message.to_owned() });
        }
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// The folder can be used.
    pub fn works(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            self.proxy.notice(SourceNotice::Recovered);
        }
    }

    /// Something about one file.
    pub fn item(&self, code: Code, message: String) {
        self.proxy.notice(SourceNotice::Item { code, message });
    }

    /// A received file cannot be deleted; operators are told once.
    pub fn unremoved(&mut self, path: &Path, why: &str) {
        if self.unremoved.insert(path.to_owned()) {
            let path = path.display();
            self.item(
                code::FILE_NOT_REMOVED,
                format!(
                    "{path} was received but cannot be deleted: {why}. It is not received again; its deletion is tried again until it works"
                ),
            );
        }
    }

    /// A file with an in-progress name cannot be read; operators are told once.
    pub fn left_behind(&mut self, path: &Path, why: &str) {
        if self.left_behind.insert(path.to_owned()) {
            let path = path.display();
            self.item(
                code::FILE_LOCKED,
                format!(
                    "{path}, left behind by an earlier run, is not received: {why}; it is tried again until it works or the file is gone"
                ),
            );
        }
    }

    /// Files that were received and cannot be deleted.
    pub fn unremoved_count(&self) -> usize {
        self.unremoved.len()
    }

    /// A file is gone.
    pub fn freed(&mut self, path: &Path) {
        self.unremoved.remove(path);
    }
}
