//! The main job: messages in from folders and HTTP, routed to 0, 1 and 3 subscribers, out to folders
//! and HTTP.

use crate::harness::{App, Destination, curl, free_port};

fn yaml(http: u16, destination: &str) -> String {
    format!(
        r#"
application: basics
receive_ports:
  - name: In
    locations:
      - name: folder
        pipeline: PassThruReceive
        file: {{ folder: in, mask: "*.xml" }}
      - name: web
        pipeline: PassThruReceive
        http: {{ listen: "127.0.0.1:{http}", path: /orders }}
  - name: Three
    locations:
      - name: three
        pipeline: PassThruReceive
        file: {{ folder: three, mask: "*" }}
  - name: Nobody
    locations:
      - name: nobody
        pipeline: PassThruReceive
        file: {{ folder: nobody, mask: "*" }}
      - name: nobody-web
        pipeline: PassThruReceive
        http: {{ listen: "127.0.0.1:{http}", path: /nobody }}
send_ports:
  - name: One
    filter: BTS.ReceivePortName == "In"
    pipeline: PassThruTransmit
    file: {{ folder: one, file_name: "%MessageID%.xml" }}
  - {{ name: A, filter: 'BTS.ReceivePortName == "Three"', pipeline: PassThruTransmit, file: {{ folder: a, file_name: "%SourceFileName%" }} }}
  - {{ name: B, filter: 'BTS.ReceivePortName == "Three"', pipeline: PassThruTransmit, file: {{ folder: b, file_name: "%SourceFileName%" }} }}
  - {{ name: C, filter: 'BTS.ReceivePortName == "Three"', pipeline: PassThruTransmit, http: {{ url: "{destination}" }} }}
"#
    )
}

fn start(destination: &Destination) -> (App, u16) {
    let port = free_port();
    let app = App::new(&yaml(port, &destination.url())).mkdir(&["in", "three", "nobody", "one", "a", "b"]).start();
    (app, port)
}

#[test]
fn files_and_posts_reach_their_one_subscriber() {
    let destination = Destination::start();
    let (app, port) = start(&destination);
    app.drop_file("in/1.xml", "<first/>");
    let (status, answer) = curl(&format!("http://127.0.0.1:{port}/orders"), b"<second/>", &[]);
    assert_eq!(status, 202, "{answer}");
    let mut bodies: Vec<_> = app.until_files("one", 2).into_iter().map(|(_, body)| body).collect();
    bodies.sort();
    assert_eq!(bodies, [b"<first/>".to_vec(), b"<second/>".to_vec()]);
    app.until("the source is empty", || app.files("in").is_empty().then_some(()));
    assert!(destination.got().is_empty() && app.files("a").is_empty());
}

#[test]
fn three_subscribers_each_get_their_copy() {
    let destination = Destination::start();
    let (app, _) = start(&destination);
    for number in 0..50 {
        app.drop_file(&format!("three/{number}.txt"), format!("message {number}"));
    }
    app.until_files("a", 50);
    assert_eq!(app.until_files("a", 50), app.until_files("b", 50));
    let mut got = app.until("the destination has 50 messages", || Some(destination.got()).filter(|g| g.len() >= 50));
    got.sort();
    let mut sent: Vec<_> = app.files("a").into_iter().map(|(_, body)| body).collect();
    sent.sort();
    assert_eq!(got, sent);
}

#[test]
fn a_message_nobody_subscribes_to_is_suspended_with_a_report_and_can_be_found_and_saved() {
    let destination = Destination::start();
    let (app, port) = start(&destination);
    app.drop_file("nobody/x.txt", "lost and found");
    let found = app.until_suspended(Some("PTL0102"), 2);
    let kept = found.iter().find(|i| i["class"] == "receive_port").unwrap();
    let report = found.iter().find(|i| i["class"] == "routing_failure_report").unwrap();
    assert_eq!(report["about"], kept["id"]);
    assert_eq!((kept["resumable"].as_bool(), report["resumable"].as_bool()), (Some(true), Some(false)));
    let id = kept["id"].as_str().unwrap();
    let shown = app.ok(&["suspended", "show", id]);
    assert!(
        shown.contains("BTS.ReceivePortName") && shown.contains("lost and found") && shown.contains("portolan explain PTL0102"),
        "{shown}"
    );
    let saved = app.path("saved.txt");
    app.ok(&["suspended", "save", id, saved.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(saved).unwrap(), "lost and found");
    assert!(app.files("nobody").is_empty(), "the source file was taken");
    app.ok(&["suspended", "terminate", id]);
    assert!(app.suspended(None).is_empty(), "the report goes with its message");
    let (status, answer) = curl(&format!("http://127.0.0.1:{port}/nobody"), b"nobody wants me", &[]);
    assert!((200..500).contains(&status), "{status} {answer}");
    app.until_suspended(Some("PTL0102"), 2);
}

#[test]
fn an_unknown_path_and_an_empty_body_are_refused_with_a_problem_document() {
    let destination = Destination::start();
    let (_app, port) = start(&destination);
    let (status, answer) = curl(&format!("http://127.0.0.1:{port}/elsewhere"), b"<a/>", &[]);
    assert_eq!(status, 404, "{answer}");
    let problem: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(problem["status"], 404);
    let (status, answer) = curl(&format!("http://127.0.0.1:{port}/orders"), b"", &[]);
    assert_eq!(status, 400, "{answer}");
}

#[test]
fn an_independent_client_and_server_are_served_too() {
    let destination = Destination::start();
    let (app, port) = start(&destination);
    let program = format!(
        "import http.client\nc = http.client.HTTPConnection('127.0.0.1', {port})\nfor i in range(20):\n    c.request('POST', '/orders', body=b'<py n=\"%d\"/>' % i, headers={{'Content-Type': 'text/xml'}})\n    r = c.getresponse()\n    r.read()\n    assert r.status == 202, r.status\n"
    );
    let status = std::process::Command::new("python3").args(["-c", &program]).status().unwrap();
    assert!(status.success());
    assert_eq!(app.until_files("one", 20).len(), 20);
}
