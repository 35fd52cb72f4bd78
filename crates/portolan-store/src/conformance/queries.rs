//! Cases of questions: order, paging, counts.

use super::{
    fixture::{complete, failure, publish, scheduled, second},
    harness::{Harness, NOW},
};
use crate::{
    ask,
    query::{Position, Selection, ServiceCount, StateFilter},
};
use portolan_model::{
    InstanceId, MessageId,
    instance::{Instance, InstanceState, MessageForm, Service},
};

/// Instances of one service created at these seconds, published in this order.
async fn created_at(h: &mut Harness, seconds: &[i64]) -> Vec<Instance> {
    let mut instances = Vec::new();
    for (at, created) in seconds.iter().enumerate() {
        let message = h.message("<order/>");
        let instance = Instance { created: second(*created), ..h.ready(&message, "A") };
        // A page holds instances of all kinds.
        let instance = match at % 3 {
            0 => instance,
            1 => instance.suspended(true, MessageForm::Published, failure("PTL0203", "away")),
            _ => scheduled(instance, second(60)),
        };
        h.commit(vec![publish(message, vec![instance.clone()])]).await;
        instances.push(instance);
    }
    instances
}

async fn pages(h: &Harness, selection: &Selection, limit: usize) -> Vec<Instance> {
    let mut all: Vec<Instance> = Vec::new();
    loop {
        let after = all.last().map(Position::from);
        let page = ask::instances(h.store(), selection.clone(), after, limit).await.unwrap();
        assert!(page.len() <= limit);
        let last = page.len() < limit;
        all.extend(page);
        if last {
            return all;
        }
    }
}

pub(super) async fn instances_come_newest_first_in_pages(mut h: Harness) {
    let mut expected = created_at(&mut h, &[5, -3, 12, 0, 7, 1, -90, 8, 30, 2, 3]).await;
    expected.sort_by_key(|instance| std::cmp::Reverse(instance.created));
    h.step().await;
    assert_eq!(h.select(Selection::default()).await, expected);
    for limit in [1, 2, 3, 10, 11, 12] {
        assert_eq!(pages(&h, &Selection::default(), limit).await, expected, "in pages of {limit}");
    }
    assert_eq!(ask::instances(h.store(), Selection::default(), None, 0).await.unwrap(), []);
    let suspended = Selection { state: Some(StateFilter::Suspended), ..Selection::default() };
    expected.retain(|instance| instance.state.is_suspended());
    assert_eq!(pages(&h, &suspended, 2).await, expected);
}

pub(super) async fn paging_goes_on_when_the_last_instance_of_a_page_is_gone(mut h: Harness) {
    let mut expected = created_at(&mut h, &[1, 2, 3, 4, 5, 6]).await;
    expected.reverse();
    let page = ask::instances(h.store(), Selection::default(), None, 2).await.unwrap();
    assert_eq!(page, expected[..2]);
    h.commit(vec![complete(page[1].id), complete(expected[2].id)]).await;
    h.step().await;
    let next = ask::instances(h.store(), Selection::default(), Some(Position::from(&page[1])), 9).await.unwrap();
    assert_eq!(next, expected[3..]);
    let invented = Position { created: second(4), id: InstanceId(h.id()) };
    assert_eq!(ask::instances(h.store(), Selection::default(), Some(invented), 1).await.unwrap(), expected[3..4], "any place will do");
}

pub(super) async fn instances_of_one_moment_page_by_id(mut h: Harness) {
    let mut ids: Vec<InstanceId> = (0..9).map(|_| h.instance_id()).collect();
    let message = h.message("<order/>");
    // Neither rising nor falling.
    let instances: Vec<Instance> =
        [3, 8, 0, 5, 1, 7, 2, 6, 4].iter().map(|at: &usize| Instance { id: ids[*at], ..h.ready(&message, "A") }).collect();
    h.commit(vec![publish(message, instances)]).await;
    h.step().await;
    ids.reverse();
    let paged: Vec<InstanceId> = pages(&h, &Selection::default(), 2).await.iter().map(|instance| instance.id).collect();
    assert_eq!(paged, ids);
}

pub(super) async fn services_are_counted_by_state(mut h: Harness) {
    assert_eq!(ask::services(h.store()).await.unwrap(), []);
    let message = h.message("<order/>");
    let services = [Service::receive_port("A"), Service::send_port("B"), Service::send_port("A"), Service::report()];
    let mut instances = Vec::new();
    let mut expected = Vec::new();
    for (at, service) in services.into_iter().enumerate() {
        let mut add = |h: &mut Harness, count: usize, state: InstanceState| {
            for _ in 0..count {
                instances.push(Instance { service: service.clone(), state, due: second(60), ..h.ready(&message, "") });
            }
            count as u64
        };
        expected.push(ServiceCount {
            service: service.clone(),
            ready: add(&mut h, at, InstanceState::Ready),
            scheduled: add(&mut h, (at + 1) % 4, InstanceState::Scheduled),
            suspended_resumable: add(&mut h, (at + 2) % 4, InstanceState::SuspendedResumable),
            suspended_not_resumable: add(&mut h, (at + 3) % 4, InstanceState::SuspendedNotResumable),
        });
    }
    expected.sort_by(|a, b| a.service.cmp(&b.service));
    h.commit(vec![publish(message, instances)]).await;
    h.step().await;
    assert_eq!(ask::services(h.store()).await.unwrap(), expected);
    assert_eq!(h.claim("A", second(60), 99).await.work.len(), 5);
    assert_eq!(ask::services(h.store()).await.unwrap(), expected, "claimed ones are counted as before");

    let gone = Selection { service: Some("B".into()), ..Selection::default() };
    let done = h.select(gone).await.iter().map(|instance| complete(instance.id)).collect();
    h.commit(done).await;
    h.step().await;
    expected.retain(|count| count.service.name != "B");
    assert_eq!(ask::services(h.store()).await.unwrap(), expected);
}

pub(super) async fn a_message_is_found_while_it_is_there(mut h: Harness) {
    let never = MessageId(h.id());
    assert_eq!(ask::message(h.store(), never).await.unwrap(), None);
    let mut messages = Vec::new();
    for state in [InstanceState::Ready, InstanceState::Scheduled, InstanceState::SuspendedResumable, InstanceState::SuspendedNotResumable] {
        let message = h.message(format!("<order state=\"{state:?}\"/>"));
        let instance = Instance { state, ..h.ready(&message, "A") };
        messages.push((message.clone(), instance.id));
        h.commit(vec![publish(message, vec![instance])]).await;
    }
    h.step().await;
    h.claim("A", NOW, 1).await;
    for (message, instance) in messages {
        assert_eq!(ask::message(h.store(), message.id).await.unwrap().as_deref(), Some(&message));
        h.commit(vec![complete(instance)]).await;
        assert_eq!(ask::message(h.store(), message.id).await.unwrap(), None);
    }
}
