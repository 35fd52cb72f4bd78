//! Messages through a running host on the memory store: routing, failure, suspension, repair.

mod support;

use portolan_model::{
    Value,
    artifact::{PortState, SendPortGroup},
    code,
    instance::{InstanceState, ServiceClass},
    property::Kind,
    system::bts,
};
use portolan_runtime::{Blueprint, PortAction};
use portolan_sdk::{BatchOperation, BodySource, InboundMessage, OperationStatus, submit::submit_or_suspend};
use portolan_store::{Action, Selection, StateFilter};
use std::time::Duration;
use support::{Behaviour, Bench, application, blueprint, country, equals, everything, filter, message, port, send_transport};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_to_every_port_whose_filter_matches_and_to_no_other() {
    let de = port("DE", filter(vec![equals(country(), "DE")]));
    let fr = port("FR", filter(vec![equals(country(), "FR")]));
    let bench = Bench::start(application(vec![port("All", everything()), de, fr], vec![])).await;
    let outcome = bench.submit("<a/>", Some("DE")).await;
    assert!(outcome.committed && matches!(outcome.statuses[0], OperationStatus::Done { documents: 1 }));
    assert_eq!(bench.until_sent("All", 1).await, ["<a/>"]);
    assert_eq!(bench.until_sent("DE", 1).await, ["<a/>"]);
    assert!(bench.got("FR").is_empty());
    bench.until("nothing is left", || (bench.server.core.queues().iter().all(|q| q.active() == 0)).then_some(())).await;
    assert!(bench.all().await.is_empty());
    let sent = bench.shared.sent.lock().unwrap();
    let context = &sent[0].2;
    assert_eq!(context.text(&bts::RECEIVE_PORT_NAME), Some("In"));
    assert_eq!(context.get(&bts::INTERCHANGE_SEQUENCE_NUMBER), Some(&Value::Int32(1)));
    assert!(context.iter().all(|p| p.kind != Kind::Promoted), "a delivered message has no promotions left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_subscribers_is_refused_and_then_suspended_with_a_report() {
    let bench = Bench::start(application(vec![port("DE", filter(vec![equals(country(), "DE")]))], vec![])).await;
    let outcome = bench.submit("x", Some("IT")).await;
    assert!(!outcome.committed);
    assert!(matches!(&outcome.statuses[0], OperationStatus::Refused { code, .. } if *code == code::NO_SUBSCRIPTION));
    assert!(bench.all().await.is_empty(), "a routing failure stores nothing");
    let statuses = submit_or_suspend(&bench.proxy().await, vec![message("x", Some("IT")), message("y", Some("DE"))]).await.unwrap();
    assert!(matches!(statuses[0], OperationStatus::Suspended { .. }), "{statuses:?}");
    assert!(matches!(statuses[1], OperationStatus::Done { .. }), "{statuses:?}");
    let found = bench.until_suspended(2).await;
    let report = found.iter().find(|i| i.service.class == ServiceClass::RoutingFailureReport).unwrap();
    let kept = found.iter().find(|i| i.service.class == ServiceClass::ReceivePort).unwrap();
    assert_eq!(report.about, Some(kept.id));
    assert_eq!(report.state, InstanceState::SuspendedNotResumable);
    assert_eq!(kept.state, InstanceState::SuspendedResumable);
    // Terminating the message removes its report.
    let one = Selection { ids: vec![kept.id], ..Selection::default() };
    assert_eq!(bench.server.act(one, Action::Terminate).await.unwrap(), 1);
    assert!(bench.suspended().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_routing_failure_goes_out_under_the_current_configuration() {
    let bench = Bench::start(application(vec![port("DE", filter(vec![equals(country(), "DE")]))], vec![])).await;
    submit_or_suspend(&bench.proxy().await, vec![message("x", Some("IT"))]).await.unwrap();
    bench.until_suspended(2).await;
    let it = port("IT", filter(vec![equals(country(), "IT")]));
    bench.server.reload(blueprint(application(vec![it], vec![]))).await.unwrap();
    let all = Selection { state: Some(StateFilter::SuspendedResumable), ..Selection::default() };
    assert_eq!(bench.server.act(all.clone(), Action::Resume).await.unwrap(), 1);
    assert_eq!(bench.server.act(all, Action::Resume).await.unwrap(), 0, "a second click changes nothing");
    assert_eq!(bench.until_sent("IT", 1).await, ["x"]);
    for _ in 0..100 {
        if bench.all().await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("left over: {:?}", bench.all().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_destination_is_tried_again_then_the_backup_then_suspended() {
    let mut both = port("A", everything());
    both.backup = Some(send_transport("B", 1, Duration::from_millis(20)));
    let bench = Bench::start(application(vec![both, port("C", everything())], vec![])).await;
    bench.behave("A", Behaviour::Fail);
    bench.submit("one", None).await;
    assert_eq!(bench.until_sent("B", 1).await, ["one"], "the backup took over");
    bench.behave("B", Behaviour::Fail);
    bench.submit("two", None).await;
    let found = bench.until_suspended(1).await;
    let failure = found[0].failure.as_ref().unwrap();
    assert_eq!(failure.code, code::SEND_EXHAUSTED.id);
    assert!(failure.description.contains("connection refused") && failure.description.contains("test://B"), "{}", failure.description);
    assert_eq!(bench.until_sent("C", 2).await, ["one", "two"], "another port is not held up");
    bench.behave("A", Behaviour::Accept);
    let id = Selection { ids: vec![found[0].id], ..Selection::default() };
    bench.server.act(id, Action::Resume).await.unwrap();
    assert_eq!(bench.until_sent("A", 1).await, ["two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permanent_refusal_spends_no_retries() {
    let mut slow = port("A", everything());
    slow.primary = send_transport("A", 1000, Duration::from_secs(3600));
    let bench = Bench::start(application(vec![slow], vec![])).await;
    bench.behave("A", Behaviour::Refuse);
    bench.submit("one", None).await;
    let found = bench.until_suspended(1).await;
    assert_eq!(found[0].failure.as_ref().unwrap().code, code::SEND_REFUSED.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_port_captures_and_a_start_releases_an_unenlisted_one_does_not_capture() {
    let mut stopped = port("Stopped", everything());
    stopped.state = PortState::Stopped;
    let mut off = port("Off", everything());
    off.state = PortState::Unenlisted;
    let bench = Bench::start(application(vec![stopped, off, port("On", everything())], vec![])).await;
    bench.submit("m1", None).await;
    bench.until_sent("On", 1).await;
    let found = bench.until_suspended(1).await;
    assert_eq!((found.len(), found[0].failure.as_ref().unwrap().code.as_str()), (1, code::PORT_STOPPED.id));
    // Resume sends even though the port is stopped.
    bench.server.act(Selection { ids: vec![found[0].id], ..Selection::default() }, Action::Resume).await.unwrap();
    assert_eq!(bench.until_sent("Stopped", 1).await, ["m1"]);
    bench.submit("m2", None).await;
    bench.until_suspended(1).await;
    assert_eq!(bench.server.port_action("Stopped", PortAction::Start).await.unwrap(), PortState::Started);
    assert_eq!(bench.until_sent("Stopped", 2).await, ["m1", "m2"]);
    assert!(bench.got("Off").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_delivers_through_its_members_and_its_state_counts() {
    let group = SendPortGroup {
        name: "G".into(),
        description: None,
        state: PortState::Started,
        filter: everything(),
        members: vec!["A".into(), "B".into()],
    };
    let nothing = portolan_model::filter::Filter::default();
    let bench = Bench::start(application(vec![port("A", nothing.clone()), port("B", nothing)], vec![group])).await;
    bench.submit("m", None).await;
    bench.until_sent("A", 1).await;
    bench.until_sent("B", 1).await;
    assert_eq!(bench.server.group_action("G", PortAction::Stop).await.unwrap(), PortState::Stopped);
    bench.submit("n", None).await;
    assert_eq!(bench.until_suspended(2).await.len(), 2);
    assert_eq!(bench.server.group_action("G", PortAction::Start).await.unwrap(), PortState::Started);
    assert_eq!(bench.until_sent("A", 2).await, ["m", "n"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_message_goes_out_and_replaces_its_original() {
    let mut stopped = port("A", everything());
    stopped.state = PortState::Stopped;
    let bench = Bench::start(application(vec![stopped], vec![])).await;
    bench.submit("bad", None).await;
    let found = bench.until_suspended(1).await;
    let body = BodySource::Bytes(bytes::Bytes::from_static(b"good"));
    let ids = bench.server.edit(found[0].id, body.clone()).await.unwrap();
    assert_eq!(ids.len(), 1);
    assert_eq!(bench.until_sent("A", 1).await, ["good"]);
    let original = found[0].message.braced();
    assert_eq!(bench.shared.sent.lock().unwrap()[0].2.text(&portolan_model::system::ptl::ORIGINAL_MESSAGE_ID), Some(original.as_str()));
    assert!(bench.server.edit(found[0].id, body).await.is_err(), "the original is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_item_is_taken_in_once_until_its_key_is_forgotten() {
    let bench = Bench::start(application(vec![port("A", everything())], vec![])).await;
    let keyed = |body: &str| InboundMessage { receive_key: Some("k".into()), ..message(body, None) };
    let proxy = bench.proxy().await;
    proxy.execute(vec![BatchOperation::Submit(keyed("1"))]).await.unwrap();
    let again = proxy.execute(vec![BatchOperation::Submit(keyed("1")), BatchOperation::Submit(message("2", None))]).await.unwrap();
    assert!(again.committed && matches!(again.statuses[..], [OperationStatus::Duplicate, OperationStatus::Done { .. }]), "{again:?}");
    assert_eq!(proxy.remembered().await.unwrap(), ["k"]);
    proxy.execute(vec![BatchOperation::Forget("k".into())]).await.unwrap();
    proxy.execute(vec![BatchOperation::Submit(keyed("3"))]).await.unwrap();
    assert_eq!(bench.until_sent("A", 3).await, ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_is_streamed_through_the_store() {
    let bench = Bench::start(application(vec![port("A", everything()), port("B", everything())], vec![])).await;
    let body = "0123456789".repeat(400_000);
    bench.submit(&body, None).await;
    assert!(bench.until_sent("A", 1).await[0] == body && bench.until_sent("B", 1).await[0] == body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_ends_in_time_and_leaves_stalled_work_in_the_store() {
    let bench = Bench::start(application(vec![port("A", everything())], vec![])).await;
    bench.behave("A", Behaviour::Stall);
    bench.submit("m", None).await;
    bench.until("transmission has begun", || bench.server.core.queue("A").filter(|q| q.active() == 1)).await;
    assert!(!bench.server.stop(Duration::from_millis(200)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_a_port_that_is_gone_becomes_visible() {
    let mut stopped = port("A", everything());
    stopped.state = PortState::Stopped;
    let bench = Bench::start(application(vec![stopped], vec![])).await;
    bench.submit("m", None).await;
    let found = bench.until_suspended(1).await;
    let plan: Blueprint = blueprint(application(vec![port("B", everything())], vec![]));
    bench.server.reload(plan).await.unwrap();
    bench.server.act(Selection { ids: vec![found[0].id], ..Selection::default() }, Action::Resume).await.unwrap();
    bench
        .until("suspended again", || {
            let found = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(bench.suspended()));
            found.into_iter().find(|i| i.failure.as_ref().is_some_and(|f| f.code == code::PORT_MISSING.id))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_that_breaks_off_fails_its_message_and_nothing_else() {
    let bench = Bench::start(application(vec![port("A", everything()), port("B", everything())], vec![])).await;
    bench.behave("A", Behaviour::Panic);
    bench.submit("m", None).await;
    let found = bench.until_suspended(1).await;
    assert!(found[0].failure.as_ref().unwrap().description.contains("the adapter has a mistake"), "{found:?}");
    bench.until_sent("B", 1).await;
    bench.behave("A", Behaviour::Accept);
    bench.server.act(Selection { ids: vec![found[0].id], ..Selection::default() }, Action::Resume).await.unwrap();
    bench.until_sent("A", 1).await;
}
