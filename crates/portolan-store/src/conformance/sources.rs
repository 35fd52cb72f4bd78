//! Cases of receive keys, named states and the event log.

use super::{
    fixture::{second, set_state},
    harness::{Harness, NOW, SCOPE},
};
use crate::{
    ask,
    batch::Operation,
    error::StoreErrorKind,
    query::{EVENTS_KEPT, Event, EventRecord, Severity},
};
use portolan_model::{InstanceId, MessageId};

fn remember(scope: &str, key: &str) -> Operation {
    Operation::RememberKey { scope: scope.into(), key: key.to_owned(), at: NOW }
}

fn forget(scope: &str, key: &str) -> Operation {
    Operation::ForgetKey { scope: scope.into(), key: key.to_owned() }
}

fn event(number: i64) -> Event {
    Event {
        at: second(number),
        severity: Severity::Information,
        code: "PTL0502".into(),
        source: "".into(),
        text: format!("event {number}"),
        message: None,
        instance: None,
    }
}

pub(super) async fn a_remembered_key_cannot_be_remembered_again(mut h: Harness) {
    assert_eq!(h.commit(vec![remember(SCOPE, "a.xml")]).await, [1]);
    h.step().await;
    assert_eq!(h.refused(vec![set_state("k", Some("v")), remember(SCOPE, "a.xml")]).await, StoreErrorKind::Duplicate);
    assert_eq!(h.refused(vec![remember(SCOPE, "b.xml"), remember(SCOPE, "b.xml")]).await, StoreErrorKind::Duplicate);
    assert!(ask::states(h.store(), "").await.unwrap().is_empty(), "the whole batch failed");
    assert_eq!(ask::keys(h.store(), SCOPE).await.unwrap(), ["a.xml"]);

    assert_eq!(h.commit(vec![remember("another", "a.xml"), remember(SCOPE, "A.XML"), remember(SCOPE, "")]).await, [1, 1, 1]);
    assert_eq!(h.commit(vec![forget(SCOPE, "a.xml"), forget(SCOPE, "a.xml"), forget(SCOPE, "never")]).await, [1, 0, 0]);
    h.step().await;
    assert_eq!(ask::keys(h.store(), "another").await.unwrap(), ["a.xml"], "the key of another scope stays");
    assert_eq!(h.commit(vec![remember(SCOPE, "a.xml")]).await, [1], "a forgotten key may come again");
}

pub(super) async fn keys_are_listed_by_scope_in_order(mut h: Harness) {
    let keys = ["b", "a", "ä", "B", "a/1", "a b", "", "日本語"];
    h.commit(keys.iter().map(|key| remember(SCOPE, key)).chain([remember("Orders i", "x"), remember("Orders in2", "y")]).collect()).await;
    h.step().await;
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(ask::keys(h.store(), SCOPE).await.unwrap(), sorted);
    assert!(ask::keys(h.store(), "orders in").await.unwrap().is_empty(), "scopes are told apart by case");
}

pub(super) async fn states_are_set_replaced_removed_and_listed_by_prefix(mut h: Harness) {
    let changed = h
        .commit(vec![
            set_state("send_port/B", Some("stopped")),
            set_state("send_port/A", Some("started")),
            set_state("sendXport/C", Some("1")),
            set_state("send_port", Some("")),
            set_state("SEND_PORT/D", Some("2")),
            set_state("100%/x", Some("ü\n\"'")),
            set_state("100/y", Some("3")),
            set_state("gone", None),
        ])
        .await;
    assert_eq!(changed, [1, 1, 1, 1, 1, 1, 1, 0]);
    h.step().await;
    let list = |states: &[(&str, &str)]| states.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    // Prefixes are text: no letter of them is a wildcard, and case matters.
    let send_ports = list(&[("send_port/A", "started"), ("send_port/B", "stopped")]);
    assert_eq!(ask::states(h.store(), "send_port/").await.unwrap(), send_ports);
    assert_eq!(ask::states(h.store(), "send_port").await.unwrap().len(), 3);
    assert_eq!(ask::states(h.store(), "100%").await.unwrap(), list(&[("100%/x", "ü\n\"'")]));
    assert_eq!(ask::states(h.store(), "%").await.unwrap(), []);
    assert_eq!(ask::states(h.store(), "").await.unwrap().len(), 7);

    let changed = h
        .commit(vec![
            set_state("send_port/A", Some("started")),
            set_state("send_port/A", Some("unenlisted")),
            set_state("send_port/B", None),
            set_state("send_port/B", None),
        ])
        .await;
    assert_eq!(changed, [0, 1, 1, 0], "setting what was there changes nothing");
    h.step().await;
    assert_eq!(ask::states(h.store(), "send_port/").await.unwrap(), list(&[("send_port/A", "unenlisted")]));
}

pub(super) async fn events_come_newest_first_and_page_both_ways(mut h: Harness) {
    let full = Event {
        severity: Severity::Error,
        source: "Größe/送信".into(),
        text: "two\nlines \"quoted\"".into(),
        message: Some(MessageId(h.id())),
        instance: Some(InstanceId(h.id())),
        ..event(5)
    };
    let first: Vec<Event> = (0..5).map(event).collect();
    assert_eq!(h.commit(first.iter().cloned().map(Operation::Event).collect()).await, [1; 5]);
    h.step().await;
    // The log is in order of writing, whatever the events' own times.
    let early = Event { severity: Severity::Warning, ..event(-100) };
    h.commit(vec![Operation::Event(full.clone()), Operation::Event(early.clone())]).await;
    h.step().await;

    let all = ask::events(h.store(), None, None, usize::MAX).await.unwrap();
    let expected: Vec<Event> = first.into_iter().chain([full, early]).rev().collect();
    assert_eq!(all.iter().map(|record| record.event.clone()).collect::<Vec<_>>(), expected);
    assert!(all.windows(2).all(|pair| pair[0].sequence > pair[1].sequence), "{all:?}");

    let page = async |before, after, limit| ask::events(h.store(), before, after, limit).await.unwrap();
    assert_eq!(page(None, None, 3).await, all[..3]);
    assert_eq!(page(Some(all[2].sequence), None, 3).await, all[3..6]);
    assert_eq!(page(Some(all[6].sequence), None, 3).await, []);
    assert_eq!(page(None, Some(all[4].sequence), 10).await, all[..4]);
    assert_eq!(page(None, Some(all[4].sequence), 2).await, all[..2], "the newest of what is new");
    assert_eq!(page(Some(all[1].sequence), Some(all[5].sequence), 10).await, all[2..5]);
    assert_eq!(page(None, Some(all[0].sequence), 10).await, []);
    assert_eq!(page(None, None, 0).await, []);
}

pub(super) async fn the_event_log_keeps_the_newest(mut h: Harness) {
    let total = EVENTS_KEPT as i64 + 20_000;
    for start in (0..total).step_by(10_000) {
        h.commit((start..start + 10_000).map(|number| Operation::Event(event(number))).collect()).await;
    }
    let whole = |records: &[EventRecord]| {
        assert!(records.len() >= EVENTS_KEPT && records.len() <= EVENTS_KEPT + EVENTS_KEPT / 10, "{} events are kept", records.len());
        for (record, number) in records.iter().zip((0..total).rev()) {
            assert_eq!(record.event.text, format!("event {number}"));
        }
    };
    whole(&ask::events(h.store(), None, None, usize::MAX).await.unwrap());
    h.reopen().await;
    whole(&ask::events(h.store(), None, None, usize::MAX).await.unwrap());
    h.commit(vec![Operation::Event(event(-1))]).await;
    let newest = ask::events(h.store(), None, None, 2).await.unwrap();
    assert_eq!(newest[0].event.text, "event -1");
    assert!(newest[0].sequence > newest[1].sequence, "the sequence goes on after reopening");
}
