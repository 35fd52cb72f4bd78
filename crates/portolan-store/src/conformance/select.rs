//! Cases of [`Selection`](crate::Selection): every condition, alone and joined, in questions and in
//! actions.

use super::{
    fixture::{act, failure, publish, scheduled, second, typed},
    harness::Harness,
};
use crate::{
    ask,
    batch::{Action, Operation},
    query::{Selection, StateFilter},
};
use portolan_model::{
    InstanceId, Value,
    instance::{Instance, MessageForm, Progress, Service, ServiceClass},
    system::bts,
};

/// What instances of the small world differ in. Instances 0 and 1 share their message.
struct World {
    instances: Vec<Instance>,
}

async fn world(h: &mut Harness) -> World {
    let mut order = h.message("<order/>");
    order.context = typed("urn:orders#Order");
    let mut invoice = h.message("<invoice/>");
    // Demoted, as a message is after routing.
    invoice.context.write(bts::MESSAGE_TYPE, Value::string("urn:orders#Invoice"));
    let mut similar = h.message("<order/>");
    similar.context = typed("urn:orders#order");
    let untyped = h.message("???");
    let snapshot = h.message("");

    let at = |seconds: i64, instance: Instance| Instance { created: second(seconds), ..instance };
    let on_order = [at(0, h.ready(&order, "Billing")), scheduled(at(0, h.ready(&order, "Archive")), second(60))];
    let refused = failure("PTL0203", "Connection REFUSED by 100% of_hosts (Größe)");
    let on_invoice = at(10, h.ready(&invoice, "Billing")).suspended(true, MessageForm::Published, refused);
    let on_similar = at(20, h.ready(&similar, "billing")).suspended(false, MessageForm::Published, failure("PTL0206", "connection reset"));
    let on_untyped = at(30, h.ready(&untyped, "")).suspended(true, MessageForm::Wire, failure("PTL0102", "no subscription matches"));
    let on_untyped = Instance { service: Service::receive_port("Billing"), ..on_untyped };
    let report = at(30, h.ready(&snapshot, "")).suspended(false, MessageForm::Published, failure("PTL0102", ""));
    let report = Instance { service: Service::report(), about: Some(on_untyped.id), ..report };

    let instances = [on_order.to_vec(), vec![on_invoice, on_similar, on_untyped, report]].concat();
    h.commit(vec![
        publish(order, on_order.to_vec()),
        publish(invoice, vec![instances[2].clone()]),
        publish(similar, vec![instances[3].clone()]),
        publish(untyped, vec![instances[4].clone()]),
        publish(snapshot, vec![instances[5].clone()]),
    ])
    .await;
    World { instances }
}

/// Every condition, with the instances of the world that it selects.
fn conditions(world: &World) -> Vec<(Selection, Vec<usize>)> {
    let all = Selection::default;
    let id = |at: usize| world.instances[at].id;
    let mut list = vec![
        (all(), vec![0, 1, 2, 3, 4, 5]),
        (Selection::of([id(1)]), vec![1]),
        (Selection::of([id(4), id(0), id(4), InstanceId(world.instances[0].message.0)]), vec![0, 4]),
    ];
    for (state, selected) in [
        (StateFilter::Ready, vec![0]),
        (StateFilter::Scheduled, vec![1]),
        (StateFilter::Suspended, vec![2, 3, 4, 5]),
        (StateFilter::SuspendedResumable, vec![2, 4]),
        (StateFilter::SuspendedNotResumable, vec![3, 5]),
    ] {
        list.push((Selection { state: Some(state), ..all() }, selected));
    }
    for (class, selected) in
        [(ServiceClass::SendPort, vec![0, 1, 2, 3]), (ServiceClass::ReceivePort, vec![4]), (ServiceClass::RoutingFailureReport, vec![5])]
    {
        list.push((Selection { class: Some(class), ..all() }, selected));
    }
    for (service, selected) in [("Billing", vec![0, 2, 4]), ("billing", vec![3]), ("Bill%", vec![]), ("", vec![5])] {
        list.push((Selection { service: Some(service.into()), ..all() }, selected));
    }
    for (code, selected) in [("PTL0102", vec![4, 5]), ("PTL0203", vec![2]), ("ptl0203", vec![]), ("PTL020_", vec![]), ("", vec![])] {
        list.push((Selection { code: Some(code.into()), ..all() }, selected));
    }
    for (message_type, selected) in
        [("urn:orders#Order", vec![0, 1]), ("urn:orders#Invoice", vec![2]), ("urn:orders#ORDER", vec![]), ("", vec![])]
    {
        list.push((Selection { message_type: Some(message_type.into()), ..all() }, selected));
    }
    for (text, selected) in [
        ("connection re", vec![2, 3]),
        ("CONNECTION RESET", vec![3]),
        ("Größe", vec![2]),
        ("GRößE", vec![2]),
        ("GRÖSSE", vec![]),
        ("100%", vec![2]),
        ("con%", vec![]),
        ("of_hosts", vec![2]),
        ("of hosts", vec![]),
        ("of.hosts", vec![]),
        (")", vec![2]),
        ("'", vec![]),
        ("", vec![2, 3, 4, 5]),
    ] {
        list.push((Selection { text: Some(text.into()), ..all() }, selected));
    }
    let between = |since: Option<i64>, until: Option<i64>| Selection { since: since.map(second), until: until.map(second), ..all() };
    list.extend([
        (between(Some(10), None), vec![2, 3, 4, 5]),
        (between(Some(31), None), vec![]),
        (between(None, Some(20)), vec![0, 1, 2]),
        (between(None, Some(0)), vec![]),
        (between(Some(10), Some(30)), vec![2, 3]),
        (Selection { message: Some(world.instances[0].message), ..all() }, vec![0, 1]),
        (Selection { message: Some(world.instances[5].message), ..all() }, vec![5]),
        (Selection { about: Some(id(4)), ..all() }, vec![5]),
        (Selection { about: Some(id(0)), ..all() }, vec![]),
    ]);
    list
}

async fn selected(h: &Harness, world: &World, selection: &Selection) -> Vec<usize> {
    let place = |instance: &Instance| world.instances.iter().position(|known| known.id == instance.id).unwrap();
    let mut places: Vec<usize> = h.select(selection.clone()).await.iter().map(place).collect();
    places.sort_unstable();
    assert_eq!(ask::count(h.store(), selection.clone()).await.unwrap(), places.len() as u64, "count of {selection:?}");
    places
}

pub(super) async fn every_condition_of_a_selection_selects(mut h: Harness) {
    let world = world(&mut h).await;
    h.step().await;
    for (selection, expected) in conditions(&world) {
        assert_eq!(selected(&h, &world, &selection).await, expected, "{selection:?}");
    }
}

pub(super) async fn conditions_are_joined_by_and(mut h: Harness) {
    let world = world(&mut h).await;
    h.step().await;
    let everything = Selection {
        ids: vec![world.instances[2].id, world.instances[3].id],
        state: Some(StateFilter::Suspended),
        class: Some(ServiceClass::SendPort),
        service: Some("Billing".into()),
        code: Some("PTL0203".into()),
        message_type: Some("urn:orders#Invoice".into()),
        text: Some("refused".into()),
        since: Some(second(10)),
        until: Some(second(11)),
        message: Some(world.instances[2].message),
        about: None,
    };
    assert_eq!(selected(&h, &world, &everything).await, [2]);
    let all = everything.clone();
    for narrower in [
        Selection { ids: vec![world.instances[3].id], ..all.clone() },
        Selection { state: Some(StateFilter::Ready), ..all.clone() },
        Selection { class: Some(ServiceClass::ReceivePort), ..all.clone() },
        Selection { service: Some("Archive".into()), ..all.clone() },
        Selection { code: Some("PTL0206".into()), ..all.clone() },
        Selection { message_type: Some("urn:orders#Order".into()), ..all.clone() },
        Selection { text: Some("reset".into()), ..all.clone() },
        Selection { since: Some(second(11)), until: Some(second(12)), ..all.clone() },
        Selection { until: Some(second(10)), ..all.clone() },
        Selection { message: Some(world.instances[3].message), ..all.clone() },
        Selection { about: Some(world.instances[4].id), ..all.clone() },
    ] {
        assert_eq!(selected(&h, &world, &narrower).await, [] as [usize; 0], "{narrower:?}");
    }
    for (one, of_one) in conditions(&world) {
        let both = Selection { state: Some(StateFilter::SuspendedResumable), ..one.clone() };
        if one.state.is_none() {
            let expected: Vec<usize> = of_one.into_iter().filter(|at| [2, 4].contains(at)).collect();
            assert_eq!(selected(&h, &world, &both).await, expected, "{both:?}");
        }
    }
}

pub(super) async fn an_action_touches_exactly_what_its_selection_selects(mut h: Harness) {
    let conditions_of = |world: &World| conditions(world).len();
    let first = world(&mut h).await;
    let total = conditions_of(&first);
    h.commit(vec![act(Selection::default(), Action::Terminate)]).await;
    for at in 0..total {
        let world = world(&mut h).await;
        if at % 10 == 0 {
            h.step().await;
        }
        let (selection, expected) = conditions(&world).swap_remove(at);
        let resumable = expected.iter().filter(|at| [2, 4].contains(at)).count() as u64;
        let running = expected.iter().filter(|at| [0, 1].contains(at)).count() as u64;
        // Whatever the state, one of the three applies; the first two would change what the next selects.
        let (action, changed) = match at % 3 {
            0 => (Action::Resume, resumable),
            1 => (Action::Suspend, running),
            _ => (Action::Terminate, expected.len() as u64),
        };
        let before = h.select(Selection::default()).await;
        let receipt = h.commit(vec![Operation::Act { selection: selection.clone(), action, at: second(99) }]).await;
        assert_eq!(receipt, [changed], "{action:?} {selection:?}");
        let after = h.select(Selection::default()).await;
        for (place, instance) in world.instances.iter().enumerate() {
            let was = before.iter().find(|known| known.id == instance.id);
            let is = after.iter().find(|known| known.id == instance.id);
            let touched = expected.contains(&place);
            match action {
                // The report goes with what it is about.
                Action::Terminate => assert_eq!(is.is_none(), touched || place == 5 && expected.contains(&4), "{place}: {selection:?}"),
                Action::Resume if touched && [2, 4].contains(&place) => {
                    assert_eq!(is.map(|i| (i.due, i.progress)), Some((second(99), Progress::default())), "{place}: {selection:?}");
                }
                Action::Suspend if touched && [0, 1].contains(&place) => {
                    assert!(is.unwrap().state.is_suspended(), "{place}: {selection:?}")
                }
                _ => assert_eq!(is, was, "{place}: {selection:?}"),
            }
        }
        h.commit(vec![act(Selection::default(), Action::Terminate)]).await;
    }
}
