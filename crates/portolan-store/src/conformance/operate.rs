//! Cases of what operators do: resume, terminate, suspend, one or thousands at a time.

use super::{
    fixture::{act, complete, failure, publish, release, second, suspend},
    harness::{Harness, NOW},
};
use crate::{
    batch::{Action, Operation},
    query::{Selection, StateFilter},
};
use portolan_model::{
    InstanceId,
    instance::{Instance, InstanceState, MessageForm, Progress, Service, TransportRole},
};
use std::collections::BTreeSet;

fn state(state: StateFilter) -> Selection {
    Selection { state: Some(state), ..Selection::default() }
}

pub(super) async fn resume_makes_ready_and_a_second_resume_changes_nothing(mut h: Harness) {
    let message = h.message("<order/>");
    let broken = Instance {
        progress: Progress { transport: TransportRole::Backup, attempts: 4 },
        ..h.ready(&message, "A").suspended(true, MessageForm::PostPipeline, failure("PTL0203", "away"))
    };
    h.commit(vec![publish(message, vec![broken.clone()])]).await;
    h.step().await;
    let resume = |seconds| Operation::Act { selection: Selection::default(), action: Action::Resume, at: second(seconds) };
    assert_eq!(h.commit(vec![resume(90)]).await, [1]);
    h.step().await;
    let expected = Instance { state: InstanceState::Ready, due: second(90), progress: Progress::default(), ..broken.clone() };
    assert_eq!(h.instance(broken.id).await, Some(expected.clone()), "form and last failure stay");
    assert_eq!(h.commit(vec![resume(95)]).await, [0]);
    h.step().await;
    assert_eq!(h.instance(broken.id).await, Some(expected), "a second click changes nothing");
    assert_eq!(h.claimed("A", NOW).await, [broken.id]);
    assert_eq!(h.commit(vec![resume(99)]).await, [0]);
}

pub(super) async fn resume_passes_over_what_cannot_be_resumed(mut h: Harness) {
    let ready = h.publish(&["A", "A"]).await;
    let resumable = h.publish_suspended("A", true).await;
    let not_resumable = h.publish_suspended("A", false).await;
    h.commit(vec![Operation::Reschedule { instance: ready[1], due: second(60), progress: Progress::default(), failure: None }]).await;
    h.step().await;
    let all = Selection::of([ready[0], ready[1], resumable, not_resumable]);
    let others = Selection::of([ready[0], ready[1], not_resumable]);
    let before = h.select(others.clone()).await;
    assert_eq!(h.commit(vec![act(all, Action::Resume)]).await, [1]);
    h.step().await;
    assert_eq!(h.select(others).await, before);
    assert_eq!(h.instance(resumable).await.unwrap().state, InstanceState::Ready);
}

pub(super) async fn terminate_takes_every_state_but_passes_over_claimed_ones(mut h: Harness) {
    let claimed = h.publish(&["A", "A"]).await;
    assert_eq!(h.claimed("A", NOW).await, claimed);
    let ready = h.publish(&["A", "A"]).await;
    h.commit(vec![Operation::Reschedule { instance: ready[1], due: second(60), progress: Progress::default(), failure: None }]).await;
    h.publish_suspended("A", true).await;
    h.publish_suspended("A", false).await;
    assert_eq!(h.commit(vec![act(Selection::default(), Action::Terminate)]).await, [4]);
    assert_eq!(h.select(Selection::default()).await.len(), 2);
    assert_eq!(h.commit(vec![complete(claimed[0])]).await, [1], "the one who claimed it goes on undisturbed");
    h.reopen().await;
    assert_eq!(h.commit(vec![act(Selection::default(), Action::Terminate)]).await, [1], "no longer claimed");
    assert_eq!(h.snapshot().await.instances, []);
}

/// A suspended message with its routing failure report.
async fn reported(h: &mut Harness) -> (InstanceId, InstanceId) {
    let (message, mut snapshot) = (h.message("<order/>"), h.message(""));
    snapshot.parts.clear();
    let why = failure("PTL0102", "nobody subscribes");
    let broken = h.ready(&message, "").suspended(true, MessageForm::PostPipeline, why.clone());
    let broken = Instance { service: Service::receive_port("Orders"), ..broken };
    let report = Instance {
        service: Service::report(),
        about: Some(broken.id),
        ..h.ready(&snapshot, "").suspended(false, MessageForm::Published, why)
    };
    let ids = (broken.id, report.id);
    h.commit(vec![publish(message, vec![broken]), publish(snapshot, vec![report])]).await;
    ids
}

pub(super) async fn terminate_removes_the_report_about_an_instance(mut h: Harness) {
    let (broken, report) = reported(&mut h).await;
    let (other, other_report) = reported(&mut h).await;
    // An edited message is about the one it replaces, but is no report.
    let edited = h.message("<order/>");
    let edited_instance = Instance { about: Some(broken), ..h.ready(&edited, "A") };
    let edited_id = edited_instance.id;
    h.commit(vec![publish(edited, vec![edited_instance])]).await;
    h.step().await;
    let report_message = h.instance(report).await.unwrap().message;

    assert_eq!(h.commit(vec![act(Selection::of([broken]), Action::Terminate)]).await, [1], "the report is not counted");
    h.step().await;
    let left: Vec<InstanceId> = h.select(Selection::default()).await.iter().map(|instance| instance.id).collect();
    assert_eq!(left.len(), 3);
    assert!([other, other_report, edited_id].iter().all(|id| left.contains(id)), "{left:?}");
    assert!(!h.has_message(report_message).await);

    assert_eq!(h.commit(vec![act(state(StateFilter::Suspended), Action::Terminate)]).await, [2], "both were selected");
    let (broken, report) = reported(&mut h).await;
    h.step().await;
    assert_eq!(h.commit(vec![act(Selection::of([report]), Action::Terminate)]).await, [1]);
    assert!(h.instance(broken).await.is_some(), "a report may go alone");
    let about = |about| Selection { about: Some(about), ..Selection::default() };
    assert_eq!(h.commit(vec![complete(broken), act(about(broken), Action::Terminate)]).await, [1, 0]);
}

pub(super) async fn suspending_by_hand_passes_over_claimed_and_suspended_ones(mut h: Harness) {
    let claimed = h.publish(&["A"]).await[0];
    assert_eq!(h.claimed("A", NOW).await, [claimed]);
    let there = h.publish(&["A", "A"]).await;
    let why = failure("PTL0202", "refused");
    let progress = Progress { transport: TransportRole::Primary, attempts: 1 };
    h.commit(vec![Operation::Reschedule { instance: there[1], due: second(60), progress, failure: Some(why.clone()) }]).await;
    let not_resumable = h.publish_suspended("A", false).await;
    let before = (h.instance(there[0]).await.unwrap(), h.instance(there[1]).await.unwrap());

    assert_eq!(h.commit(vec![act(Selection::default(), Action::Suspend)]).await, [2]);
    assert_eq!(h.commit(vec![act(Selection::default(), Action::Suspend)]).await, [0]);
    assert_eq!(h.instance(claimed).await.unwrap().state, InstanceState::Ready);
    h.step().await;
    let suspended = |instance: Instance| Some(Instance { state: InstanceState::SuspendedResumable, ..instance });
    assert_eq!(h.instance(there[0]).await, suspended(before.0));
    assert_eq!(h.instance(there[1]).await, suspended(before.1), "nothing but the state changes");
    assert_eq!(h.instance(not_resumable).await.unwrap().state, InstanceState::SuspendedNotResumable);
}

pub(super) async fn a_suspended_instance_may_be_suspended_again_with_a_new_reason(mut h: Harness) {
    let id = h.publish_suspended("A", true).await;
    h.step().await;
    let again = failure("PTL0103", "the send pipeline failed this time");
    let operation = Operation::Suspend { instance: id, resumable: false, form: MessageForm::Wire, failure: again.clone() };
    assert_eq!(h.commit(vec![operation]).await, [1]);
    h.step().await;
    let stored = h.instance(id).await.unwrap();
    assert_eq!((stored.state, stored.form, stored.failure), (InstanceState::SuspendedNotResumable, MessageForm::Wire, Some(again)));
    let code = |code: &str| Selection { code: Some(code.into()), ..Selection::default() };
    assert_eq!(h.select(code("PTL0103")).await.len(), 1);
    assert_eq!(h.select(code("PTL0203")).await.len(), 0, "found under the new reason only");
}

pub(super) async fn thousands_are_resumed_in_one_operation(mut h: Harness) {
    const MANY: usize = 2_000;
    let mut there = Vec::new();
    for _ in 0..MANY / 100 {
        let mut operations = Vec::new();
        for _ in 0..100 {
            let message = h.message("<order/>");
            let instance = h.ready(&message, "A");
            there.push(instance.id);
            operations.push(publish_and_suspend(message, instance));
        }
        h.commit(operations.into_iter().flatten().collect()).await;
    }
    h.step().await;
    let all = Selection { service: Some("A".into()), state: Some(StateFilter::Suspended), ..Selection::default() };
    assert_eq!(h.commit(vec![act(all.clone(), Action::Resume)]).await, [MANY as u64]);
    assert_eq!(h.commit(vec![act(all, Action::Resume)]).await, [0]);
    h.step().await;
    let mut claimed = Vec::new();
    while claimed.len() < MANY {
        let some = h.claim("A", NOW, 300).await.work;
        assert!(!some.is_empty(), "{} of {MANY}", claimed.len());
        claimed.extend(some.into_iter().map(|work| work.instance.id));
    }
    assert_eq!(claimed, there, "resumed at one moment, they go in the order in which they were published");
    assert_eq!(h.commit(vec![act(Selection::of(there[..1000].to_vec()), Action::Terminate)]).await, [0], "all are claimed");
    h.reopen().await;
    assert_eq!(h.commit(vec![act(Selection::of(there[..1000].to_vec()), Action::Terminate)]).await, [1000]);
    assert_eq!(h.claimed("A", NOW).await, there[1000..]);
}

/// Not run in every mode: ten thousand instances, more than a store may want to look at in one go.
pub(super) async fn a_large_backlog_goes_out_in_order_whatever_joins_it(mut h: Harness) {
    // Priority, due in seconds, place in the order of publication.
    let mut expected: BTreeSet<(u8, i64, usize, InstanceId)> = BTreeSet::new();
    let mut published = 0;
    let resume =
        |ids: Vec<InstanceId>, seconds| Operation::Act { selection: Selection::of(ids), action: Action::Resume, at: second(seconds) };
    for _ in 0..20 {
        let mut operations = Vec::new();
        for _ in 0..500 {
            let message = h.message("<order/>");
            let instance = h.ready(&message, "A").suspended(true, MessageForm::Published, failure("PTL0203", "away"));
            published += 1;
            expected.insert((5, 0, published, instance.id));
            operations.push(publish(message, vec![instance]));
        }
        h.commit(operations).await;
    }
    assert_eq!(h.commit(vec![resume(expected.iter().map(|key| key.3).collect(), 0)]).await, [10_000]);
    let late = h.publish_suspended("A", true).await;
    published += 1;
    expected.insert((5, -500, published, late));
    h.commit(vec![resume(vec![late], -500)]).await;

    for round in 1.. {
        let work: Vec<InstanceId> = h.claim("A", second(10), 700).await.work.iter().map(|work| work.instance.id).collect();
        let front: Vec<_> = expected.iter().take(700).copied().collect();
        assert!(
            work.iter().eq(front.iter().map(|key| &key.3)),
            "round {round}: {} of {} given, or in another order",
            work.len(),
            front.len()
        );
        if front.is_empty() {
            break;
        }
        let mut operations = Vec::new();
        for (at, key) in front.into_iter().enumerate() {
            let (priority, _, place, instance) = key;
            expected.remove(&key);
            match at {
                // Given back: as old as before.
                0..20 if round < 8 => {
                    operations.push(release(instance));
                    expected.insert(key);
                }
                // Tried again, after all the rest or before.
                20..60 if round < 8 => {
                    let due = if at % 2 == 0 { 10 } else { -round };
                    operations.push(Operation::Reschedule { instance, due: second(due), progress: Progress::default(), failure: None });
                    expected.insert((priority, due, place, instance));
                }
                _ => operations.push(complete(instance)),
            }
        }
        if round < 8 {
            let urgent = h.message("<urgent/>");
            let instances = [1, 5, 9].map(|priority| Instance { priority, ..h.ready(&urgent, "A") });
            for instance in &instances {
                published += 1;
                expected.insert((instance.priority, 0, published, instance.id));
            }
            operations.push(publish(urgent, instances.to_vec()));
        }
        h.commit(operations).await;
        if round == 4 {
            h.reopen().await;
        }
    }
    assert_eq!(h.select(Selection::default()).await.len(), 0);
}

fn publish_and_suspend(message: portolan_model::Message, instance: Instance) -> [Operation; 2] {
    let id = instance.id;
    [publish(message, vec![instance]), suspend(id, true, failure("PTL0203", "the destination is away"))]
}
