//! Opening: one process at a time, no newer files, no other programs' files; what is damaged is put
//! aside alone; a killed process leaves a store that opens.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code")]

use bytes::Bytes;
use portolan_model::{
    BatchId, BodyId, Context, InstanceId, Message, MessageId, PartContent, Timestamp,
    instance::{Instance, InstanceState, Service},
};
use portolan_store::{Action, Batch, Claim, Durability, MessageBox, NewInstance, Operation, Selection, StateFilter, StoreErrorKind, ask};
use portolan_store_sqlite::{Options, SqliteStore};
use rusqlite::Connection;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(17_800_000_000_000_000);

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(Options::new(folder)).unwrap()
}

fn publication(number: u64, state: InstanceState) -> Operation {
    let id = Uuid::from_u64_pair(7, number);
    let body = format!("body of {number}").repeat(20);
    let message = Message::of_body(MessageId(id), NOW, Context::new(), PartContent::Inline(Bytes::from(body)));
    let instance = Instance { state, ..Instance::ready(InstanceId(id), Service::send_port("P"), message.id, NOW, 5) };
    Operation::Publish { message: Arc::new(message), instances: vec![NewInstance { instance, claim: false }] }
}

fn instance(number: u64) -> InstanceId {
    InstanceId(Uuid::from_u64_pair(7, number))
}

async fn commit(store: &SqliteStore, batch: u64, operations: Vec<Operation>) -> Vec<u64> {
    let batch = Batch { id: BatchId(Uuid::from_u64_pair(9, batch)), epoch: None, durability: Durability::Sync, operations };
    store.commit(batch).await.unwrap().changed
}

async fn claim(store: &SqliteStore) -> Vec<InstanceId> {
    let claim = Claim { service: Service::send_port("P"), now: NOW, max: 1000 };
    store.claim(claim).await.unwrap().work.into_iter().map(|work| work.instance.id).collect()
}

fn file(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("messagebox.db")).unwrap()
}

#[tokio::test]
async fn a_folder_in_use_is_refused_with_its_name_and_the_process() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let error = SqliteStore::open(Options::new(folder.path())).err().unwrap();
    assert_eq!((error.kind, error.code().id), (StoreErrorKind::Closed, "PTL0404"));
    assert!(error.message.contains(&folder.path().display().to_string()), "{error}");
    assert!(error.message.contains(&format!("process {}", std::process::id())), "{error}");
    store.close().await.unwrap();
    drop(open(folder.path()));
    // Dropping closes as well.
    drop(open(folder.path()));
}

#[tokio::test]
async fn a_newer_file_and_another_programs_file_are_refused_untouched() {
    let folder = TempDir::new().unwrap();
    open(folder.path()).close().await.unwrap();
    file(&folder).pragma_update(None, "user_version", 999).unwrap();
    let error = SqliteStore::open(Options::new(folder.path())).err().unwrap();
    assert_eq!((error.kind, error.code().id), (StoreErrorKind::Newer, "PTL0406"));
    let other = TempDir::new().unwrap();
    file(&other).execute_batch("CREATE TABLE theirs(x)").unwrap();
    let error = SqliteStore::open(Options::new(other.path())).err().unwrap();
    assert!(error.message.contains("not a MessageBox"), "{error}");
    let noise = TempDir::new().unwrap();
    std::fs::write(noise.path().join("messagebox.db"), vec![42; 20_000]).unwrap();
    assert_eq!(SqliteStore::open(Options::new(noise.path())).err().unwrap().kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_damaged_packed_message_is_put_aside_and_the_rest_goes_on() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    commit(&store, 1, (1..=3).map(|n| publication(n, InstanceState::Ready)).collect()).await;
    store.close().await.unwrap();
    // One flipped byte in the middle of the second record's body.
    let at: i64 = file(&folder).query_row("SELECT instr(data, CAST('body of 2' AS BLOB)) FROM spool", [], |row| row.get(0)).unwrap();
    let sql = "UPDATE spool SET data = CAST(substr(data, 1, ?1 - 1) || x'00' || substr(data, ?1 + 1) AS BLOB)";
    assert_eq!(file(&folder).execute(sql, [at]).unwrap(), 1);
    let store = open(folder.path());
    assert_eq!(claim(&store).await, [instance(1), instance(3)]);
    assert_eq!(claim(&store).await, []);
    let aside = until(&store, StateFilter::SuspendedNotResumable).await;
    assert_eq!((aside.id, aside.failure.clone().unwrap().code.as_str()), (instance(2), "PTL0405"));
    let event = ask::events(&store, None, None, 1).await.unwrap().pop().unwrap().event;
    assert_eq!((event.code.as_str(), event.instance), ("PTL0405", Some(instance(2))));
    assert_eq!(ask::message(&store, aside.message).await.unwrap_err().kind, StoreErrorKind::Corrupt);
    // It is still so after a restart, and can be terminated.
    store.close().await.unwrap();
    let store = open(folder.path());
    assert_eq!(ask::count(&store, Selection::default()).await.unwrap(), 3);
    let act = Operation::Act { selection: Selection::of([instance(2)]), action: Action::Terminate, at: NOW };
    assert_eq!(commit(&store, 2, vec![act]).await, [1]);
}

/// The first instance in a state, when the writer has got to it.
async fn until(store: &SqliteStore, state: StateFilter) -> Instance {
    let start = Instant::now();
    loop {
        let selection = Selection { state: Some(state), ..Selection::default() };
        if let Some(found) = ask::instances(store, selection, None, 1).await.unwrap().pop() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "nothing became {state:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_damaged_message_of_a_row_is_put_aside() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let states = [(1, InstanceState::SuspendedResumable), (2, InstanceState::SuspendedResumable)];
    commit(&store, 1, states.into_iter().map(|(n, state)| publication(n, state)).collect()).await;
    store.close().await.unwrap();
    let sql = "UPDATE message SET data = zeroblob(length(data)) WHERE n = (SELECT message FROM instance WHERE id = ?1)";
    assert_eq!(file(&folder).execute(sql, [&instance(1).0.as_bytes()[..]]).unwrap(), 1);
    let store = open(folder.path());
    commit(&store, 2, vec![Operation::Act { selection: Selection::default(), action: Action::Resume, at: NOW }]).await;
    assert_eq!(claim(&store).await, [instance(2)]);
    let aside = until(&store, StateFilter::SuspendedNotResumable).await;
    assert_eq!((aside.id, aside.failure.unwrap().code.as_str()), (instance(1), "PTL0405"));
}

#[tokio::test]
async fn a_group_whose_header_is_damaged_is_kept_aside_and_reported_once() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    commit(&store, 1, vec![publication(1, InstanceState::Ready)]).await;
    commit(&store, 2, vec![publication(2, InstanceState::Ready)]).await;
    store.close().await.unwrap();
    assert_eq!(file(&folder).execute("UPDATE spool SET header = zeroblob(40) WHERE g = 1", []).unwrap(), 1);
    for _ in 0..2 {
        let store = open(folder.path());
        assert_eq!(claim(&store).await, [instance(2)]);
        let events = ask::events(&store, None, None, 10).await.unwrap();
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(events[0].event.text.contains("group 1"), "{events:?}");
        store.close().await.unwrap();
    }
    let kept: i64 = file(&folder).query_row("SELECT length(data) FROM damaged WHERE g = 1", [], |row| row.get(0)).unwrap();
    assert!(kept > 100);
}

#[tokio::test]
async fn a_damaged_piece_of_a_body_is_noticed() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let body = BodyId(Uuid::from_u64_pair(8, 1));
    for sequence in 0..3 {
        store.put_chunk(body, sequence, Bytes::from(vec![1; 1000])).await.unwrap();
    }
    file(&folder).execute("UPDATE body_chunk SET data = zeroblob(1000) WHERE start = 1000", []).unwrap();
    let body = portolan_model::BodyRef { id: body, length: 3000 };
    assert_eq!(store.read_body(body, 500, 100).await.unwrap().len(), 100);
    assert_eq!(store.read_body(body, 1500, 100).await.unwrap_err().kind, StoreErrorKind::Corrupt);
    assert_eq!(store.read_body(body, 2500, 100).await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_claim_whose_caller_goes_away_is_given_back() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    commit(&store, 1, (1..=50).map(|n| publication(n, InstanceState::Ready)).collect()).await;
    store.close().await.unwrap();
    let store = open(folder.path());
    for _ in 0..50 {
        // Nothing is cached, so the claim reads on another thread; its caller does not wait.
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            given = claim(&store) => assert!(given.is_empty(), "the claim did not read"),
        }
    }
    let start = Instant::now();
    let mut all = Vec::new();
    while all.len() < 50 {
        all.extend(claim(&store).await);
        assert!(start.elapsed() < Duration::from_secs(10), "only {} came back", all.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_was_claimed_for_a_publisher_who_went_away_is_given_back() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let mut changes = store.changes();
    let Operation::Publish { message, mut instances } = publication(1, InstanceState::Ready) else { panic!() };
    instances[0].claim = true;
    tokio::select! {
        biased;
        _ = commit(&store, 1, vec![Operation::Publish { message, instances }]) => panic!("not synced yet"),
        () = tokio::task::yield_now() => {}
    }
    tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.expect("told of work").unwrap();
    assert_eq!(claim(&store).await, [instance(1)]);
}

#[tokio::test]
async fn a_hundred_thousand_suspended_are_resumed_at_once_and_only_once() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    for round in 0..100 {
        let numbers = round * 1000..(round + 1) * 1000;
        commit(&store, round, numbers.map(|n| publication(n, InstanceState::SuspendedResumable)).collect()).await;
    }
    let resume = || vec![Operation::Act { selection: Selection::default(), action: Action::Resume, at: NOW }];
    let start = Instant::now();
    assert_eq!(commit(&store, 1000, resume()).await, [100_000]);
    let took = start.elapsed();
    println!("resumed 100,000 in {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(commit(&store, 1001, resume()).await, [0]);
    let mut given = std::collections::BTreeSet::new();
    loop {
        let some = claim(&store).await;
        if some.is_empty() {
            break;
        }
        for id in some {
            assert!(given.insert(id), "{id} twice");
        }
    }
    assert_eq!(given.len(), 100_000);
}

/// Not a test: the child of the one below.
#[tokio::test]
async fn child_that_publishes_until_killed() {
    let Ok(folder) = std::env::var("PORTOLAN_KILL_FOLDER") else { return };
    let store = open(Path::new(&folder));
    let first: u64 = std::env::var("PORTOLAN_KILL_FIRST").unwrap().parse().unwrap();
    for number in first.. {
        commit(&store, number, vec![publication(number, InstanceState::Ready)]).await;
        println!("acknowledged {number}");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = std::collections::BTreeSet::new();
    let mut first = 1;
    for round in 0..3_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_publishes_until_killed", "--nocapture"])
            .env("PORTOLAN_KILL_FOLDER", folder.path())
            .env("PORTOLAN_KILL_FIRST", first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = 20 + round * 37;
        let mut count = 0;
        while count < enough {
            let line = lines.next().unwrap().unwrap();
            if let Some(number) = line.split("acknowledged ").nth(1).and_then(|number| number.parse::<u64>().ok()) {
                acknowledged.insert(number);
                first = number + 1000;
                count += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rest = lines.map_while(Result::ok).filter_map(|line| line.split("acknowledged ").nth(1)?.parse::<u64>().ok());
        acknowledged.extend(rest);
        let store = open(folder.path());
        let there: std::collections::BTreeSet<InstanceId> =
            ask::instances(&store, Selection::default(), None, usize::MAX).await.unwrap().into_iter().map(|instance| instance.id).collect();
        for number in &acknowledged {
            assert!(there.contains(&instance(*number)), "{number} was acknowledged and is lost");
        }
        assert!(there.len() <= acknowledged.len() + usize::try_from(round).unwrap() + 1, "at most what was in flight besides");
        store.close().await.unwrap();
    }
}
