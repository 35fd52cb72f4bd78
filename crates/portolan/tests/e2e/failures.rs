//! What goes wrong at night: dead destinations, missing folders, restarts in the middle.

use crate::harness::{App, Destination, curl, free_port};
use std::fs;

fn yaml(http: u16, url: &str, retry: &str, backup: &str) -> String {
    format!(
        r#"
application: failures
receive_ports:
  - name: In
    locations:
      - {{ name: folder, pipeline: PassThruReceive, file: {{ folder: in, mask: "*", polling_interval_ms: 1000 }} }}
      - {{ name: web, pipeline: PassThruReceive, http: {{ listen: "127.0.0.1:{http}", path: /in }} }}
send_ports:
  - name: Shaky
    filter: BTS.ReceivePortName == "In"
    pipeline: PassThruTransmit
    retry: {retry}
    http: {{ url: "{url}" }}
{backup}
  - {{ name: Steady, filter: 'BTS.ReceivePortName == "In"', pipeline: PassThruTransmit, retry: {{ count: 1000, interval: 1s }}, file: {{ folder: steady, file_name: "%MessageID%" }} }}
"#
    )
}

#[test]
fn a_dead_destination_holds_up_nobody_and_gets_its_messages_when_it_is_back() {
    let dead = free_port();
    let http = free_port();
    let mut app =
        App::new(&yaml(http, &format!("http://127.0.0.1:{dead}/in"), "{ count: 1000, interval: 1s }", "")).mkdir(&["in", "steady"]).start();
    for number in 0..30 {
        let (status, _) = curl(&format!("http://127.0.0.1:{http}/in"), format!("m{number:02}").as_bytes(), &[]);
        assert_eq!(status, 202);
    }
    app.until_files("steady", 30);
    app.until("the messages wait for their next try", || (app.json(&["ports"])[0]["scheduled"].as_u64().unwrap() > 0).then_some(()));
    // Retries survive a restart, even a hard one.
    app.kill();
    app.launch();
    let destination = Destination::on(dead);
    let got = app.until("the destination has them all", || Some(destination.got()).filter(|g| g.len() >= 30));
    let mut got: Vec<_> = got.into_iter().map(|b| String::from_utf8(b).unwrap()).collect();
    got.sort();
    got.dedup();
    assert_eq!(got, (0..30).map(|n| format!("m{n:02}")).collect::<Vec<_>>());
    app.until("nothing is left", || app.json(&["status"])["services"].as_array().unwrap().is_empty().then_some(()));
}

#[test]
fn retries_then_the_backup_then_suspension() {
    let destination = Destination::start();
    destination.answer(503);
    let backup = "    backup:\n      retry: { count: 0, interval: 1s }\n      file: { folder: backup, file_name: \"%MessageID%\" }";
    let app =
        App::new(&yaml(free_port(), &destination.url(), "{ count: 1, interval: 1s }", backup)).mkdir(&["in", "steady", "backup"]).start();
    app.drop_file("in/a", "to the backup");
    assert_eq!(app.until_files("backup", 1)[0].1, b"to the backup");
    // Without its folder the backup fails too: suspended, visible, repairable.
    fs::remove_dir_all(app.path("backup")).unwrap();
    app.drop_file("in/b", "nowhere to go");
    let found = app.until_suspended(Some("PTL0203"), 1);
    assert!(found[0]["description"].as_str().unwrap().contains("backup"), "{}", found[0]);
    let events = app.ok(&["events", "-n", "100"]);
    assert!(events.contains("PTL0202") && events.contains("PTL0204") && events.contains("PTL0203"), "{events}");
    destination.answer(200);
    app.ok(&["suspended", "resume", "--code", "PTL0203"]);
    let got = app.until("the destination has it", || Some(destination.got()).filter(|g| !g.is_empty()));
    assert_eq!(got, [b"nowhere to go".to_vec()]);
    assert!(app.ok(&["suspended", "resume", "--all"]).starts_with("0 messages resumed"), "a second click changes nothing");
}

#[test]
fn a_refusal_for_good_is_suspended_at_once() {
    let destination = Destination::start();
    destination.answer(400);
    let app = App::new(&yaml(free_port(), &destination.url(), "{ count: 1000, interval: 1h }", "")).mkdir(&["in", "steady"]).start();
    app.drop_file("in/a", "a");
    app.until_suspended(None, 1);
}

#[test]
fn a_folder_that_disappears_is_reported_and_works_again_when_it_is_back() {
    let destination = Destination::start();
    let app = App::new(&yaml(free_port(), &destination.url(), "{ count: 3, interval: 1s }", "")).mkdir(&["in", "steady"]).start();
    fs::remove_dir_all(app.path("in")).unwrap();
    app.until("the location is failing", || (app.json(&["locations"])[0]["status"] == "failing").then_some(()));
    assert!(app.ok(&["events", "-n", "100"]).contains("PTL0301"));
    fs::create_dir(app.path("in")).unwrap();
    app.drop_file("in/a", "after the failure");
    app.until_files("steady", 1);
    app.until("the location works again", || (app.json(&["locations"])[0]["status"] == "running").then_some(()));
    assert!(app.ok(&["events", "-n", "100"]).contains("PTL0302"));
}

#[test]
fn a_destination_folder_that_disappears_is_waited_for() {
    let destination = Destination::start();
    let app = App::new(&yaml(free_port(), &destination.url(), "{ count: 3, interval: 1s }", "")).mkdir(&["in"]);
    fs::create_dir(app.path("steady")).unwrap();
    let app = app.start();
    fs::remove_dir_all(app.path("steady")).unwrap();
    app.drop_file("in/a", "a");
    app.until("the message waits", || {
        let ports = app.json(&["ports"]);
        ports
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "Steady" && p["scheduled"].as_u64().unwrap() + p["suspended"].as_u64().unwrap() > 0)
            .then_some(())
    });
    fs::create_dir(app.path("steady")).unwrap();
    assert_eq!(app.until_files("steady", 1)[0].1, b"a");
}

#[test]
fn a_second_server_on_the_same_data_folder_is_refused() {
    let destination = Destination::start();
    let app = App::new(&yaml(free_port(), &destination.url(), "{ count: 3, interval: 1s }", "")).mkdir(&["in", "steady"]).start();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_portolan"))
        .arg("run")
        .arg(app.path(""))
        .args(["--management", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("PTL0404") && said.contains(".portolan"), "{said}");
    assert!(app.cli(&["status"]).status.success(), "the first goes on");
}

#[test]
fn scheduled_messages_are_tried_at_once_when_an_operator_says_so() {
    let destination = Destination::start();
    destination.answer(503);
    let app = App::new(&yaml(free_port(), &destination.url(), "{ count: 3, interval: 1h }", "")).mkdir(&["in", "steady"]).start();
    app.drop_file("in/a", "a");
    app.until("it waits for an hour", || (app.json(&["ports"])[0]["scheduled"] == 1).then_some(()));
    destination.answer(200);
    assert!(app.ok(&["ports", "retry", "Shaky"]).starts_with("Shaky: 1 messages"));
    app.until("it has arrived", || (destination.got().len() == 1).then_some(()));
}

#[test]
fn a_folder_that_is_missing_at_the_start_keeps_nobody_else_from_working() {
    let destination = Destination::start();
    let app = App::new(&yaml(free_port(), &destination.url(), "{ count: 3, interval: 1s }", "")).mkdir(&["in"]).start();
    app.drop_file("in/a", "a");
    app.until("the other port has delivered", || (destination.got().len() == 1).then_some(()));
    fs::create_dir(app.path("steady")).unwrap();
    app.until_files("steady", 1);
}
