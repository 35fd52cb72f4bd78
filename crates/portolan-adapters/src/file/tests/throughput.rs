//! Measures file to file. Run it alone, optimised:
//! `cargo test --release -p portolan-adapters file_to_file -- --ignored --nocapture`.

use super::engine::{Engine, Running, names, put, setup, until};
use crate::file::FileAdapter;
use portolan_model::{Context, InstanceId, MessageId, Timestamp};
use portolan_sdk::{Adapter, Body, OutboundMessage};
use serde_json::json;
use std::{sync::Arc, time::Instant};
use tokio::sync::Semaphore;
use uuid::Uuid;

const FILES: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn file_to_file() {
    let engine: Arc<Engine> = Arc::default();
    let dir = tempfile::tempdir().unwrap();
    let (inbox, outbox) = (dir.path().join("in"), dir.path().join("out"));
    std::fs::create_dir(&inbox).unwrap();
    std::fs::create_dir(&outbox).unwrap();
    for i in 0..FILES {
        put(&inbox, &format!("{i:06}.xml"), [b'x'; 2048]);
    }
    rustix::fs::sync();
    let sender = FileAdapter::default().sender(&json!({ "folder": outbox }), setup()).unwrap();
    let start = Instant::now();
    let location = Running::start(&engine, &inbox, json!({}));
    let permits = Arc::new(Semaphore::new(64));
    let (mut sent, mut first) = (0, None);
    let mut tasks = tokio::task::JoinSet::new();
    while sent < FILES {
        let bodies: Vec<Vec<u8>> = engine.owned.lock().unwrap()[sent..].iter().map(|o| o.body.clone()).collect();
        if bodies.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        for body in bodies {
            let permit = permits.clone().acquire_owned().await.unwrap();
            let (sender, id) = (sender.clone(), sent as u128);
            sent += 1;
            tasks.spawn(async move {
                let (message, instance) = (MessageId(Uuid::from_u128(id)), InstanceId(Uuid::from_u128(id)));
                let body = Body::from_bytes(body);
                let out = OutboundMessage {
                    message,
                    instance,
                    context: Context::new(),
                    body,
                    content_type: None,
                    charset: None,
                    attempt: 0,
                    now: Timestamp(0),
                };
                sender.send(out).await.unwrap();
                drop(permit);
            });
            first.get_or_insert_with(|| start.elapsed());
        }
    }
    tasks.join_all().await;
    let received = start.elapsed();
    until("all are gone", || names(&inbox).is_empty()).await;
    let all = start.elapsed();
    until("all are forgotten", || engine.keys.lock().unwrap().is_empty()).await;
    location.stop().await.unwrap();
    println!("first {first:?}, sent {received:?}, deleted {all:?}: {:.0} files/s", FILES as f64 / all.as_secs_f64());
    assert_eq!(names(&outbox).len(), FILES);
}
