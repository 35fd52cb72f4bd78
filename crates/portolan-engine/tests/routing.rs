//! Which ports get a message, in every combination of states, and what a start sends on its way.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use portolan_engine::{
    index::Scratch,
    routing::{DeliveryState, NoSubscriber, Routing, RoutingTable, States, StoppedBy, group_id, primary_transport_id, route},
    states::{send_port, send_port_group},
    waiting::{self, Release, Which},
};
use portolan_model::{
    Context, InstanceId, MessageId, Name, SmolStr, Timestamp, Value,
    artifact::{Application, PipelineRef, PortState, RetryPolicy, SendPort, SendPortGroup, SendTransport, Transport},
    filter::{Filter, Operator, Statement},
    instance::{Instance, InstanceState, MessageForm},
    schedule::Schedule,
    system::bts,
};

const STATES: [PortState; 3] = [PortState::Unenlisted, PortState::Stopped, PortState::Started];
const COUNTRY: Name = Name::known("urn:orders", "Country");

fn port(name: &str, state: PortState, filter: Filter) -> SendPort {
    let transport = Transport { adapter: "file".into(), address: format!("/out/{name}"), settings: serde_json::Value::Null };
    SendPort {
        name: name.into(),
        description: None,
        state,
        filter,
        maps: vec![],
        pipeline: PipelineRef { name: "PassThruTransmit".into(), components: vec![] },
        primary: SendTransport { transport, retry: RetryPolicy::default(), schedule: Schedule::default() },
        backup: None,
        priority: 5,
        concurrency: 1,
    }
}

fn group(name: &str, state: PortState, filter: Filter, members: &[&str]) -> SendPortGroup {
    let members = members.iter().map(SmolStr::new).collect();
    SendPortGroup { name: name.into(), description: None, state, filter, members }
}

fn statement(property: Name, operator: Operator, value: Option<Value>) -> Statement {
    Statement { property, operator, value }
}

fn country(code: &str) -> Filter {
    Filter { groups: vec![vec![statement(COUNTRY, Operator::Equal, Some(Value::string(code)))]] }
}

fn table(send_ports: Vec<SendPort>, send_port_groups: Vec<SendPortGroup>) -> RoutingTable {
    let application = Application { name: "Test".into(), receive_ports: vec![], send_ports, send_port_groups };
    RoutingTable::build([&application], &States::default(), 7)
}

fn message(properties: &[(Name, &str)]) -> Context {
    let mut context = Context::new();
    for (name, text) in properties {
        context.promote(name.clone(), Value::string(*text)).unwrap();
    }
    context
}

fn go(table: &RoutingTable, context: &Context) -> Result<Routing, NoSubscriber> {
    route(table, context, &mut Scratch::default())
}

/// Deliveries as `port`, `port via group`, with `!` for those suspended.
fn told(table: &RoutingTable, context: &Context) -> Vec<String> {
    let deliveries = go(table, context).map(|routing| routing.deliveries).unwrap_or_default();
    let tell = |d: &portolan_engine::routing::Delivery| {
        let via = d.via_group.as_ref().map(|g| format!(" via {g}")).unwrap_or_default();
        let held = match d.state {
            DeliveryState::Ready => "",
            DeliveryState::Suspended(StoppedBy::Port) => " !port",
            DeliveryState::Suspended(StoppedBy::Group) => " !group",
        };
        format!("{}{via}{held}", d.send_port)
    };
    deliveries.iter().map(tell).collect()
}

#[test]
fn a_port_gets_what_its_state_allows() {
    for (state, want) in STATES.into_iter().zip([vec![], vec!["A !port"], vec!["A"]]) {
        let table = table(vec![port("A", state, country("DE"))], vec![]);
        assert_eq!(told(&table, &message(&[(COUNTRY, "DE")])), want, "{state:?}");
        assert_eq!(told(&table, &message(&[(bts::SP_TRANSPORT_ID, &primary_transport_id("A"))])), want, "{state:?}, addressed");
        assert_eq!(told(&table, &message(&[(COUNTRY, "FR")])), [] as [&str; 0]);
    }
}

#[test]
fn a_group_delivers_as_both_states_allow() {
    use PortState::{Started, Stopped, Unenlisted};
    for group_state in STATES {
        for port_state in STATES {
            let want: &[&str] = match (group_state, port_state) {
                (Unenlisted, _) | (_, Unenlisted) => &[],
                (_, Stopped) => &["A via G !port"],
                (Stopped, Started) => &["A via G !group"],
                (Started, Started) => &["A via G"],
            };
            let table = table(vec![port("A", port_state, Filter::default())], vec![group("G", group_state, country("DE"), &["A"])]);
            assert_eq!(told(&table, &message(&[(COUNTRY, "DE")])), want, "{group_state:?} {port_state:?}");
            assert_eq!(told(&table, &message(&[(bts::SPG_ID, &group_id("G"))])), want, "{group_state:?} {port_state:?}, addressed");
        }
    }
}

#[test]
fn each_matching_route_is_a_delivery_and_each_route_counts_once() {
    use PortState::Started;
    let mut twice = country("DE");
    twice.groups.push(vec![statement(COUNTRY, Operator::Exists, None)]);
    let ports = vec![port("B", Started, twice), port("A", Started, Filter::default()), port("C", PortState::Unenlisted, country("DE"))];
    let groups = vec![
        group("H", Started, country("DE"), &["C", "B", "B"]),
        group("G", Started, country("DE"), &["A", "B", "Missing"]),
        group("Empty", Started, country("DE"), &[]),
    ];
    let table = table(ports, groups);
    let mut context = message(&[(COUNTRY, "DE"), (bts::SP_TRANSPORT_ID, &primary_transport_id("B"))]);
    assert_eq!(told(&table, &context), ["B", "A via G", "B via G", "B via H"]);
    context.demote_all();
    assert_eq!(told(&table, &context), [] as [&str; 0], "only promoted properties take part");
    assert_eq!(table.subscriptions().len(), 4, "an empty group and one without an enlisted member subscribe to nothing");
}

#[test]
fn an_operators_choice_wins_over_the_declared_state() {
    let application =
        Application { name: "Test".into(), send_ports: vec![port("A", PortState::Started, country("DE"))], ..Application::default() };
    let states = States { send_ports: [(SmolStr::new("A"), PortState::Stopped)].into(), ..States::default() };
    let table = RoutingTable::build([&application], &states, 8);
    assert_eq!(told(&table, &message(&[(COUNTRY, "DE")])), ["A !port"]);
    assert_eq!(go(&table, &message(&[(COUNTRY, "DE")])).unwrap().epoch, 8);
}

#[test]
fn the_table_knows_the_last_enlisted_port_of_a_group() {
    use PortState::{Started, Stopped, Unenlisted};
    let build = |a, b, g| {
        table(vec![port("A", a, Filter::default()), port("B", b, Filter::default())], vec![group("G", g, country("DE"), &["A", "B"])])
    };
    let last = |table: &RoutingTable, port: &str| send_port::State::of(table, port).unwrap().last_enlisted_of;
    assert_eq!(last(&build(Started, Unenlisted, Stopped), "A"), ["G"]);
    assert_eq!(last(&build(Stopped, Unenlisted, Started), "A"), ["G"]);
    assert!(last(&build(Stopped, Unenlisted, Started), "B").is_empty(), "it is not enlisted itself");
    assert!(last(&build(Started, Stopped, Started), "A").is_empty(), "another member is enlisted");
    assert!(last(&build(Started, Unenlisted, Unenlisted), "A").is_empty(), "the group is not enlisted");
    assert_eq!(send_port_group::State::of(&build(Started, Unenlisted, Stopped), "G").unwrap().enlisted_members, 1);
    assert_eq!(send_port::State::of(&build(Started, Started, Started), "C"), None);
}

fn captured(table: &RoutingTable, context: &Context) -> Vec<Instance> {
    let id = |n: u128| InstanceId(uuid(n));
    let deliveries = go(table, context).unwrap().deliveries;
    (1..).zip(deliveries).map(|(n, d)| d.instance(id(n), MessageId(uuid(0)), Timestamp(5))).collect()
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

#[test]
fn a_captured_message_is_suspended_resumable_and_says_what_to_do() {
    let table = table(
        vec![port("A", PortState::Stopped, country("DE")), port("B", PortState::Started, Filter::default())],
        vec![group("G", PortState::Stopped, country("DE"), &["B"])],
    );
    let instances = captured(&table, &message(&[(COUNTRY, "DE")]));
    for (instance, name) in instances.iter().zip(["send port \"A\"", "send port group \"G\""]) {
        let failure = instance.failure.as_ref().unwrap();
        assert_eq!(
            (instance.state, instance.form, failure.code.as_str()),
            (InstanceState::SuspendedResumable, MessageForm::Published, "PTL0201")
        );
        assert!(failure.description.contains(name) && failure.description.contains("started"), "{}", failure.description);
    }
    assert_eq!(instances[1].group.as_deref(), Some("G"));
}

#[test]
fn a_start_releases_what_the_stop_held_and_nothing_else() {
    let build = |a, g, h| {
        let ports = vec![port("A", a, country("DE")), port("B", PortState::Started, Filter::default())];
        table(ports, vec![group("G", g, country("DE"), &["A"]), group("H", h, country("DE"), &["A", "B"])])
    };
    use PortState::{Started, Stopped};
    let waiting = captured(&build(Stopped, Stopped, Stopped), &message(&[(COUNTRY, "DE")]));
    let go = |table: &RoutingTable| -> Vec<String> {
        let told = |i: &Instance| format!("{}{}", i.service.name, i.group.as_ref().map(|g| format!(" via {g}")).unwrap_or_default());
        waiting.iter().filter(|i| waiting::may_go(table, i)).map(told).collect()
    };
    let release = |port: &str, which| Release { send_port: port.into(), which };

    let only_port = build(Started, Stopped, Stopped);
    assert_eq!(waiting::on_port_started(&only_port, "A"), Some(release("A", Which::Checked)));
    assert_eq!(go(&only_port), ["A"]);
    let one_group = build(Started, Started, Stopped);
    assert_eq!(waiting::on_group_started(&one_group, "G"), [release("A", Which::Checked)]);
    assert_eq!(go(&one_group), ["A", "A via G"]);
    let all = build(Started, Started, Started);
    assert_eq!(waiting::on_group_started(&all, "H"), [release("A", Which::All), release("B", Which::All)]);
    assert_eq!(go(&all), ["A", "A via G", "A via H", "B via H"]);
    assert_eq!(waiting::on_table_changed(&all), [release("A", Which::All), release("B", Which::All)]);

    let groups_only = build(Stopped, Started, Started);
    assert_eq!(waiting::on_port_started(&groups_only, "A"), None);
    assert_eq!(go(&groups_only), ["B via H"]);
    assert_eq!(waiting::on_group_started(&build(Started, Started, Stopped), "H"), []);

    let without_groups = table(vec![port("A", Started, country("DE"))], vec![]);
    assert_eq!(waiting::on_port_started(&without_groups, "A"), Some(release("A", Which::All)));
    assert_eq!(go(&without_groups), ["A", "A via G", "A via H"], "a group that is gone holds nothing back");

    let mut by_hand = waiting[0].clone();
    by_hand.failure.as_mut().unwrap().code = "PTL0203".into();
    assert!(!waiting::may_go(&all, &by_hand), "suspended for another reason");
}

#[test]
fn a_routing_failure_says_what_was_missed() {
    let mut filter = country("DE");
    filter.groups[0].push(statement(bts::RECEIVE_PORT_NAME, Operator::Equal, Some(Value::string("Orders"))));
    let table = table(
        vec![
            port("Near", PortState::Started, filter),
            port("Far", PortState::Started, country("FR")),
            port("Asleep", PortState::Unenlisted, country("UK")),
        ],
        vec![group("Hollow", PortState::Started, country("UK"), &["Asleep"])],
    );
    let mut context = message(&[(COUNTRY, "UK"), (bts::MESSAGE_TYPE, "urn:x#Order")]);
    context.write(bts::RECEIVE_PORT_NAME, Value::string("Orders"));
    let failure = go(&table, &context).unwrap_err();
    assert_eq!(failure.epoch, 7);
    for part in [
        "send port \"Asleep\" matches, but the port is not enlisted",
        "group \"Hollow\" matches, but none of its send ports is enlisted",
        "BTS.MessageType = \"urn:x#Order\"",
        "send port \"Far\": wants {urn:orders}Country == \"FR\", the message has \"UK\"",
        "send port \"Near\": wants {urn:orders}Country == \"DE\", the message has \"UK\"; wants BTS.ReceivePortName == \"Orders\", the message has it only written",
    ] {
        assert!(failure.explanation.contains(part), "{part} is not in:\n{}", failure.explanation);
    }
    assert!(!failure.explanation.contains("SPTransportID"), "{}", failure.explanation);
    let nothing = go(&table, &Context::new()).unwrap_err();
    assert!(nothing.explanation.contains("no promoted properties"), "{}", nothing.explanation);
}

#[test]
fn explaining_a_failure_looks_at_a_bounded_number_of_subscriptions() {
    let ports = (0..3_000).map(|n| port(&format!("P{n}"), PortState::Started, country(&format!("C{n}")))).collect();
    let failure = go(&table(ports, vec![]), &message(&[(COUNTRY, "DE")])).unwrap_err();
    assert!(failure.explanation.contains("of 3000 subscriptions"), "{}", failure.explanation);
    assert!(failure.explanation.len() < 2_000);
}
