//! Cases of many tasks at once: what is promised to one caller holds whatever the others do.

use super::{
    fixture::{PATIENCE, act, complete, publish, release, require},
    harness::{Harness, NOW, SCOPE},
    lost::retrying,
};
use crate::{
    batch::{Action, Batch, Durability, Operation, Receipt},
    error::{StoreError, StoreErrorKind},
    port::Claim,
    query::Selection,
};
use portolan_model::{InstanceId, instance::Service};
use std::collections::BTreeSet;

/// Commits all batches at once, each in its own task.
async fn at_once(h: &Harness, batches: Vec<Batch>) -> Vec<Result<Receipt, StoreError>> {
    let tasks = batches.into_iter().map(|batch| {
        let store = h.shared();
        tokio::spawn(async move { retrying(&*store, batch).await })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

pub(super) async fn concurrent_claims_share_nothing_and_miss_nothing(mut h: Harness) {
    const MANY: usize = 600;
    let there: BTreeSet<InstanceId> = h.publish(&["A"; MANY]).await.into_iter().collect();
    h.step().await;
    let claimers: Vec<_> = (0..6)
        .map(|task: usize| {
            let store = h.shared();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let claim = Claim { service: Service::send_port("A"), now: NOW, max: 3 + task };
                    let work = store.claim(claim).await.unwrap().work;
                    if work.is_empty() {
                        return mine;
                    }
                    mine.extend(work.into_iter().map(|work| work.instance.id));
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), MANY, "an instance was given twice, or not at all");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), there);
}

pub(super) async fn concurrent_publications_all_arrive(mut h: Harness) {
    let mut batches = Vec::new();
    let mut published = BTreeSet::new();
    for at in 0..200 {
        let message = h.message(format!("<order number=\"{at}\"/>"));
        let instances = vec![h.ready(&message, "A"), h.ready(&message, "B")];
        published.extend(instances.iter().map(|instance| instance.id));
        let durability = if at % 4 == 0 { Durability::Lazy } else { Durability::Sync };
        batches.push(Batch { durability, ..h.batch(vec![publish(message, instances)]) });
    }
    for answer in at_once(&h, batches).await {
        assert_eq!(answer.unwrap().changed, [2]);
    }
    h.step().await;
    let stored: BTreeSet<InstanceId> = h.select(Selection::default()).await.iter().map(|instance| instance.id).collect();
    assert_eq!(stored, published);

    // And all go, whoever completes them in whatever order.
    let batches = published.iter().map(|id| Batch { durability: Durability::Lazy, ..h.batch(vec![complete(*id)]) }).collect();
    for answer in at_once(&h, batches).await {
        assert_eq!(answer.unwrap().changed, [1]);
    }
    h.step().await;
    assert_eq!(h.select(Selection::default()).await, []);
}

pub(super) async fn of_concurrent_takers_of_one_key_one_wins(mut h: Harness) {
    let mut batches = Vec::new();
    for _ in 0..16 {
        let message = h.message("<order/>");
        let instance = h.ready(&message, "A");
        let key = Operation::RememberKey { scope: SCOPE.into(), key: "a.xml".into(), at: NOW };
        batches.push(h.batch(vec![publish(message, vec![instance]), key]));
    }
    let answers = at_once(&h, batches).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind, StoreErrorKind::Duplicate, "{error}");
    }
    h.step().await;
    assert_eq!(h.select(Selection::default()).await.len(), 1, "taken in once");
}

pub(super) async fn of_concurrent_takers_of_one_instance_one_wins(mut h: Harness) {
    let old = h.publish_suspended("A", true).await;
    h.step().await;
    let mut batches = Vec::new();
    for at in 0..16 {
        let message = h.message(format!("<order edited=\"{at}\"/>"));
        let instance = h.ready(&message, "A");
        batches.push(h.batch(vec![require(old, true), complete(old), publish(message, vec![instance])]));
    }
    let answers = at_once(&h, batches).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}");
    }
    h.step().await;
    assert_eq!(h.select(Selection::default()).await.len(), 1);
}

pub(super) async fn a_batch_submitted_twice_at_once_is_applied_once(mut h: Harness) {
    let message = h.message("<order/>");
    let instance = h.ready(&message, "A");
    let key = Operation::RememberKey { scope: SCOPE.into(), key: "a.xml".into(), at: NOW };
    let batch = h.batch(vec![publish(message, vec![instance]), key]);
    for answer in at_once(&h, vec![batch; 16]).await {
        assert_eq!(answer.unwrap().changed, [1, 1]);
    }
    h.step().await;
    assert_eq!(h.select(Selection::default()).await.len(), 1);
}

/// Instances that were suspended and resumed: kept where operators' actions work.
async fn resumed(h: &mut Harness, count: usize) -> Vec<InstanceId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(h.publish_suspended("A", true).await);
    }
    h.commit(vec![act(Selection::of(ids.clone()), Action::Resume)]).await;
    ids
}

/// An action that finds nothing to do.
fn idle_action() -> Operation {
    act(Selection { service: Some("nobody".into()), ..Selection::default() }, Action::Suspend)
}

pub(super) async fn a_claim_after_an_action_misses_nothing(mut h: Harness) {
    let there = resumed(&mut h, 3).await;
    let nobody = h.instance_id();
    for _ in 0..40 {
        assert_eq!(h.refused(vec![idle_action(), require(nobody, false)]).await, StoreErrorKind::Conflict);
        assert_eq!(h.claimed("A", NOW).await, there, "after an action that failed");
        h.commit(there.iter().map(|id| release(*id)).collect()).await;
        h.commit(vec![idle_action()]).await;
        assert_eq!(h.claimed("A", NOW).await, there, "after an action");
        h.commit(there.iter().map(|id| release(*id)).collect()).await;
    }
}

pub(super) async fn actions_keep_no_work_waiting(mut h: Harness) {
    let there = resumed(&mut h, 1).await;
    let actions: Vec<Batch> = (0..60).map(|_| h.batch(vec![idle_action()])).collect();
    let releases: Vec<Batch> = (0..60).map(|_| h.batch(vec![release(there[0])])).collect();
    let store = h.shared();
    let operator = tokio::spawn(async move {
        for batch in actions {
            retrying(&*store, batch).await.unwrap();
        }
    });
    let mut changes = h.store().changes();
    for batch in releases {
        changes.borrow_and_update();
        // Who is given nothing waits to be told, as a host instance does.
        while h.claimed("A", NOW).await != there {
            let told = tokio::time::timeout(PATIENCE, changes.changed()).await;
            assert!(told.is_ok(), "there is work, but a claim gave none and nothing tells of it");
        }
        h.submit(batch).await.unwrap();
    }
    operator.await.unwrap();
}
