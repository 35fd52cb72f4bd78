//! The receive side: one task per location that looks at the folder, forms batches, submits them,
//! deletes what the engine owns, and lets the engine forget it.
//!
//! **Invariants:** a file is deleted only after its commit; a key is forgotten only after the deletion
//! is durable; a file whose batch failed is left as it was.

use super::{
    config::ReceiveSettings,
    folder::{self, Listing},
    mask::MaskSet,
    remove::{self, Received, Removed, blocking},
    state::{Names, Source},
    take::{Batch, Candidate, NotTaken, Taken, Taker, give_back},
    watch::{Hints, Watch, Watches},
    writers::Writers,
};
use async_trait::async_trait;
use portolan_model::code;
use portolan_sdk::{AdapterError, BatchOperation, OperationStatus, Proxy, ReceiveAdapter, Stop, submit_or_suspend};
use std::{
    collections::VecDeque,
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// So many keys are forgotten in one go, after one sync of the folder.
const FORGET_AT_ONCE: usize = 500;
/// Fewer keys wait for this long when there is other work.
const FORGET_AFTER: Duration = Duration::from_millis(500);
/// First and longest pause after the engine took no batch.
const ENGINE_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// With so many received files that cannot be deleted, no more are taken.
const MOST_UNREMOVED: usize = 200;

/// A receiver of one folder.
pub struct FileReceiver {
    taker: Arc<Taker>,
    masks: MaskSet,
    watches: Arc<Watches>,
}

/// What came out of a piece of work.
enum Done {
    Listed(Result<Listing, String>),
    /// A batch was submitted, or not.
    Submitted(Submission),
    Removed(Removed),
    /// Keys were forgotten, or not.
    Forgotten(Vec<String>, Result<(), AdapterError>),
    Recovered(Result<Removed, AdapterError>),
}

struct Submission {
    batch: Batch,
    /// Files with an in-progress name that could not be taken.
    left_behind: Vec<(OsString, NotTaken)>,
    received: Vec<Received>,
    /// Why the files taken go back into the queue.
    failed: Option<AdapterError>,
}

impl FileReceiver {
    /// A receiver.
    pub fn new(settings: ReceiveSettings, masks: MaskSet, folder: PathBuf, watches: Arc<Watches>) -> Self {
        let hints = Hints::new(masks.clone());
        let writers = Mutex::new(Writers::new(&folder));
        Self { taker: Arc::new(Taker { settings, folder, hints, writers }), masks, watches }
    }
}

#[async_trait]
impl ReceiveAdapter for FileReceiver {
    async fn run(self: Box<Self>, proxy: Proxy, stop: Stop) -> Result<(), AdapterError> {
        let settings = &self.taker.settings;
        if settings.create_folder {
            let folder = self.taker.folder.clone();
            // Whether it worked shows at the first look.
            if let Err(e) = blocking(move || folder::create(&folder)).await {
                tracing::warn!(folder = %self.taker.folder.display(), error = %e, "the receive folder cannot be created");
            }
        }
        Location {
            source: Source::new(proxy.clone()),
            names: Names::default(),
            proxy,
            watch: None,
            polling_only: false,
            work: JoinSet::new(),
            listing: false,
            batches: 0,
            removals: 0,
            forgetting: false,
            recovered: false,
            recovering: false,
            look_at: Instant::now(),
            resume_at: Instant::now(),
            engine_pause: ENGINE_PAUSE.0,
            singly: 0,
            forget: Vec::new(),
            forget_at: None,
            left_behind: VecDeque::new(),
            look_left_behind: true,
            unremoved: Vec::new(),
            folder: 0,
            receiver: *self,
            stop,
        }
        .run()
        .await
    }
}

/// A location at work.
struct Location {
    receiver: FileReceiver,
    proxy: Proxy,
    stop: Stop,
    source: Source,
    names: Names,
    /// Notifications, and device and inode of the folder they are for.
    watch: Option<(Watch, (u64, u64))>,
    /// Notifications do not work, and the log says so.
    polling_only: bool,
    work: JoinSet<Done>,
    listing: bool,
    batches: usize,
    removals: usize,
    forgetting: bool,
    /// Whether files of the time before a crash were dealt with.
    recovered: bool,
    recovering: bool,
    /// When to look at the folder next.
    look_at: Instant,
    /// When to submit again after the engine took no batch.
    resume_at: Instant,
    engine_pause: Duration,
    /// So many files are submitted one by one.
    singly: usize,
    /// Keys of deleted files.
    forget: Vec<String>,
    forget_at: Option<Instant>,
    /// Files with an in-progress name that nobody works on.
    left_behind: VecDeque<OsString>,
    look_left_behind: bool,
    /// Received files that cannot be deleted.
    unremoved: Vec<Received>,
    /// Inode of the folder; 0 before the first look.
    folder: u64,
}

impl Location {
    async fn run(mut self) -> Result<(), AdapterError> {
        let mut stop = self.stop.clone();
        while !*stop.borrow() {
            self.hear();
            self.start_work();
            let wake = self.next_wake();
            let hints = self.receiver.taker.hints.clone();
            tokio::select! {
                biased;
                changed = stop.changed() => if changed.is_err() { break },
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    if let Err(given_up) = self.done(finished(done)) {
                        self.finish().await;
                        return Err(given_up);
                    }
                }
                () = hints.wait() => {}
                () = sleep_until(wake) => {}
            }
        }
        self.finish().await;
        Ok(())
    }

    /// Takes over what the operating system told.
    fn hear(&mut self) {
        let news = self.receiver.taker.hints.take();
        if news.lost {
            self.watch = None;
        }
        if news.look {
            self.look_at = Instant::now();
        }
        self.names.announced(news.names);
    }

    /// Starts whatever can be done now.
    fn start_work(&mut self) {
        let now = Instant::now();
        if !self.listing && now >= self.look_at && (self.names.is_drained() || !self.can_take()) {
            self.look();
        }
        if !self.recovered && !self.recovering && self.folder != 0 && self.batches + self.removals == 0 && !self.forgetting {
            self.start_recovery();
        }
        let settings = &self.receiver.taker.settings;
        let (most, count) = (settings.max_batches_in_flight as usize, settings.batch_count as usize);
        self.names.wake_held();
        while self.can_take() && now >= self.resume_at && self.batches < most && self.removals < 2 * most {
            let left_behind: Vec<OsString> = self.left_behind.drain(..self.left_behind.len().min(count)).collect();
            if !left_behind.is_empty() {
                self.start_batch(Vec::new(), left_behind);
                continue;
            }
            let candidates = self.names.next(if self.singly > 0 { 1 } else { count });
            self.singly = self.singly.saturating_sub(1);
            if candidates.is_empty() {
                break;
            }
            self.start_batch(candidates, Vec::new());
        }
        let due = self.forget.len() >= FORGET_AT_ONCE || self.forget_at.is_some_and(|at| now >= at);
        if due && !self.forgetting {
            self.start_forgetting();
        }
    }

    /// Whether files may be taken at all.
    fn can_take(&self) -> bool {
        self.recovered && !self.source.is_failing() && self.source.unremoved_count() < MOST_UNREMOVED
    }

    fn next_wake(&self) -> Instant {
        let mut wake = if self.listing { Instant::now() + Duration::from_secs(3600) } else { self.look_at };
        if !self.names.is_drained() && self.can_take() {
            // The queue waits for a free batch, which wakes us, or for the engine.
            wake = if self.resume_at > Instant::now() { self.resume_at } else { Instant::now() + Duration::from_secs(3600) };
        }
        if let Some(held) = self.names.next_held() {
            wake = wake.min(held);
        }
        if let (false, Some(forget)) = (self.forgetting, self.forget_at) {
            wake = wake.min(forget);
        }
        wake
    }

    fn look(&mut self) {
        self.listing = true;
        let (folder, masks) = (self.receiver.taker.folder.clone(), self.receiver.masks.clone());
        self.work.spawn(async move { Done::Listed(blocking(move || folder::list(&folder, &masks)).await) });
    }

    fn start_batch(&mut self, candidates: Vec<Candidate>, left_behind: Vec<OsString>) {
        self.batches += 1;
        let (taker, proxy, folder) = (self.receiver.taker.clone(), self.proxy.clone(), self.folder);
        self.work.spawn(async move { Done::Submitted(submit(taker, proxy, folder, candidates, left_behind).await) });
    }

    fn start_removal(&mut self, files: Vec<Received>) {
        self.removals += 1;
        let (taker, stop) = (self.receiver.taker.clone(), self.stop.clone());
        self.work.spawn(async move { Done::Removed(remove::remove_all(&taker.settings, &taker.folder, files, stop).await) });
    }

    fn start_forgetting(&mut self) {
        self.forgetting = true;
        self.forget_at = None;
        let mut keys = std::mem::take(&mut self.forget);
        keys.sort_unstable();
        keys.dedup();
        let (folder, proxy) = (self.receiver.taker.folder.clone(), self.proxy.clone());
        self.work.spawn(async move {
            let result = forget(&proxy, folder, &keys).await;
            Done::Forgotten(keys, result)
        });
    }

    fn start_recovery(&mut self) {
        self.recovering = true;
        let (location, inode, proxy) = (self.receiver.taker.folder.clone(), self.folder, self.proxy.clone());
        self.work.spawn(async move {
            let keys = match proxy.remembered().await {
                Ok(keys) => keys,
                Err(e) => return Done::Recovered(Err(e)),
            };
            let result = blocking(move || remove::recover(&location, inode, keys)).await;
            Done::Recovered(result.map_err(|e| AdapterError::temporary(code::LOCATION_FAILED, format!("the folder cannot be synced: {e}"))))
        });
    }

    fn done(&mut self, done: Done) -> Result<(), AdapterError> {
        match done {
            Done::Listed(result) => return self.listed(result),
            Done::Submitted(submission) => self.submitted(submission),
            Done::Removed(removed) => self.removed(removed),
            Done::Forgotten(keys, result) => {
                self.forgetting = false;
                if let Err(e) = result {
                    tracing::debug!(error = %e, "deleted files are not forgotten yet");
                    self.forget.extend(keys);
                    self.forget_at = Some(Instant::now() + ENGINE_PAUSE.1);
                }
            }
            Done::Recovered(Ok(removed)) => {
                self.recovering = false;
                self.recovered = true;
                self.forget_soon(removed.forget);
                self.keep_unremoved(removed.stays);
            }
            Done::Recovered(Err(e)) => {
                tracing::warn!(error = %e, "what was received before the last stop is not known yet");
                self.recovering = false;
                self.folder = 0;
                self.look_at = Instant::now() + ENGINE_PAUSE.1;
            }
        }
        Ok(())
    }

    fn listed(&mut self, result: Result<Listing, String>) -> Result<(), AdapterError> {
        self.listing = false;
        let settings = &self.receiver.taker.settings;
        self.look_at = Instant::now() + settings.polling_interval();
        let listing = match result {
            Ok(listing) => listing,
            Err(message) => {
                self.look_at = Instant::now() + settings.folder_retry_interval();
                self.watch = None;
                let failures = self.source.failed(&message);
                return match settings.network_retry_count {
                    Some(most) if failures > most => Err(AdapterError::permanent(
                        code::LOCATION_FAILED,
                        format!("{message}; tried {failures} times, given up as network_retry_count says"),
                    )),
                    _ => Ok(()),
                };
            }
        };
        if self.source.unremoved_count() < MOST_UNREMOVED {
            self.source.works();
        } else {
            self.source.failed(&format!("{MOST_UNREMOVED} received files cannot be deleted; no more are received until they can"));
        }
        let new_folder = self.folder != listing.folder;
        self.folder = listing.folder;
        if new_folder {
            self.recovered = false;
            self.look_left_behind = true;
        }
        if std::mem::take(&mut self.look_left_behind) {
            let masks = &self.receiver.masks;
            let abandoned = |name: &OsString| masks.left_behind(name).is_some_and(|original| !self.names.is_busy(original));
            self.left_behind = listing.left_behind.into_iter().filter(abandoned).collect();
        }
        self.names.listed(listing.names);
        self.rearm((listing.device, listing.folder));
        let unremoved = std::mem::take(&mut self.unremoved);
        if !unremoved.is_empty() {
            self.start_removal(unremoved);
        }
        Ok(())
    }

    /// Sees to it that notifications are for the folder that is there now.
    fn rearm(&mut self, folder: (u64, u64)) {
        let taker = &self.receiver.taker;
        if taker.settings.network_folder || self.watch.as_ref().is_some_and(|(_, watched)| *watched == folder) {
            return;
        }
        self.watch = None;
        match self.receiver.watches.watch(&taker.folder, &taker.hints) {
            Ok(watch) => {
                self.watch = Some((watch, folder));
                self.polling_only = false;
                // What came between the listing and the watch would be met at the next look only.
                self.look_at = Instant::now();
            }
            Err(e) if !std::mem::replace(&mut self.polling_only, true) => tracing::warn!(error = %e, "new files are met by polling only"),
            Err(_) => {}
        }
    }

    fn submitted(&mut self, submission: Submission) {
        self.batches -= 1;
        let Submission { batch, left_behind, received, failed } = submission;
        for (name, reason) in left_behind {
            // Another server may work on it, or it may become readable: look again next time.
            self.look_left_behind |= reason != NotTaken::Ignored;
            if let NotTaken::Unreadable(why) = reason {
                self.source.left_behind(&self.receiver.taker.folder.join(name), &why);
            }
        }
        self.names.requeue(batch.rest);
        if batch.folder_lost {
            self.names.clear();
            self.look_at = Instant::now();
        }
        for (name, reason) in batch.not_taken {
            self.names.not_taken(name, reason, &self.receiver.taker.folder, &self.source);
        }
        match failed {
            None => self.engine_pause = ENGINE_PAUSE.0,
            Some(e) => self.batch_failed(batch.taken, &e),
        }
        if !received.is_empty() {
            self.start_removal(received);
        }
    }

    /// A batch was not taken in: its files are as they were and are tried again.
    fn batch_failed(&mut self, taken: Vec<Taken>, error: &AdapterError) {
        tracing::debug!(%error, files = taken.len(), "a batch was not taken in and will be tried again");
        self.look_left_behind |= self.receiver.taker.settings.rename_received_files;
        // The engine broke off over one of the messages: find out which, and let it not hold up the others.
        if error.code == code::PIPELINE_FAILED {
            self.singly = taken.len();
            if let [poison] = &taken[..] {
                let reason = NotTaken::Poisonous(format!("the engine cannot take it in: {error}"));
                self.names.not_taken(poison.name.clone(), reason, &self.receiver.taker.folder, &self.source);
                return;
            }
        } else {
            // The engine itself tells operators about its trouble.
            self.resume_at = Instant::now() + self.engine_pause;
            self.engine_pause = (self.engine_pause * 2).min(ENGINE_PAUSE.1);
        }
        taken.into_iter().for_each(|taken| self.names.release(taken.name, true));
    }

    fn removed(&mut self, removed: Removed) {
        self.removals -= 1;
        for path in &removed.changed {
            self.source
                .item(code::FILE_LOCKED, format!("{} was written to while it was received; it will be received again", path.display()));
        }
        for (name, path) in removed.free {
            self.source.freed(&path);
            let again = removed.changed.contains(&path);
            self.names.release(name, again);
        }
        self.forget_soon(removed.forget);
        self.keep_unremoved(removed.stays);
    }

    fn forget_soon(&mut self, keys: Vec<String>) {
        if !keys.is_empty() {
            self.forget.extend(keys);
            self.forget_at.get_or_insert(Instant::now() + FORGET_AFTER);
        }
    }

    fn keep_unremoved(&mut self, files: Vec<(Received, Option<String>)>) {
        for (file, why) in files {
            self.names.keep_busy(&file.name);
            self.left_behind.retain(|name| Some(name.as_os_str()) != file.path.file_name());
            match why {
                Some(why) => self.source.unremoved(&file.path, &why),
                // That is the folder's trouble.
                None => self.look_at = Instant::now(),
            }
            self.unremoved.retain(|other| other.key != file.key);
            self.unremoved.push(file);
        }
    }

    /// Waits for what is under way, so that nothing is left undeleted or unforgotten without need.
    async fn finish(&mut self) {
        while let Some(done) = self.work.join_next().await {
            // A folder that cannot be listed no longer matters.
            let _ = self.done(finished(done));
        }
        if !self.forget.is_empty() {
            let keys = std::mem::take(&mut self.forget);
            if let Err(e) = forget(&self.proxy, self.receiver.taker.folder.clone(), &keys).await {
                tracing::debug!(error = %e, "deleted files will be forgotten at the next start");
            }
        }
    }
}

fn finished(done: Result<Done, tokio::task::JoinError>) -> Done {
    match done {
        Ok(done) => done,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

/// Reads and submits one batch.
async fn submit(taker: Arc<Taker>, proxy: Proxy, folder: u64, candidates: Vec<Candidate>, left_behind: Vec<OsString>) -> Submission {
    let reading = taker.clone();
    let (mut batch, left_behind) = blocking(move || {
        let mut batch = reading.take(folder, candidates);
        let mut not_taken = Vec::new();
        for name in left_behind {
            match reading.take_left_behind(folder, &name) {
                Ok(taken) => batch.taken.push(taken),
                Err(reason) => not_taken.push((name, reason)),
            }
        }
        (batch, not_taken)
    })
    .await;
    let messages = batch.taken.iter().map(|taken| taken.message.clone()).collect();
    match submit_or_suspend(&proxy, messages).await {
        Ok(statuses) => {
            let received = batch.taken.drain(..).zip(statuses).map(|(taken, status)| received(taken, &status)).collect();
            Submission { batch, left_behind, received, failed: None }
        }
        Err(e) => {
            batch = blocking(move || {
                for taken in batch.taken.iter().filter(|taken| taken.claim.is_some()) {
                    give_back(&taken.path, &taker.folder.join(&taken.name));
                }
                batch
            })
            .await;
            Submission { batch, left_behind, received: Vec::new(), failed: Some(e) }
        }
    }
}

fn received(taken: Taken, status: &OperationStatus) -> Received {
    if let OperationStatus::Duplicate = status {
        tracing::info!(file = %taken.path.display(), "the file was taken in before and is only deleted");
    }
    let key = taken.message.receive_key.unwrap_or_default();
    Received { name: taken.name, path: taken.path, identity: taken.identity, key, claim: taken.claim }
}

/// Makes deletions durable, then lets the engine forget.
async fn forget(proxy: &Proxy, folder: PathBuf, keys: &[String]) -> Result<(), AdapterError> {
    let failed = |what: String| AdapterError::temporary(code::LOCATION_FAILED, what);
    blocking(move || folder::sync(&folder).map_err(|e| format!("folder {} cannot be synced: {e}", folder.display())))
        .await
        .map_err(failed)?;
    let outcome = proxy.execute(keys.iter().cloned().map(BatchOperation::Forget).collect()).await?;
    if outcome.committed { Ok(()) } else { Err(failed("the engine did not forget".to_owned())) }
}
