//! Receiving: the ordinary life of a location.

use super::engine::{Engine, Running, pause, put, until};
use portolan_model::{Kind, system};
use serde_json::json;
use std::{fs, io::Write, sync::Arc, time::Instant};

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
