//! Every row of the state tables of send ports and groups (manual page "Send Ports and Send Port
//! Groups"), through the binary.

use crate::harness::App;

/// Port P, addressed by its own filter or through group G, each in a state; outcome for a message.
fn run(port: &str, group: Option<&str>, direct: bool) -> (usize, Vec<String>) {
    let own = if direct { "filter: 'BTS.ReceivePortName == \"In\"'" } else { "filter: 'BTS.ReceivePortName == \"Never\"'" };
    let filter = if direct { "Never" } else { "In" };
    let group = group.map_or(String::new(), |state| {
        format!("send_port_groups:\n  - {{ name: G, state: {state}, members: [P], filter: 'BTS.ReceivePortName == \"{filter}\"' }}\n")
    });
    let app = App::new(&format!(
        r#"
application: states
receive_ports:
  - name: In
    locations:
      - {{ name: in, pipeline: PassThruReceive, file: {{ folder: in, mask: "*" }} }}
send_ports:
  - {{ name: P, state: {port}, {own}, pipeline: PassThruTransmit, file: {{ folder: out, file_name: "%SourceFileName%" }} }}
{group}"#
    ))
    .mkdir(&["in", "out"])
    .start();
    app.drop_file("in/m", "m");
    app.until("the message is taken", || app.files("in").is_empty().then_some(()));
    let settled = || {
        let suspended = app.suspended(None);
        let sent = app.files("out").len();
        (sent + suspended.len() > 0).then(|| (sent, suspended.iter().map(|i| i["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()))
    };
    app.until("the outcome is known", settled)
}

const PROCESSED: (usize, [&str; 0]) = (1, []);
const SUSPENDED: (usize, [&str; 1]) = (0, ["PTL0201"]);

#[test]
fn a_started_port_addressed_directly_is_processed_whatever_its_group() {
    for group in [None, Some("unenlisted"), Some("stopped"), Some("started")] {
        let (sent, codes) = run("started", group, true);
        assert_eq!((sent, codes.len()), (PROCESSED.0, 0), "{group:?} {codes:?}");
    }
}

#[test]
fn a_stopped_port_addressed_directly_is_suspended_whatever_its_group() {
    for group in [None, Some("unenlisted"), Some("stopped"), Some("started")] {
        let (sent, codes) = run("stopped", group, true);
        assert_eq!((sent, codes), (SUSPENDED.0, vec![SUSPENDED.1[0].to_owned()]), "{group:?}");
    }
}

#[test]
fn an_unenlisted_port_captures_nothing() {
    let (sent, codes) = run("unenlisted", None, true);
    assert_eq!((sent, codes), (0, vec!["PTL0102".to_owned(); 2]), "a routing failure: the message and its report");
}

#[test]
fn through_a_group_both_must_be_started() {
    for (port, group, sent) in
        [("started", "started", true), ("stopped", "started", false), ("stopped", "stopped", false), ("started", "stopped", false)]
    {
        let (count, codes) = run(port, Some(group), false);
        if sent {
            assert_eq!((count, codes.len()), (1, 0), "{port} {group} {codes:?}");
        } else {
            assert_eq!((count, codes), (0, vec!["PTL0201".to_owned()]), "{port} {group}");
        }
    }
}

#[test]
fn an_unenlisted_group_or_member_captures_nothing() {
    for (port, group) in [("started", "unenlisted"), ("unenlisted", "started"), ("unenlisted", "stopped")] {
        let (count, codes) = run(port, Some(group), false);
        assert_eq!((count, codes), (0, vec!["PTL0102".to_owned(); 2]), "{port} {group}");
    }
}

#[test]
fn operators_change_states_and_their_choice_outlives_a_restart() {
    let mut app = App::new(
        r#"
application: states
receive_ports:
  - name: In
    locations:
      - { name: in, pipeline: PassThruReceive, file: { folder: in, mask: "*" } }
send_ports:
  - { name: P, filter: 'BTS.ReceivePortName == "In"', pipeline: PassThruTransmit, file: { folder: out, file_name: "%SourceFileName%" } }
"#,
    )
    .mkdir(&["in", "out"])
    .start();
    assert_eq!(app.ok(&["ports", "stop", "P"]).trim(), "P: stopped");
    app.drop_file("in/1", "1");
    let found = app.until_suspended(Some("PTL0201"), 1);
    // A resume sends although the port is stopped.
    app.ok(&["suspended", "resume", found[0]["id"].as_str().unwrap()]);
    app.until_files("out", 1);
    app.drop_file("in/2", "2");
    app.until_suspended(Some("PTL0201"), 1);
    assert_eq!(app.stop(), Some(0));
    app.launch();
    assert_eq!(app.json(&["ports"])[0]["state"], "stopped");
    assert_eq!(app.suspended(None).len(), 1);
    assert_eq!(app.ok(&["ports", "start", "P"]).trim(), "P: started");
    app.until_files("out", 2);
    assert!(app.suspended(None).is_empty());
    let refused = app.cli(&["ports", "start", "Nowhere"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("PTL0603"));
}
