//! Receiving when things go wrong: crashes, folders that go away, files that cannot be read or deleted.

use super::engine::{Engine, Running, names, pause, put, until};
use portolan_model::system;
use serde_json::json;
use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

fn engine() -> (Arc<Engine>, tempfile::TempDir) {
    (Arc::default(), tempfile::tempdir().unwrap())
}

/// Starts a location that dies between the commit of its first batch and the answer.
async fn crash_after_commit(engine: &Arc<Engine>, folder: &Path, settings: serde_json::Value) {
    engine.crash.store(true, Ordering::SeqCst);
    let count = engine.count();
    let location = Running::start(engine, folder, settings);
    until("the batch is committed", || engine.count() > count).await;
    location.kill().await;
    engine.crash.store(false, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_between_commit_and_deletion_no_file_is_taken_twice() {
    for rename in [false, true] {
        let (engine, dir) = engine();
        let settings = json!({ "rename_received_files": rename, "max_batches_in_flight": 1 });
        for i in 0..30 {
            put(dir.path(), &format!("{i:02}.xml"), format!("{i:02}"));
        }
        crash_after_commit(&engine, dir.path(), settings.clone()).await;
        assert_eq!((engine.count(), names(dir.path()).len()), (20, 30));
        let location = Running::start(&engine, dir.path(), settings);
        until("the rest is in", || engine.count() >= 30).await;
        until("all are gone", || location.names().is_empty()).await;
        until("all are forgotten", || engine.keys.lock().unwrap().is_empty()).await;
        location.stop().await.unwrap();
        assert_eq!(engine.texts(), (0..30).map(|i| format!("{i:02}")).collect::<Vec<_>>(), "rename: {rename}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_under_the_name_of_one_taken_before_a_crash_is_a_new_message() {
    let (engine, dir) = engine();
    put(dir.path(), "a.xml", "old");
    put(dir.path(), "b.xml", "old");
    crash_after_commit(&engine, dir.path(), json!({})).await;
    put(dir.path(), "a.xml", "new");
    // The same content, with the old time stamps: still a new file.
    let modified = fs::metadata(dir.path().join("b.xml")).unwrap().modified().unwrap();
    put(dir.path(), "b.xml", "old");
    fs::File::options().write(true).open(dir.path().join("b.xml")).unwrap().set_modified(modified).unwrap();
    let location = Running::start(&engine, dir.path(), json!({}));
    until("both are in", || engine.count() == 4).await;
    until("all are gone", || location.names().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["new", "old", "old", "old"]);
    assert!(engine.keys.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_before_is_remembered_until_its_folder_is_back() {
    let (engine, dir) = engine();
    let [folder, away] = ["in", "away"].map(|n| dir.path().join(n));
    fs::create_dir(&folder).unwrap();
    put(&folder, "a.xml", "a");
    crash_after_commit(&engine, &folder, json!({})).await;
    // As when the server starts before the folder is mounted: an empty one is there instead.
    fs::rename(&folder, &away).unwrap();
    fs::create_dir(&folder).unwrap();
    let location = Running::start(&engine, &folder, json!({}));
    pause(500).await;
    assert_eq!(engine.keys.lock().unwrap().len(), 1);
    fs::remove_dir(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    until("it is gone", || names(&folder).is_empty()).await;
    until("it is forgotten", || engine.keys.lock().unwrap().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(engine.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_renamed_before_a_crash_are_taken_afterwards() {
    let (engine, dir) = engine();
    put(dir.path(), "a.xml.PTL-WIP", "a");
    put(dir.path(), "b.xml.PTL-WIP", "b");
    put(dir.path(), "b.xml", "a newer b");
    put(dir.path(), "c.txt.PTL-WIP", "not of this mask");
    put(dir.path(), "d.xml.BTS-WIP", "of another product");
    // Another server works on this one.
    put(dir.path(), "e.xml.PTL-WIP", "e");
    let other = fs::File::open(dir.path().join("e.xml.PTL-WIP")).unwrap();
    other.lock_shared().unwrap();
    let location = Running::start(&engine, dir.path(), json!({ "rename_received_files": true }));
    until("three are in", || engine.count() == 3).await;
    until("they are gone", || location.names() == ["c.txt.PTL-WIP", "d.xml.BTS-WIP", "e.xml.PTL-WIP"]).await;
    pause(1000).await;
    assert_eq!(engine.texts(), ["a", "a newer b", "b"]);
    // The other server died.
    drop(other);
    until("e is in and gone", || engine.count() == 4 && location.names().len() == 2).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["a", "a newer b", "b", "e"]);
    let e = engine.owned.lock().unwrap()[3].message.context.text(&system::file::RECEIVED_FILE_NAME).unwrap().to_owned();
    assert_eq!(e, dir.path().join("e.xml").to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_away_is_told_once_and_works_again_when_it_is_back() {
    let (engine, dir) = engine();
    let folder = dir.path().join("in");
    let location = Running::start(&engine, &folder, json!({ "polling_interval_ms": 100 }));
    until("it is told", || engine.notices().len() == 1).await;
    assert!(
        engine.notices()[0].starts_with(&format!("failing PTL0301 folder {} does not exist", folder.display())),
        "{:?}",
        engine.notices()
    );
    fs::create_dir(&folder).unwrap();
    until("it works", || engine.notices().len() == 2).await;
    assert_eq!(engine.notices()[1], "recovered");
    put(&folder, "a.xml", "a");
    until("a is in and gone", || engine.count() == 1 && names(&folder).is_empty()).await;
    fs::remove_dir(&folder).unwrap();
    until("it is told again", || engine.notices().len() == 3).await;
    fs::write(&folder, "a file").unwrap();
    pause(400).await;
    assert_eq!(engine.notices().len(), 3, "told once: {:?}", engine.notices());
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    put(&folder, "b.xml", "b");
    until("b is in", || engine.count() == 2).await;
    location.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_work_for_a_folder_that_was_made_again() {
    let (engine, dir) = engine();
    let folder = dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    let location = Running::start(&engine, &folder, json!({ "polling_interval_ms": 700 }));
    pause(200).await;
    fs::remove_dir(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    pause(1600).await;
    let start = std::time::Instant::now();
    put(&folder, "a.xml", "a");
    until("it is in", || engine.count() == 1).await;
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
    location.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_gives_up_only_when_told_to() {
    let (engine, dir) = engine();
    let location = Running::start(&engine, &dir.path().join("none"), json!({ "polling_interval_ms": 100, "network_retry_count": 2 }));
    let error = location.ended().await.unwrap_err();
    assert_eq!(error.code.id, "PTL0301");
    assert!(error.message.contains("does not exist; tried 3 times"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_is_created_when_told_to() {
    let (engine, dir) = engine();
    let folder = dir.path().join("deep/in");
    let location = Running::start(&engine, &folder, json!({ "create_folder": true }));
    until("it is there", || folder.is_dir()).await;
    put(&folder, "a.xml", "a");
    until("a is in", || engine.count() == 1).await;
    location.stop().await.unwrap();
    assert!(engine.notices().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_regular_files_in_the_folder_itself_are_taken() {
    let (engine, dir) = engine();
    let (outside, folder) = (dir.path().join("secret.xml"), dir.path().join("in"));
    fs::write(&outside, "secret").unwrap();
    fs::create_dir_all(folder.join("sub.xml")).unwrap();
    fs::write(folder.join("sub.xml/deep.xml"), "deep").unwrap();
    symlink(&outside, folder.join("link.xml")).unwrap();
    symlink("nowhere", folder.join("dangling.xml")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe.xml")).status().unwrap().success());
    let location = Running::start(&engine, &folder, json!({}));
    // Announced ones are no different from listed ones.
    symlink(&outside, folder.join("link2.xml")).unwrap();
    put(&folder, "a.xml", "a");
    fs::hard_link(&outside, folder.join("hard.xml")).unwrap();
    until("two are in", || engine.count() == 2).await;
    pause(500).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["a", "secret"]);
    assert_eq!(names(&folder), ["dangling.xml", "link.xml", "link2.xml", "pipe.xml", "sub.xml"]);
    assert!(outside.exists() && engine.notices().is_empty(), "{:?}", engine.notices());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_file_is_left_with_one_event_and_taken_when_it_is_writable() {
    let (engine, dir) = engine();
    let path = dir.path().join("a.xml");
    fs::write(&path, "a").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let location = Running::start(&engine, dir.path(), json!({}));
    until("it is told", || !engine.notices().is_empty()).await;
    pause(1500).await;
    assert_eq!(engine.notices().len(), 1, "{:?}", engine.notices());
    assert!(engine.notices()[0].contains("item PTL0304") && engine.notices()[0].contains("a.xml is not received: it is read-only"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    until("it is in", || engine.count() == 1).await;
    location.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_waits_and_does_not_hold_up_the_others() {
    let (engine, dir) = engine();
    put(dir.path(), "a.xml", "a");
    let lock = fs::File::open(dir.path().join("a.xml")).unwrap();
    lock.lock().unwrap();
    put(dir.path(), "b.xml", "b");
    let location = Running::start(&engine, dir.path(), json!({}));
    until("b is in", || engine.count() == 1).await;
    pause(500).await;
    assert_eq!(engine.texts(), ["b"]);
    drop(lock);
    until("a is in", || engine.count() == 2).await;
    location.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_files_are_deleted_left_or_received() {
    for (what, messages, remain, events) in
        [("delete", 0, &["fresh.xml"][..], 1), ("leave", 0, &["fresh.xml", "old.xml"], 0), ("receive", 2, &[], 0)]
    {
        let (engine, dir) = engine();
        fs::write(dir.path().join("fresh.xml"), "").unwrap();
        let old = fs::File::create(dir.path().join("old.xml")).unwrap();
        old.set_modified(SystemTime::now() - Duration::from_secs(40)).unwrap();
        drop(old);
        let location = Running::start(&engine, dir.path(), json!({ "empty_files": what }));
        pause(900).await;
        assert_eq!(
            (engine.count(), &location.names()[..]),
            (messages, &remain.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..]),
            "{what}"
        );
        location.stop().await.unwrap();
        assert_eq!(engine.notices().len(), events, "{:?}", engine.notices());
        assert!(engine.notices().iter().all(|n| n.contains("item PTL0306") && n.contains("old.xml")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_written_to_after_it_was_taken_is_told_and_received_again() {
    let (engine, dir) = engine();
    *engine.delay.lock().unwrap() = Duration::from_millis(400);
    let location = Running::start(&engine, dir.path(), json!({}));
    location.put("a.xml", "one");
    until("a batch is under way", || engine.running.load(Ordering::SeqCst) == 1).await;
    fs::File::options().append(true).open(dir.path().join("a.xml")).unwrap().write_all(b" two").unwrap();
    until("both are in", || engine.count() == 2).await;
    until("it is gone", || location.names().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["one", "one two"]);
    assert!(engine.notices()[0].contains("was written to while it was received"), "{:?}", engine.notices());
    assert!(engine.keys.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_replaced_after_it_was_taken_is_a_new_message() {
    let (engine, dir) = engine();
    *engine.delay.lock().unwrap() = Duration::from_millis(300);
    let location = Running::start(&engine, dir.path(), json!({}));
    location.put("a.xml", "one");
    until("a batch is under way", || engine.running.load(Ordering::SeqCst) == 1).await;
    location.put("a.xml", "two");
    until("both are in", || engine.count() == 2).await;
    until("it is gone", || location.names().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["one", "two"]);
    assert!(engine.notices().is_empty());
}

/// Sets or clears a file attribute; `false` where the system does not let us.
fn attribute(change: &str, path: &Path) -> bool {
    Command::new("chattr").arg(change).arg(path).output().is_ok_and(|o| o.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_deleted_is_told_once_and_not_taken_twice() {
    let (engine, dir) = engine();
    put(dir.path(), "a.xml", "a");
    if !attribute("+i", &dir.path().join("a.xml")) {
        println!("skipped: needs chattr, a file system with attributes, and the superuser");
        return;
    }
    let settings = json!({ "remove_retry_count": 2 });
    let location = Running::start(&engine, dir.path(), settings.clone());
    until("it is told", || !engine.notices().is_empty()).await;
    location.put("b.xml", "b");
    until("b is in and gone", || engine.count() == 2 && location.names() == ["a.xml"]).await;
    pause(700).await;
    location.stop().await.unwrap();
    assert_eq!(engine.notices().len(), 1, "{:?}", engine.notices());
    assert!(engine.notices()[0].contains("item PTL0303") && engine.notices()[0].contains("a.xml was received but cannot be deleted"));
    // Also not after a restart; and when it can be deleted, it is.
    let location = Running::start(&engine, dir.path(), settings);
    pause(700).await;
    assert!(attribute("-i", &dir.path().join("a.xml")));
    until("it is gone", || location.names().is_empty()).await;
    until("all are forgotten", || engine.keys.lock().unwrap().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_to_is_told_before_anything_is_taken() {
    let (engine, dir) = engine();
    put(dir.path(), "a.xml", "a");
    if !attribute("+i", dir.path()) {
        println!("skipped: needs chattr, a file system with attributes, and the superuser");
        return;
    }
    let location = Running::start(&engine, dir.path(), json!({}));
    until("it is told", || !engine.notices().is_empty()).await;
    pause(400).await;
    assert!(attribute("-i", dir.path()));
    assert_eq!(engine.count(), 0);
    assert!(engine.notices()[0].contains("cannot be written to, so received files could not be deleted"), "{:?}", engine.notices());
    until("it is in", || engine.count() == 1).await;
    location.stop().await.unwrap();
    assert_eq!(engine.notices().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_the_engine_breaks_over_is_told_and_does_not_hold_up_the_others() {
    for rename in [false, true] {
        let (engine, dir) = engine();
        for i in 0..30 {
            put(dir.path(), &format!("{i:02}.xml"), if i == 7 { "poison".to_owned() } else { format!("{i:02}") });
        }
        let location = Running::start(&engine, dir.path(), json!({ "rename_received_files": rename }));
        until("the others are in and gone", || engine.count() == 29 && location.names() == ["07.xml"]).await;
        location.put("99.xml", "99");
        until("later ones, too", || engine.count() == 30).await;
        location.stop().await.unwrap();
        assert_eq!(engine.notices().len(), 1, "{:?}", engine.notices());
        assert!(engine.notices()[0].contains("07.xml is not received: the engine cannot take it in"), "{:?}", engine.notices());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_lost_under_a_full_queue_is_one_event_and_all_files_are_taken_when_it_is_back() {
    let (engine, dir) = engine();
    let [folder, away] = ["in", "away"].map(|n| dir.path().join(n));
    fs::create_dir(&folder).unwrap();
    for i in 0..400 {
        put(&folder, &format!("{i:03}.xml"), format!("{i:03}"));
    }
    *engine.delay.lock().unwrap() = Duration::from_millis(20);
    let location = Running::start(&engine, &folder, json!({ "max_batches_in_flight": 2 }));
    until("some are in", || engine.count() > 40).await;
    fs::rename(&folder, &away).unwrap();
    until("it is told", || !engine.notices().is_empty()).await;
    pause(300).await;
    fs::rename(&away, &folder).unwrap();
    until("all are in", || engine.count() >= 400).await;
    until("all are gone and forgotten", || names(&folder).is_empty() && engine.keys.lock().unwrap().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), (0..400).map(|i| format!("{i:03}")).collect::<Vec<_>>());
    let failing = engine.notices().iter().filter(|n| n.starts_with("failing")).count();
    assert_eq!(failing, 1, "{:?}", engine.notices());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_other_files_do_not_slow_a_location_down() {
    let (engine, dir) = engine();
    for i in 0..20_000 {
        fs::File::create(dir.path().join(format!("{i}.txt"))).unwrap();
    }
    let location = Running::start(&engine, dir.path(), json!({ "polling_interval_ms": 60_000 }));
    pause(500).await;
    let start = std::time::Instant::now();
    location.put("a.xml", "a");
    until("a is in", || engine.count() == 1).await;
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
    location.stop().await.unwrap();
}
