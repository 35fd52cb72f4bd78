//! Cases of [`MessageBox::commit`](crate::MessageBox::commit): whole or not at all, once, in order.

use super::{
    fixture::{act, complete, failure, publish, publish_claimed, release, require, second, set_state, suspend},
    harness::{Harness, NOW, SCOPE},
};
use crate::{
    ask,
    batch::{Action, Batch, Durability, NewInstance, Operation},
    error::StoreErrorKind,
    port::{Claim, Health},
    query::{Event, Query, Selection, Severity},
};
use bytes::Bytes;
use portolan_model::{
    BodyId, BodyRef, InstanceId, MessageId,
    instance::{Progress, Service, TransportRole},
};
use std::sync::Arc;

fn remember(key: &str) -> Operation {
    Operation::RememberKey { scope: SCOPE.into(), key: key.to_owned(), at: NOW }
}

fn event(text: &str) -> Operation {
    Operation::Event(Event {
        at: NOW,
        severity: Severity::Warning,
        code: "PTL0301".into(),
        source: "Orders in".into(),
        text: text.to_owned(),
        message: None,
        instance: None,
    })
}

/// One operation of every kind, each of which changes something when the batch succeeds.
async fn one_of_each(h: &mut Harness, there: &[InstanceId]) -> Vec<Operation> {
    let (message, other) = (h.message("<new/>"), h.message("<claimed/>"));
    let (instance, claimed) = (h.ready(&message, "A"), h.ready(&other, "A"));
    let loose = h.put_body(&[b"nobody's"]).await;
    vec![
        publish(message, vec![instance]),
        publish_claimed(other, vec![claimed]),
        Operation::SetEpoch(9),
        set_state("send_port/A", Some("stopped")),
        set_state("send_port/B", None),
        remember("b.xml"),
        Operation::ForgetKey { scope: SCOPE.into(), key: "a.xml".into() },
        event("half done"),
        Operation::DiscardBody(loose.id),
        Operation::Reschedule {
            instance: there[0],
            due: NOW,
            progress: Progress { transport: TransportRole::Backup, attempts: 2 },
            failure: Some(failure("PTL0202", "refused")),
        },
        suspend(there[1], true, failure("PTL0203", "away")),
        complete(there[2]),
        act(Selection::of([there[3]]), Action::Resume),
        act(Selection::of([there[4]]), Action::Terminate),
        act(Selection::of([there[5]]), Action::Suspend),
    ]
}

pub(super) async fn a_batch_that_fails_in_the_middle_leaves_nothing(mut h: Harness) {
    let mut there = h.publish(&["A", "B", "C"]).await;
    there.push(h.publish_suspended("D", true).await);
    there.push(h.publish_suspended("E", false).await);
    there.extend(h.publish(&["F"]).await);
    h.commit(vec![remember("a.xml"), set_state("send_port/B", Some("stopped")), event("before"), Operation::SetEpoch(3)]).await;
    h.step().await;
    let before = h.snapshot().await;

    let nobody = h.instance_id();
    let lost = BodyRef { id: BodyId(h.id()), length: 4 };
    let orphan = h.message_of(lost);
    let carrier = h.ready(&orphan, "A");
    for (failing, kind) in [
        (require(nobody, false), StoreErrorKind::Conflict),
        (require(there[0], true), StoreErrorKind::Conflict),
        (remember("b.xml"), StoreErrorKind::Duplicate),
        (publish(orphan, vec![carrier]), StoreErrorKind::Invalid),
    ] {
        let mut operations = one_of_each(&mut h, &there).await;
        operations.push(failing);
        operations.push(event("never"));
        assert_eq!(h.refused(operations).await, kind);
        assert_eq!(h.snapshot().await, before, "after a batch that failed with {kind:?}");
        h.step().await;
        assert_eq!(h.snapshot().await, before, "after a batch that failed with {kind:?}, and reopening");
    }

    let operations = one_of_each(&mut h, &there).await;
    assert_eq!(h.commit(operations).await, [1; 15], "without the failing operation each of them changes something");
}

pub(super) async fn a_batch_that_fails_does_not_touch_claims_and_bodies(mut h: Harness) {
    let body = h.put_body(&[b"a large ", b"body"]).await;
    let message = h.message_of(body);
    let id = message.id;
    let instance = h.ready(&message, "A");
    let (owner, nobody) = (instance.id, h.instance_id());
    h.commit(vec![publish_claimed(message, vec![instance])]).await;

    let loose = h.put_body(&[b"loose"]).await;
    let new = h.message_of(loose);
    let (new_id, carrier) = (new.id, h.ready(&new, "A"));
    for failing in [vec![release(owner)], vec![complete(owner)], vec![publish(new.clone(), vec![carrier.clone()]), complete(owner)]] {
        let operations = failing.into_iter().chain([require(nobody, false)]).collect();
        assert_eq!(h.refused(operations).await, StoreErrorKind::Conflict);
        assert!(h.claimed("A", NOW).await.is_empty(), "the claim is still held");
        assert_eq!(h.body(body, 1024).await.unwrap(), b"a large body");
        assert_eq!(h.body(loose, 1024).await.unwrap(), b"loose");
        assert!(h.has_message(id).await && !h.has_message(new_id).await);
    }
    h.commit(vec![publish(new, vec![carrier])]).await;
    h.step().await;
    assert_eq!(h.body(loose, 1024).await.unwrap(), b"loose", "published after all");
}

/// What a batch made claimable, and took again, before it failed must not be left in a queue.
pub(super) async fn a_batch_that_fails_leaves_nothing_to_claim(mut h: Harness) {
    let suspended = [h.publish_suspended("A", true).await, h.publish_suspended("A", true).await];
    let waiting = h.message("<order/>");
    let instance = super::fixture::scheduled(h.ready(&waiting, "A"), second(60));
    let scheduled = instance.id;
    h.commit(vec![publish(waiting, vec![instance])]).await;
    let nobody = h.instance_id();
    let why = || failure("PTL0203", "away");
    let again =
        |seconds| Operation::Reschedule { instance: suspended[0], due: second(seconds), progress: Progress::default(), failure: None };
    let resume = || act(Selection::of(suspended), Action::Resume);
    for failing in [
        vec![resume()],
        vec![resume(), suspend(suspended[0], true, why())],
        vec![resume(), complete(suspended[0])],
        vec![resume(), again(-5), complete(suspended[1])],
        vec![resume(), again(30)],
        vec![resume(), act(Selection::default(), Action::Terminate)],
        vec![Operation::Reschedule { instance: scheduled, due: second(-9), progress: Progress::default(), failure: None }],
        vec![
            Operation::Reschedule { instance: scheduled, due: second(-9), progress: Progress::default(), failure: None },
            complete(scheduled),
        ],
        vec![complete(scheduled)],
        vec![act(Selection::default(), Action::Suspend), resume(), act(Selection::of([scheduled]), Action::Resume)],
    ] {
        h.step().await;
        let what = format!("{failing:?}");
        let message = h.message("<new/>");
        let instances = vec![h.ready(&message, "A"), super::fixture::scheduled(h.ready(&message, "A"), second(-1))];
        let new = instances[1].id;
        let operations = failing.into_iter().chain([publish(message, instances), suspend(new, true, why()), require(nobody, false)]);
        assert_eq!(h.refused(operations.collect()).await, StoreErrorKind::Conflict);
        let left = h.claim("A", NOW, 9).await;
        assert_eq!(left.work.len(), 0, "after {what}");
        assert_eq!(left.next_due, Some(second(60)), "after {what}");
    }
    assert_eq!(h.claimed("A", second(60)).await, [scheduled]);
}

pub(super) async fn a_repeated_batch_gets_the_same_receipt_and_changes_nothing(mut h: Harness) {
    let suspended = h.publish_suspended("B", true).await;
    let message = h.message("<order/>");
    let instances = vec![h.ready(&message, "A"), h.ready(&message, "A")];
    let ids: Vec<InstanceId> = instances.iter().map(|instance| instance.id).collect();
    let operations = vec![
        publish(message, instances),
        set_state("k", Some("1")),
        remember("a.xml"),
        event("once"),
        act(Selection::of([suspended]), Action::Resume),
        complete(ids[1]),
    ];
    let batch = Batch { epoch: Some(0), ..h.batch(operations) };
    let first = h.submit(batch.clone()).await.unwrap();
    assert_eq!(first.changed, [2, 1, 1, 1, 1, 1]);

    h.commit(vec![complete(ids[0]), set_state("k", Some("2")), Operation::SetEpoch(5)]).await;
    let before = h.snapshot().await;
    for _ in 0..3 {
        assert_eq!(h.submit(batch.clone()).await.unwrap(), first, "also in another epoch, and with a key that is known now");
    }
    assert_eq!(h.snapshot().await, before);
}

pub(super) async fn a_failed_batch_may_be_tried_anew_under_its_id(mut h: Harness) {
    let id = h.publish(&["A"]).await[0];
    let batch = h.batch(vec![require(id, true), complete(id)]);
    assert_eq!(h.submit(batch.clone()).await.unwrap_err().kind, StoreErrorKind::Conflict);
    h.commit(vec![suspend(id, true, failure("PTL0203", "away"))]).await;
    assert_eq!(h.submit(batch).await.unwrap().changed, [0, 1]);
    assert_eq!(h.instance(id).await, None);
}

/// Not run in every mode: thousands of commits.
pub(super) async fn batches_are_remembered_for_long(mut h: Harness) {
    let (mut batches, mut gone) = (Vec::new(), Vec::new());
    for at in 0..3_000 {
        let message = h.message(format!("<order number=\"{at}\"/>"));
        let instance = h.ready(&message, "A");
        let id = instance.id;
        let batch = Batch { durability: Durability::Lazy, ..h.batch(vec![publish(message, vec![instance])]) };
        h.submit(batch.clone()).await.unwrap();
        batches.push(batch);
        gone.push(complete(id));
    }
    h.commit(gone).await;
    for batch in batches.into_iter().step_by(7) {
        assert_eq!(h.submit(batch).await.unwrap().changed, [1]);
    }
    assert_eq!(h.select(Selection::default()).await, []);
}

pub(super) async fn an_empty_batch_is_applied(mut h: Harness) {
    assert_eq!(h.commit(vec![]).await, [] as [u64; 0]);
    let lazy = Batch { durability: Durability::Lazy, ..h.batch(vec![]) };
    assert_eq!(h.submit(lazy).await.unwrap().changed, [] as [u64; 0]);
}

pub(super) async fn a_batch_made_in_another_epoch_is_a_conflict(mut h: Harness) {
    assert_eq!(ask::epoch(h.store()).await.unwrap(), 0, "a new store");
    let made_in = |h: &mut Harness, epoch, to| Batch { epoch: Some(epoch), ..h.batch(vec![Operation::SetEpoch(to)]) };

    let wrong = made_in(&mut h, 1, 2);
    assert_eq!(h.submit(wrong).await.unwrap_err().kind, StoreErrorKind::Conflict);
    let right = made_in(&mut h, 0, u64::from(u32::MAX) + 7);
    assert_eq!(h.submit(right).await.unwrap().changed, [1]);
    h.step().await;
    assert_eq!(ask::epoch(h.store()).await.unwrap(), u64::from(u32::MAX) + 7);
    let late = made_in(&mut h, 0, 2);
    assert_eq!(h.submit(late).await.unwrap_err().kind, StoreErrorKind::Conflict, "of two that change the epoch at once, one wins");

    // The epoch that counts is the one before the batch.
    let changing = vec![Operation::SetEpoch(1), Operation::SetEpoch(1), set_state("k", Some("v"))];
    let batch = Batch { epoch: Some(u64::from(u32::MAX) + 7), ..h.batch(changing) };
    assert_eq!(h.submit(batch).await.unwrap().changed, [1, 0, 1]);
    assert_eq!(h.commit(vec![Operation::SetEpoch(0)]).await, [1], "without an epoch any will do");
}

pub(super) async fn require_holds_or_the_batch_is_a_conflict(mut h: Harness) {
    let ready = h.publish(&["A"]).await[0];
    let resumable = h.publish_suspended("A", true).await;
    let not_resumable = h.publish_suspended("A", false).await;
    let nobody = h.instance_id();
    h.step().await;
    assert_eq!(h.commit(vec![require(ready, false), require(resumable, true), require(not_resumable, true)]).await, [0, 0, 0]);
    assert_eq!(h.claimed("A", NOW).await, [ready]);
    assert_eq!(h.commit(vec![require(ready, false)]).await, [0], "a claimed instance exists");
    for refused in [require(ready, true), require(nobody, false), require(nobody, true)] {
        assert_eq!(h.refused(vec![refused]).await, StoreErrorKind::Conflict);
    }
}

pub(super) async fn taking_away_and_publishing_happens_exactly_once(mut h: Harness) {
    let old = h.publish_suspended("A", true).await;
    h.step().await;
    let edited = h.message("<order edited=\"1\"/>");
    let mut instance = h.ready(&edited, "A");
    instance.about = Some(old);
    let new = instance.id;
    assert_eq!(h.commit(vec![require(old, true), complete(old), publish(edited, vec![instance])]).await, [0, 1, 1]);
    h.step().await;

    let again = h.message("<order edited=\"2\"/>");
    let instance = h.ready(&again, "A");
    assert_eq!(h.refused(vec![require(old, true), complete(old), publish(again, vec![instance])]).await, StoreErrorKind::Conflict);
    let left = h.select(Selection::default()).await;
    assert_eq!(left.iter().map(|i| (i.id, i.about)).collect::<Vec<_>>(), [(new, Some(old))]);
}

pub(super) async fn a_malformed_batch_is_invalid(mut h: Harness) {
    let before = h.snapshot().await;
    let good = h.message("<order/>");
    let instance = h.ready(&good, "A");
    let foreign = crate::batch::NewInstance { instance: h.ready(&good, "A"), claim: false };
    let foreign =
        NewInstance { instance: portolan_model::instance::Instance { message: MessageId(h.id()), ..foreign.instance }, ..foreign };
    let mut no_such_body = h.message("<order/>");
    no_such_body.body_index = 1;
    let no_such_body = (h.ready(&no_such_body, "A"), no_such_body);
    let mut same_name = h.message("<order/>");
    same_name.parts.push(same_name.parts[0].clone());
    let same_name = (h.ready(&same_name, "A"), same_name);
    let other = h.message("<other/>");
    let twice = portolan_model::instance::Instance { message: other.id, ..instance.clone() };
    for operations in [
        vec![publish(good.clone(), vec![])],
        vec![Operation::Publish { message: Arc::new(good.clone()), instances: vec![foreign] }],
        vec![publish(no_such_body.1, vec![no_such_body.0])],
        vec![publish(same_name.1, vec![same_name.0])],
        vec![publish(good.clone(), vec![instance.clone(), instance.clone()])],
        vec![publish(good.clone(), vec![instance.clone()]), publish(other, vec![twice])],
        vec![publish(good.clone(), vec![instance.clone()]), publish(good.clone(), vec![h.ready(&good, "A")])],
    ] {
        let with_more = [set_state("k", Some("v"))].into_iter().chain(operations.clone()).collect();
        assert_eq!(h.refused(with_more).await, StoreErrorKind::Invalid, "{operations:?}");
        assert_eq!(h.snapshot().await, before);
    }
    // What is wrong in itself is said before what does not fit the store.
    let stale = Batch { epoch: Some(77), ..h.batch(vec![publish(good, vec![])]) };
    assert_eq!(h.submit(stale).await.unwrap_err().kind, StoreErrorKind::Invalid);
}

pub(super) async fn a_lazy_commit_is_seen_at_once_and_survives_closing(mut h: Harness) {
    let ids = h.publish(&["A", "A", "A"]).await;
    let message = h.message("<lazy/>");
    let instance = h.ready(&message, "A");
    let new = instance.id;
    let lazy = vec![complete(ids[0]), publish(message, vec![instance]), set_state("k", Some("v")), remember("a.xml"), event("lazy")];
    let lazy = Batch { durability: Durability::Lazy, ..h.batch(lazy) };
    assert_eq!(h.submit(lazy).await.unwrap().changed, [1; 5]);
    let before = h.snapshot().await;
    assert_eq!(before.instances.len(), 3);
    assert_eq!(before.keys, ["a.xml"]);
    assert_eq!(before.states.len(), 1);
    assert_eq!(before.events.len(), 1);

    assert_eq!(h.claimed("A", NOW).await, [ids[1], ids[2], new]);
    let lazy = Batch { durability: Durability::Lazy, ..h.batch(vec![complete(ids[1])]) };
    h.submit(lazy).await.unwrap();
    h.reopen().await;
    assert_eq!(h.claimed("A", NOW).await, [ids[2], new]);
    let after = h.snapshot().await;
    assert_eq!((after.keys, after.states, after.events), (before.keys, before.states, before.events));
}

pub(super) async fn operations_see_what_those_before_them_did(mut h: Harness) {
    let old = h.publish(&["A"]).await[0];
    h.step().await;
    assert_eq!(h.refused(vec![complete(old), require(old, false)]).await, StoreErrorKind::Conflict);

    let message = h.message("<order/>");
    let instance = h.ready(&message, "A");
    let new = instance.id;
    let changed = h
        .commit(vec![
            publish(message, vec![instance]),
            require(new, false),
            suspend(new, true, failure("PTL0203", "away")),
            require(new, true),
            act(Selection::of([new, old]), Action::Resume),
            act(Selection::of([new, old]), Action::Resume),
            complete(old),
            complete(old),
            set_state("k", Some("1")),
            set_state("k", Some("2")),
            remember("a.xml"),
            Operation::ForgetKey { scope: SCOPE.into(), key: "a.xml".into() },
            remember("a.xml"),
        ])
        .await;
    assert_eq!(changed, [1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1]);
    h.step().await;
    assert_eq!(h.claimed("A", NOW).await, [new]);
    let state = h.snapshot().await;
    assert_eq!(state.states, [("k".to_owned(), "2".to_owned())]);
    assert_eq!(state.keys, ["a.xml"]);

    // The id of a message and of an instance are free again once these are gone.
    let reborn = h.message("<again/>");
    let instance = h.ready(&reborn, "A");
    let (id, text) = (instance.id, portolan_model::Message { context: super::fixture::typed("again"), ..reborn.clone() });
    h.commit(vec![publish(reborn, vec![instance.clone()])]).await;
    assert_eq!(h.commit(vec![complete(id), publish(text.clone(), vec![instance])]).await, [1, 1]);
    h.step().await;
    assert_eq!(*ask::message(h.store(), text.id).await.unwrap().unwrap(), text);
    assert_eq!(h.claimed("A", NOW).await.last(), Some(&id));
}

pub(super) async fn a_closed_store_says_so(mut h: Harness) {
    let ids = h.publish(&["A"]).await;
    let mut changes = h.store().changes();
    h.store().close().await.unwrap();
    h.store().close().await.unwrap();
    assert_eq!(changes.borrow_and_update().health, Health::Closed);

    let body = BodyRef { id: BodyId(h.id()), length: 1 };
    assert_eq!(h.refused(vec![complete(ids[0])]).await, StoreErrorKind::Closed);
    let claim = Claim { service: Service::send_port("A"), now: NOW, max: 1 };
    assert_eq!(h.store().claim(claim).await.unwrap_err().kind, StoreErrorKind::Closed);
    assert_eq!(h.store().put_chunk(body.id, 0, Bytes::from_static(b"x")).await.unwrap_err().kind, StoreErrorKind::Closed);
    assert_eq!(h.store().read_body(body, 0, 1).await.unwrap_err().kind, StoreErrorKind::Closed);
    assert_eq!(h.store().query(Query::Services).await.unwrap_err().kind, StoreErrorKind::Closed);

    h.reopen().await;
    assert_eq!(h.store().changes().borrow().health, Health::Working);
    assert_eq!(h.claimed("A", NOW).await, ids);
}
