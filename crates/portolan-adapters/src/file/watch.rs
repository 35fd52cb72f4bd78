//! Notifications: the operating system tells of files that come into a folder. They are hints only; the
//! location looks at the folder regularly all the same. One watcher serves all locations of the process.
//!
//! The callbacks run on the watcher's thread: they must never block or touch a file.

use super::mask::MaskSet;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, MetadataKind, ModifyKind, RenameMode},
};
use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Most names kept for a location that does not come to fetch them; then it has to look for itself.
const MOST_NAMES: usize = 100_000;
/// A file that was written to and not closed counts as being written for so long after the last write.
const WRITING: Duration = Duration::from_secs(60);

/// What is known of new files in one folder.
#[derive(Debug)]
pub struct Hints {
    masks: MaskSet,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Names to look at; `true`: complete, as it was moved in.
    names: BTreeMap<OsString, bool>,
    /// Files written to and not closed since.
    writing: HashMap<OsString, Instant>,
    look: bool,
    lost: bool,
}

/// What the operating system told since the last time.
#[derive(Debug, Default)]
pub struct News {
    /// Names to look at; `true`: complete.
    pub names: BTreeMap<OsString, bool>,
    /// Look at the whole folder: some news were lost.
    pub look: bool,
    /// The folder itself went away, and its watch with it.
    pub lost: bool,
}

impl Hints {
    /// Nothing known yet.
    pub fn new(masks: MaskSet) -> Arc<Self> {
        Arc::new(Self { masks, state: Mutex::default(), wake: Notify::new() })
    }

    /// What is new since the last time.
    pub fn take(&self) -> News {
        let mut state = self.lock();
        state.writing.retain(|_, last| last.elapsed() < WRITING);
        News { names: std::mem::take(&mut state.names), look: std::mem::take(&mut state.look), lost: std::mem::take(&mut state.lost) }
    }

    /// Waits for a hint.
    pub async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Whether the file was written to and not closed since.
    pub fn is_being_written(&self, name: &OsStr) -> bool {
        self.lock().writing.get(name).is_some_and(|last| last.elapsed() < WRITING)
    }

    fn tell(&self, what: Told, name: &OsStr) {
        if !self.masks.takes(name) {
            return;
        }
        let mut state = self.lock();
        match what {
            Told::Written => {
                state.writing.insert(name.to_owned(), Instant::now());
                return;
            }
            Told::Gone => {
                state.writing.remove(name);
                state.names.remove(name);
                return;
            }
            Told::Complete => {
                state.writing.remove(name);
                state.names.insert(name.to_owned(), true);
            }
            Told::Closed => {
                state.writing.remove(name);
                state.names.entry(name.to_owned()).or_insert(false);
            }
            Told::Appeared => {
                state.names.entry(name.to_owned()).or_insert(false);
            }
        }
        if state.names.len() > MOST_NAMES {
            state.names.clear();
            state.look = true;
        }
        drop(state);
        self.wake.notify_one();
    }

    fn look_again(&self, lost: bool) {
        let mut state = self.lock();
        state.look = true;
        state.lost |= lost;
        state.writing.clear();
        drop(state);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
enum Told {
    Appeared,
    Written,
    Closed,
    Complete,
    Gone,
}

/// Who wants to know of which folder.
type Listeners = Arc<Mutex<HashMap<PathBuf, Vec<Arc<Hints>>>>>;

/// The process's watcher and who wants to know. The two have separate locks: the watcher waits for its
/// own thread, which calls back here.
#[derive(Default)]
pub struct Watches {
    watcher: Arc<Mutex<Option<RecommendedWatcher>>>,
    listeners: Listeners,
}

/// A folder being watched; the watch ends when this is dropped.
pub struct Watch {
    watcher: Arc<Mutex<Option<RecommendedWatcher>>>,
    listeners: Listeners,
    folder: PathBuf,
    hints: Arc<Hints>,
}

impl Watches {
    /// Watches a folder from now on. Blocks for a moment.
    ///
    /// # Errors
    /// In words, when the system has no more watches or the folder cannot be watched.
    pub fn watch(&self, folder: &Path, hints: &Arc<Hints>) -> Result<Watch, String> {
        let mut watcher = lock(&self.watcher);
        if watcher.is_none() {
            let listeners = self.listeners.clone();
            let new = notify::recommended_watcher(move |event| dispatch(&lock(&listeners), event));
            *watcher = Some(new.map_err(|e| format!("file notifications are not available: {e}"))?);
        }
        lock(&self.listeners).entry(folder.to_owned()).or_default().push(hints.clone());
        let watch =
            Watch { watcher: self.watcher.clone(), listeners: self.listeners.clone(), folder: folder.to_owned(), hints: hints.clone() };
        let result = match watcher.as_mut() {
            Some(watcher) => watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|e| e.to_string()),
            None => Err("there is no watcher".to_owned()),
        };
        drop(watcher);
        result.map_err(|e| format!("folder {} cannot be watched: {e}", folder.display())).map(|()| watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watcher = lock(&self.watcher);
        let mut listeners = lock(&self.listeners);
        let Some(of_folder) = listeners.get_mut(&self.folder) else { return };
        if let Some(at) = of_folder.iter().position(|h| Arc::ptr_eq(h, &self.hints)) {
            of_folder.swap_remove(at);
        }
        if of_folder.is_empty() {
            listeners.remove(&self.folder);
            drop(listeners);
            if let Some(watcher) = watcher.as_mut() {
                // The folder may be gone, and its watch with it.
                let _ = watcher.unwatch(&self.folder);
            }
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dispatch(listeners: &HashMap<PathBuf, Vec<Arc<Hints>>>, event: notify::Result<Event>) {
    let Some(event) = event.ok().filter(|event| !event.need_rescan()) else {
        // Events were lost: everybody looks for themselves.
        listeners.values().flatten().for_each(|h| h.look_again(false));
        return;
    };
    let Some(told) = told(&event.kind) else { return };
    for path in &event.paths {
        if let Some(of_folder) = listeners.get(path) {
            let gone = matches!(told, Told::Gone);
            of_folder.iter().for_each(|h| h.look_again(gone));
        } else if let (Some(folder), Some(name)) = (path.parent(), path.file_name())
            && let Some(of_folder) = listeners.get(folder)
        {
            of_folder.iter().for_each(|h| h.tell(told, name));
        }
    }
}

fn told(kind: &EventKind) -> Option<Told> {
    Some(match kind {
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Told::Complete,
        // Its writer may open it again to add to it: the quiet period decides.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Told::Closed,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Told::Gone,
        EventKind::Modify(ModifyKind::Data(_)) => Told::Written,
        EventKind::Create(CreateKind::Folder) => return None,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any | MetadataKind::Permissions)) => Told::Appeared,
        _ => return None,
    })
}
