//! Callers that wait for the store on the blocking pool of the async runtime: however many there are,
//! they get their answers. A release with 512 large messages under way once stood still for good.

#![allow(clippy::unwrap_used, reason = "test code")]

use bytes::Bytes;
use portolan_model::{BodyId, BodyRef};
use portolan_store::MessageBox;
use portolan_store_sqlite::{Options, SqliteStore};
use std::{sync::Arc, time::Duration};
use tokio::runtime::{Builder, Handle};
use uuid::Uuid;

#[test]
fn bodies_are_read_though_every_thread_of_the_blocking_pool_waits_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).max_blocking_threads(4).enable_all().build().unwrap();
    let body = BodyRef { id: BodyId(Uuid::from_u128(1)), length: 3 };
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(Options::new(folder.path())).unwrap());
        store.put_chunk(body.id, 0, Bytes::from_static(b"abc")).await.unwrap();
        let readers: Vec<_> = (0..16)
            .map(|_| {
                let store = store.clone();
                tokio::task::spawn_blocking(move || Handle::current().block_on(store.read_body(body, 0, 10)).unwrap())
            })
            .collect();
        for reader in readers {
            let read = tokio::time::timeout(Duration::from_secs(30), reader).await.expect("the readers wait for each other").unwrap();
            assert_eq!(read, "abc");
        }
    });
}
