//! Receiving: the ordinary life of a location.

use super::engine::{Engine, Running, pause, put, until};
use portolan_model::{Kind, Timestamp, Value, system};
use portolan_sdk::BodySource;
use serde_json::json;
use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::ffi::OsStrExt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

fn engine() -> (Arc<Engine>, tempfile::TempDir) {
    (Arc::default(), tempfile::tempdir().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_submitted_deleted_and_forgotten() {
    let (engine, dir) = engine();
    put(dir.path(), "a.xml", "<a/>");
    put(dir.path(), "b.txt", "other");
    let location = Running::start(&engine, dir.path(), json!({}));
    until("a is in", || engine.count() == 1).await;
    location.put("c.xml", "<c/>");
    until("c is in", || engine.count() == 2).await;
    until("both are gone", || location.names() == ["b.txt"]).await;
    until("both are forgotten", || engine.keys.lock().unwrap().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["<a/>", "<c/>"]);
    assert!(engine.notices().is_empty(), "{:?}", engine.notices());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_moved_in_is_taken_at_once() {
    let (engine, dir) = engine();
    let location = Running::start(&engine, dir.path(), json!({ "polling_interval_ms": 60_000, "quiet_period_ms": 30_000 }));
    pause(300).await;
    for count in 1..4 {
        let start = Instant::now();
        location.put(&format!("{count}.xml"), "x");
        until("it is in", || engine.count() == count).await;
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    }
    location.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_in_place_is_taken_after_the_quiet_period() {
    let (engine, dir) = engine();
    let location = Running::start(&engine, dir.path(), json!({ "polling_interval_ms": 60_000, "quiet_period_ms": 300 }));
    pause(300).await;
    let start = Instant::now();
    // A writer that opens, adds a line and closes, again and again.
    for _ in 0..8 {
        writeln!(fs::File::options().append(true).create(true).open(dir.path().join("a.xml")).unwrap(), "line").unwrap();
        pause(100).await;
    }
    until("it is in", || engine.count() == 1).await;
    let waited = start.elapsed();
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["line\n".repeat(8)]);
    assert!(waited > Duration::from_millis(1000) && waited < Duration::from_millis(2500), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_being_written_is_never_taken_half() {
    let (engine, dir) = engine();
    // One writer was there before the location, the other comes later.
    let mut early = fs::File::create(dir.path().join("early.xml")).unwrap();
    early.write_all(b"<early>").unwrap();
    pause(250).await;
    let location = Running::start(&engine, dir.path(), json!({}));
    let mut late = fs::File::create(dir.path().join("late.xml")).unwrap();
    for _ in 0..4 {
        late.write_all(b"<late/>").unwrap();
        pause(300).await;
        assert_eq!(engine.count(), 0, "{:?}", engine.texts());
    }
    early.write_all(b"</early>").unwrap();
    drop((early, late));
    until("both are in", || engine.count() == 2).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["<early></early>", "<late/><late/><late/><late/>"]);
    assert!(engine.notices().is_empty(), "waiting for a writer is nothing to tell: {:?}", engine.notices());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_network_folder_a_file_is_taken_when_it_stays_the_same() {
    let (engine, dir) = engine();
    let location =
        Running::start(&engine, dir.path(), json!({ "network_folder": true, "quiet_period_ms": 400, "polling_interval_ms": 100 }));
    let path = dir.path().join("a.xml");
    // A writer that opens, writes and closes again and again, on a machine whose clock is wrong.
    for _ in 0..6 {
        let mut file = fs::File::options().append(true).create(true).open(&path).unwrap();
        file.write_all(b"x").unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        drop(file);
        pause(150).await;
    }
    assert_eq!(engine.count(), 0);
    until("it is in", || engine.count() == 1).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), ["xxxxxx"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_says_which_file_it_was() {
    let (engine, dir) = engine();
    let long = format!("{}.xml", "n".repeat(240));
    put(dir.path(), "ä b.xml", "1");
    put(dir.path(), &long, "2");
    fs::write(dir.path().join(OsStr::from_bytes(b"\xff\n.xml")), "3").unwrap();
    let before = Timestamp::default().plus(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() - Duration::from_secs(60));
    let location = Running::start(&engine, dir.path(), json!({}));
    until("all are in", || engine.count() == 3).await;
    location.stop().await.unwrap();
    let mut owned = engine.owned.lock().unwrap().clone();
    owned.sort_by_key(|o| o.text());
    let name = |at: usize| owned[at].message.context.property(&system::file::RECEIVED_FILE_NAME).unwrap().clone();
    assert_eq!(name(0).value.as_str().unwrap(), dir.path().join("ä b.xml").to_str().unwrap());
    assert_eq!(name(0).kind, Kind::Promoted);
    assert_eq!(name(1).value.as_str().unwrap(), dir.path().join(long).to_str().unwrap());
    assert_eq!(name(1).kind, Kind::Written, "too long to be promoted, yet received");
    assert!(name(2).value.as_str().unwrap().ends_with("/\u{fffd}\u{fffd}.xml"));
    let Some(Value::DateTime(created)) = owned[0].message.context.get(&system::file::FILE_CREATION_TIME) else { panic!("no time") };
    assert!(*created > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_limited_by_count_and_by_bytes_and_in_number() {
    let (engine, dir) = engine();
    for i in 0..50 {
        put(dir.path(), &format!("{i:02}.xml"), format!("{i:02}"));
    }
    *engine.delay.lock().unwrap() = Duration::from_millis(30);
    let location = Running::start(&engine, dir.path(), json!({ "batch_count": 5, "max_batches_in_flight": 2 }));
    until("all are in", || engine.count() == 50).await;
    location.stop().await.unwrap();
    assert_eq!(*engine.batch_sizes.lock().unwrap(), [5; 10]);
    assert!(engine.most_running.load(Ordering::SeqCst) <= 3, "two batches and a forgetting");

    let (engine, dir) = self::engine();
    for i in 0..6 {
        put(dir.path(), &format!("{i}.xml"), [b'x'; 700]);
    }
    put(dir.path(), "9.xml", [b'x'; 5000]);
    let location = Running::start(&engine, dir.path(), json!({ "batch_bytes": 1400, "max_batches_in_flight": 1 }));
    until("all are in", || engine.count() == 7).await;
    location.stop().await.unwrap();
    assert_eq!(*engine.batch_sizes.lock().unwrap(), [2, 2, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_batch_at_a_time_keeps_the_order_of_names() {
    let (engine, dir) = engine();
    for i in (0..60).rev() {
        put(dir.path(), &format!("{i:02}.xml"), format!("{i:02}"));
    }
    let location = Running::start(&engine, dir.path(), json!({ "batch_count": 7, "max_batches_in_flight": 1 }));
    until("all are in", || engine.count() == 60).await;
    location.stop().await.unwrap();
    let order: Vec<String> = engine.owned.lock().unwrap().iter().map(|o| o.text()).collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_suspended_and_does_not_stop_the_others() {
    let (engine, dir) = engine();
    for name in ["a", "refuse", "z"] {
        put(dir.path(), &format!("{name}.xml"), name);
    }
    let location = Running::start(&engine, dir.path(), json!({}));
    until("all are in", || engine.count() == 3).await;
    until("all are gone", || location.names().is_empty()).await;
    location.stop().await.unwrap();
    let owned = engine.owned.lock().unwrap();
    let suspended: Vec<_> = owned.iter().filter_map(|o| o.suspended.as_ref().map(|f| (o.text(), f.code.clone()))).collect();
    assert_eq!(suspended, [("refuse".to_owned(), "PTL0102".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_engine_takes_nothing_files_stay_and_later_they_are_taken() {
    for rename in [false, true] {
        let (engine, dir) = engine();
        engine.down.store(true, Ordering::SeqCst);
        for i in 0..30 {
            put(dir.path(), &format!("{i:02}.xml"), format!("{i:02}"));
        }
        let location = Running::start(&engine, dir.path(), json!({ "rename_received_files": rename }));
        pause(700).await;
        assert_eq!(location.names().iter().filter(|n| n.ends_with(".xml") || n.ends_with(".PTL-WIP")).count(), 30);
        engine.down.store(false, Ordering::SeqCst);
        until("all are in", || engine.count() == 30).await;
        until("all are gone", || location.names().is_empty()).await;
        location.stop().await.unwrap();
        assert_eq!(engine.texts(), (0..30).map(|i| format!("{i:02}")).collect::<Vec<_>>());
        assert!(engine.keys.lock().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_files_show_that_they_are_taken_in_and_keep_their_name_in_the_context() {
    let (engine, dir) = engine();
    *engine.delay.lock().unwrap() = Duration::from_millis(300);
    let location = Running::start(&engine, dir.path(), json!({ "rename_received_files": true }));
    location.put("a.xml", "x");
    until("it is renamed", || location.names() == ["a.xml.PTL-WIP"]).await;
    until("it is in and gone", || engine.count() == 1 && location.names().is_empty()).await;
    location.stop().await.unwrap();
    let owned = engine.owned.lock().unwrap();
    assert_eq!(owned[0].message.context.text(&system::file::RECEIVED_FILE_NAME).unwrap(), dir.path().join("a.xml").to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_read_from_the_folder_and_not_into_memory() {
    let (engine, dir) = engine();
    let size = 40 << 20;
    put(dir.path(), "large.xml", vec![b'x'; size]);
    let location = Running::start(&engine, dir.path(), json!({}));
    until("it is in and gone", || engine.count() == 1 && location.names().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(*engine.sizes.lock().unwrap(), [size as u64]);
    assert!(matches!(engine.owned.lock().unwrap()[0].message.body, BodySource::File(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_the_batch_under_way_and_leaves_nothing_behind() {
    let (engine, dir) = engine();
    *engine.delay.lock().unwrap() = Duration::from_millis(300);
    for i in 0..40 {
        put(dir.path(), &format!("{i:02}.xml"), format!("{i:02}"));
    }
    let location = Running::start(&engine, dir.path(), json!({ "max_batches_in_flight": 1 }));
    until("a batch is under way", || engine.running.load(Ordering::SeqCst) == 1).await;
    location.stop().await.unwrap();
    assert_eq!(engine.count(), 20);
    assert_eq!(super::engine::names(dir.path()).len(), 20);
    assert!(engine.keys.lock().unwrap().is_empty(), "forgotten before the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_locations_on_one_folder_take_each_file_once() {
    let (one, dir) = engine();
    let two: Arc<Engine> = Arc::default();
    let locations = [&one, &two].map(|engine| Running::start(engine, dir.path(), json!({ "rename_received_files": true })));
    for i in 0..300 {
        put(dir.path(), &format!("{i:03}.xml"), format!("{i:03}"));
    }
    until("all are in and gone", || one.count() + two.count() >= 300 && locations[0].names().is_empty()).await;
    for location in locations {
        location.stop().await.unwrap();
    }
    let mut texts = [one.texts(), two.texts()].concat();
    texts.sort();
    assert_eq!(texts, (0..300).map(|i| format!("{i:03}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_files_are_taken_while_more_arrive() {
    let (engine, dir) = engine();
    for i in 0..1500 {
        put(dir.path(), &format!("{i:05}.xml"), format!("{i:05}"));
    }
    let location = Running::start(&engine, dir.path(), json!({}));
    for i in 1500..3000 {
        put(dir.path(), &format!("{i:05}.xml"), format!("{i:05}"));
    }
    until("all are in and gone", || engine.count() >= 3000 && location.names().is_empty()).await;
    until("all are forgotten", || engine.keys.lock().unwrap().is_empty()).await;
    location.stop().await.unwrap();
    assert_eq!(engine.texts(), (0..3000).map(|i| format!("{i:05}")).collect::<Vec<_>>());
}
