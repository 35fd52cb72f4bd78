//! Cases of [`MessageBox::claim`](crate::MessageBox::claim) and of giving claims back.

use super::{
    fixture::{PATIENCE, act, complete, failure, publish, publish_claimed, release, scheduled, second, suspend},
    harness::{Harness, NOW},
};
use crate::{
    batch::{Action, NewInstance, Operation},
    port::Claimed,
    query::Selection,
};
use portolan_model::{
    InstanceId, Message, SmolStr,
    instance::{Instance, InstanceState, MessageForm, Progress, Service, TransportRole},
};
use std::sync::Arc;

fn ids(claimed: &Claimed) -> Vec<InstanceId> {
    claimed.work.iter().map(|work| work.instance.id).collect()
}

fn reschedule(instance: InstanceId, seconds: i64) -> Operation {
    Operation::Reschedule { instance, due: second(seconds), progress: Progress::default(), failure: None }
}

pub(super) async fn a_claimed_instance_is_given_to_nobody_else(mut h: Harness) {
    let there = h.publish(&["A", "A"]).await;
    let before = h.instance(there[0]).await.unwrap();
    h.step().await;
    assert_eq!(ids(&h.claim("A", NOW, 1).await), there[..1]);
    assert_eq!(ids(&h.claim("A", NOW, 9).await), there[1..]);
    assert_eq!(h.claim("A", NOW, 9).await.work.len(), 0);
    assert_eq!(h.instance(there[0]).await.unwrap(), before, "a claim does not change the instance");

    assert_eq!(h.commit(vec![release(there[0]), release(there[0])]).await, [1, 0]);
    let again = h.claim("A", second(-1000), 9).await;
    assert_eq!(ids(&again), there[..1], "a ready instance does not wait for its moment");
    assert_eq!(again.work[0].instance, before, "given back unchanged");

    h.reopen().await;
    assert_eq!(ids(&h.claim("A", NOW, 9).await), there, "a restart releases all claims");
    assert_eq!(h.commit(vec![complete(there[0]), complete(there[1])]).await, [1, 1]);
    h.reopen().await;
    assert_eq!(ids(&h.claim("A", NOW, 9).await), []);
}

pub(super) async fn an_instance_claimed_at_publication_is_its_publishers(mut h: Harness) {
    let message = h.message("<order/>");
    let (claimed, left) = (h.ready(&message, "A"), h.ready(&message, "A"));
    let waiting = scheduled(h.ready(&message, "A"), NOW);
    let broken = h.ready(&message, "A").suspended(true, MessageForm::Published, failure("PTL0203", "away"));
    let all = [claimed.id, left.id, waiting.id, broken.id];
    let instances = [(claimed, true), (left, false), (waiting, true), (broken, true)];
    let instances = instances.into_iter().map(|(instance, claim)| NewInstance { instance, claim }).collect();
    assert_eq!(h.commit(vec![Operation::Publish { message: Arc::new(message), instances }]).await, [4]);

    assert_eq!(ids(&h.claim("A", NOW, 9).await), [all[1], all[2]], "only ready instances are claimed at publication");
    assert_eq!(h.commit(vec![act(Selection::of(all), Action::Resume)]).await, [1], "the suspended one is not claimed");
    assert_eq!(h.commit(vec![release(all[0])]).await, [1]);
    assert_eq!(ids(&h.claim("A", NOW, 9).await), [all[0], all[3]]);
    h.reopen().await;
    assert_eq!(ids(&h.claim("A", NOW, 9).await), all);
}

pub(super) async fn a_claim_is_for_one_service(mut h: Harness) {
    let message = h.message("<order/>");
    let services =
        [Service::send_port("A"), Service::receive_port("A"), Service::send_port("a"), Service::send_port("AA"), Service::report()];
    let instances: Vec<Instance> = services.iter().map(|service| Instance { service: service.clone(), ..h.ready(&message, "") }).collect();
    h.commit(vec![publish(message, instances.clone())]).await;
    h.step().await;
    assert_eq!(h.claim("B", NOW, 9).await.work.len(), 0);
    for (service, instance) in services.into_iter().zip(instances) {
        assert_eq!(ids(&h.claim_of(service.clone(), NOW, 9).await), [instance.id], "{service:?}");
    }
}

pub(super) async fn claims_come_by_priority_then_due_then_publication(mut h: Harness) {
    // Ids fall while publication goes on: it is not they that decide.
    let mut free: Vec<InstanceId> = (0..12).map(|_| h.instance_id()).collect();
    let mut expected = Vec::new();
    for (priority, due, place) in [
        (5, 0, 4),
        (5, 0, 5),
        (1, 9, 1),
        (10, -50, 10),
        (5, -1, 3),
        (1, 9, 2),
        (10, 0, 12),
        (5, 8, 8),
        (1, -9, 0),
        (5, 0, 6),
        (5, 3, 7),
        (10, -50, 11),
    ] {
        let message = h.message("<order/>");
        let instance = Instance { id: free.pop().unwrap(), priority, due: second(due), ..h.ready(&message, "A") };
        let instance = if due > 0 { scheduled(instance, second(due)) } else { instance };
        expected.push((place, instance.id));
        h.commit(vec![publish(message, vec![instance])]).await;
    }
    expected.sort_unstable_by_key(|(place, _)| *place);
    let expected: Vec<InstanceId> = expected.into_iter().map(|(_, id)| id).collect();
    h.step().await;
    assert_eq!(ids(&h.claim("A", second(9), 5).await), expected[..5]);
    assert_eq!(ids(&h.claim("A", second(9), 9).await), expected[5..]);
    h.reopen().await;
    assert_eq!(ids(&h.claim("A", second(9), 99).await), expected, "and the same after a restart");

    let message = h.message("<order/>");
    let subscribers: Vec<Instance> = (0..3).map(|_| h.ready(&message, "B")).rev().collect();
    let order: Vec<InstanceId> = subscribers.iter().map(|instance| instance.id).collect();
    h.commit(vec![publish(message, subscribers)]).await;
    h.step().await;
    assert_eq!(h.claimed("B", NOW).await, order, "instances of one publication in their order");
}

pub(super) async fn a_scheduled_instance_is_not_given_before_it_is_due(mut h: Harness) {
    let message = h.message("<order/>");
    let instances: Vec<Instance> = [300, 100, 200].into_iter().map(|due| scheduled(h.ready(&message, "A"), second(due))).collect();
    let there: Vec<InstanceId> = instances.iter().map(|instance| instance.id).collect();
    h.commit(vec![publish(message, instances)]).await;
    let elsewhere = h.message("<order/>");
    let sooner = scheduled(h.ready(&elsewhere, "B"), second(1));
    h.commit(vec![publish(elsewhere, vec![sooner])]).await;
    h.step().await;

    let early = h.claim("A", second(99), 9).await;
    assert_eq!((ids(&early), early.next_due), (vec![], Some(second(100))));
    let due = h.claim("A", second(100), 9).await;
    assert_eq!((ids(&due), due.next_due), (vec![there[1]], Some(second(200))), "due at its very moment");
    assert_eq!(due.work[0].instance.state, InstanceState::Scheduled, "a claim does not change the state");
    let full = h.claim("A", second(200), 1).await;
    assert_eq!((ids(&full), full.next_due), (vec![there[2]], None), "who got all they asked for will ask again at once");
    assert_eq!(ids(&h.claim("A", second(300), 1).await), [there[0]]);
    assert_eq!(h.claim("A", NOW, 9).await.next_due, None, "claimed ones do not become due");

    assert_eq!(h.commit(vec![release(there[0])]).await, [1]);
    assert_eq!(h.claim("A", NOW, 9).await.next_due, Some(second(300)), "given back, it waits as before");
    h.reopen().await;
    let later = h.claim("A", second(100), 9).await;
    assert_eq!((ids(&later), later.next_due), (vec![there[1]], Some(second(200))));
}

/// The clocks of callers differ, and are set back.
pub(super) async fn a_claim_of_an_earlier_moment_gives_nothing_too_soon(mut h: Harness) {
    let message = h.message("<order/>");
    let instances: Vec<Instance> = [100, 200, 300].into_iter().map(|due| scheduled(h.ready(&message, "A"), second(due))).collect();
    let there: Vec<InstanceId> = instances.iter().map(|instance| instance.id).collect();
    h.commit(vec![publish(message, instances)]).await;
    h.step().await;
    assert_eq!(ids(&h.claim("A", second(999), 1).await), there[..1]);
    let earlier = h.claim("A", second(199), 9).await;
    assert_eq!((ids(&earlier), earlier.next_due), (vec![], Some(second(200))));
    assert_eq!(ids(&h.claim("A", second(200), 9).await), there[1..2]);
    assert_eq!(ids(&h.claim("A", second(300), 9).await), there[2..]);
}

pub(super) async fn a_rescheduled_instance_keeps_its_progress_and_failure(mut h: Harness) {
    let there = h.publish(&["A", "A", "A"]).await;
    assert_eq!(h.claimed("A", NOW).await, there);
    let progress = Progress { transport: TransportRole::Backup, attempts: 7 };
    let why = failure("PTL0202", "connection refused");
    let again = |failure| Operation::Reschedule { instance: there[0], due: second(60), progress, failure };
    assert_eq!(h.commit(vec![again(Some(why.clone()))]).await, [1]);
    h.step().await;
    let stored = h.instance(there[0]).await.unwrap();
    assert_eq!((stored.state, stored.due, stored.progress), (InstanceState::Scheduled, second(60), progress));
    assert_eq!(stored.failure, Some(why.clone()));
    assert_eq!(stored.created, NOW);
    assert!(!h.claimed("A", second(59)).await.contains(&there[0]));
    assert_eq!(h.claim("A", second(60), 1).await.work[0].instance, stored);

    assert_eq!(h.commit(vec![again(None)]).await, [1]);
    h.step().await;
    assert_eq!(h.instance(there[0]).await.unwrap().failure, Some(why), "no new failure keeps the old one");
    assert_eq!(h.commit(vec![reschedule(there[1], 5), reschedule(there[1], 6)]).await, [1, 1], "claimed or not");
    h.step().await;
    let rescheduled = h.claim("A", second(6), 9).await;
    assert!(ids(&rescheduled).contains(&there[1]), "rescheduling gave the claim back");
    assert_eq!(h.instance(there[1]).await.unwrap().due, second(6));
}

pub(super) async fn a_suspended_instance_is_not_given(mut h: Harness) {
    let there = h.publish(&["A", "A", "A"]).await;
    assert_eq!(h.claimed("A", NOW).await, there);
    let why = failure("PTL0203", "gave up");
    let changed = h.commit(vec![suspend(there[0], true, why.clone()), suspend(there[1], false, why.clone())]).await;
    assert_eq!(changed, [1, 1]);
    h.step().await;
    assert_eq!(h.commit(vec![release(there[0]), reschedule(there[0], 1), reschedule(there[1], 1)]).await, [0, 0, 0]);
    let (resumable, not) = (h.instance(there[0]).await.unwrap(), h.instance(there[1]).await.unwrap());
    assert_eq!((resumable.state, not.state), (InstanceState::SuspendedResumable, InstanceState::SuspendedNotResumable));
    assert_eq!(resumable.failure, Some(why));
    h.reopen().await;
    let left = h.claim("A", second(9999), 9).await;
    assert_eq!((ids(&left), left.next_due), (vec![there[2]], None));
}

pub(super) async fn a_claim_takes_at_most_what_was_asked(mut h: Harness) {
    let there = h.publish(&["A"; 10]).await;
    h.step().await;
    assert_eq!(h.claim("A", NOW, 0).await.work.len(), 0);
    assert_eq!(ids(&h.claim("A", NOW, 3).await), there[..3]);
    assert_eq!(ids(&h.claim("A", NOW, 3).await), there[3..6]);
    assert_eq!(ids(&h.claim("A", NOW, usize::MAX).await), there[6..]);
}

pub(super) async fn operations_on_gone_instances_change_nothing(mut h: Harness) {
    let gone = h.publish(&["A"]).await[0];
    let never = h.instance_id();
    h.commit(vec![complete(gone)]).await;
    h.step().await;
    let before = h.snapshot().await;
    for id in [gone, never] {
        let operations = vec![
            complete(id),
            release(id),
            reschedule(id, 5),
            suspend(id, true, failure("PTL0203", "away")),
            act(Selection::of([id]), Action::Resume),
            act(Selection::of([id]), Action::Suspend),
            act(Selection::of([id]), Action::Terminate),
        ];
        assert_eq!(h.commit(operations).await, [0; 7]);
    }
    h.step().await;
    assert_eq!(h.snapshot().await, before);
}

pub(super) async fn work_carries_the_whole_message(mut h: Harness) {
    let mut messages: Vec<Message> = Vec::new();
    for at in 0..20 {
        let mut message = h.message(format!("<order number=\"{at}\"/>"));
        message.context = super::fixture::typed(&format!("urn:orders#Order{at}"));
        message.parts[0].content_type = Some(SmolStr::new("application/xml"));
        let instances = vec![h.ready(&message, "A"), h.ready(&message, "B")];
        h.commit(vec![publish(message.clone(), instances)]).await;
        messages.push(message);
    }
    h.step().await;
    for port in ["A", "B"] {
        let claimed = h.claim(port, NOW, 99).await;
        assert_eq!(claimed.work.len(), 20);
        for (work, message) in claimed.work.iter().zip(&messages) {
            assert_eq!(*work.message, *message);
            assert_eq!(work.instance.message, message.id);
            assert_eq!(Some(&work.instance), h.instance(work.instance.id).await.as_ref());
        }
    }
}

pub(super) async fn changes_grow_when_work_may_have_become_ready(mut h: Harness) {
    let mut changes = h.store().changes();
    let mut last = changes.borrow_and_update().generation;
    let mut steps: Vec<(&str, Vec<Operation>, bool)> = Vec::new();
    let (first, second_, third) = (h.message("1"), h.message("2"), h.message("3"));
    let (unclaimed, claimed, waiting) = (h.ready(&first, "A"), h.ready(&second_, "A"), scheduled(h.ready(&third, "A"), second(60)));
    let id = claimed.id;
    steps.push(("an unclaimed publication", vec![publish(first, vec![unclaimed])], true));
    steps.push(("a claimed publication", vec![publish_claimed(second_, vec![claimed])], false));
    steps.push(("a scheduled publication", vec![publish(third, vec![waiting])], true));
    steps.push(("a release", vec![release(id)], false));
    steps.push(("a suspension", vec![suspend(id, true, failure("PTL0203", "away"))], false));
    steps.push(("a resume", vec![act(Selection::of([id]), Action::Resume)], true));
    steps.push(("a resume of nothing", vec![act(Selection::of([id]), Action::Resume)], false));
    let fourth = h.message("4");
    let broken = h.ready(&fourth, "A").suspended(true, MessageForm::Wire, failure("PTL0101", "not XML"));
    steps.push(("a suspended publication", vec![publish(fourth, vec![broken])], false));
    for (what, operations, grows) in steps {
        let batch = h.batch(operations);
        h.submit(batch.clone()).await.unwrap();
        if grows {
            let seen = tokio::time::timeout(PATIENCE, changes.wait_for(|changes| changes.generation > last)).await;
            last = seen.unwrap_or_else(|_| panic!("{what} is announced")).unwrap().generation;
        }
        assert_eq!(changes.borrow_and_update().generation, last, "{what}");
        h.submit(batch).await.unwrap();
        assert_eq!(changes.borrow_and_update().generation, last, "{what}, repeated");
    }
}
