//! Operating a running server: edit and resubmit, bulk resume, reload, status, refusals.

use crate::harness::{App, text};
use std::{fs, process::Command};

const YAML: &str = r#"
application: operating
receive_ports:
  - name: In
    locations:
      - { name: in, pipeline: PassThruReceive, file: { folder: in, mask: "*" } }
send_ports:
  - { name: P, state: stopped, filter: 'BTS.ReceivePortName == "In"', pipeline: PassThruTransmit, file: { folder: out, file_name: "%SourceFileName%" } }
"#;

fn start() -> App {
    App::new(YAML).mkdir(&["in", "out", "second"]).start()
}

#[test]
fn an_edited_message_replaces_its_original_and_keeps_a_link_to_it() {
    let app = start();
    app.drop_file("in/order", "amount=1O0");
    let found = app.until_suspended(None, 1);
    let (id, original) = (found[0]["id"].as_str().unwrap(), found[0]["message"].as_str().unwrap());
    fs::write(app.path("fixed"), "amount=100").unwrap();
    let answer = app.json(&["suspended", "edit", id, "--file", app.path("fixed").to_str().unwrap()]);
    assert_eq!(answer["messages"].as_array().unwrap().len(), 1);
    assert_eq!(app.until_files("out", 1), [("order".to_owned(), b"amount=100".to_vec())]);
    assert!(app.suspended(None).is_empty());
    assert!(app.ok(&["events", "-n", "100"]).contains("edited and resubmitted"));
    let again = app.cli(&["suspended", "edit", id, "--file", app.path("fixed").to_str().unwrap()]);
    assert!(!again.status.success() && text(&again.stderr).contains("PTL0603"), "{}", text(&again.stderr));
    let _ = original;
}

#[test]
fn the_editor_is_used_when_no_file_is_given() {
    let app = start();
    app.drop_file("in/order", "wrong");
    let found = app.until_suspended(None, 1);
    let id = &found[0]["id"].as_str().unwrap()[..30];
    let edit = |editor: &str| {
        Command::new(env!("CARGO_BIN_EXE_portolan"))
            .args(["suspended", "edit", id, "--data"])
            .arg(app.path(".portolan"))
            .env_remove("VISUAL")
            .env("EDITOR", editor)
            .output()
            .unwrap()
    };
    let unchanged = edit("true");
    assert!(text(&unchanged.stdout).contains("nothing was changed"), "{}", text(&unchanged.stderr));
    assert_eq!(app.suspended(None).len(), 1);
    let changed = edit("sed -i s/wrong/right/");
    assert!(changed.status.success(), "{}", text(&changed.stderr));
    assert_eq!(app.until_files("out", 1)[0].1, b"right");
}

#[test]
fn two_thousand_are_resumed_in_one_step_and_only_once() {
    let app = start();
    for number in 0..2000 {
        app.drop_file(&format!("in/{number}"), number.to_string());
    }
    app.until("all are suspended", || (app.json(&["suspended", "list", "-n", "1"])["total"] == 2000).then_some(()));
    let both: Vec<_> = std::thread::scope(|scope| {
        let clicks: Vec<_> =
            (0..2).map(|_| scope.spawn(|| app.json(&["suspended", "resume", "--service", "P"])["changed"].as_u64().unwrap())).collect();
        clicks.into_iter().map(|click| click.join().unwrap()).collect()
    });
    assert_eq!(both.iter().sum::<u64>(), 2000, "{both:?}");
    let files = app.until_files("out", 2000);
    assert_eq!(files.len(), 2000);
    assert!(files.iter().all(|(name, body)| name.as_bytes() == body.as_slice()));
}

#[test]
fn a_changed_application_is_taken_over_and_a_broken_one_is_not() {
    let app = start();
    app.configure(&YAML.replace("state: stopped", "state: started").replace("folder: out", "folder: second"));
    app.ok(&["reload"]);
    app.drop_file("in/a", "a");
    app.until_files("second", 1);
    app.configure(&YAML.replace("pipeline: PassThruTransmit", "pipelin: PassThruTransmit"));
    let refused = app.cli(&["reload"]);
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.contains("pipelin") && said.contains("application.yaml"), "{said}");
    app.drop_file("in/b", "b");
    app.until_files("second", 2);
    // SIGHUP does the same.
    app.configure(YAML);
    assert!(Command::new("kill").args(["-HUP", &app.pid().to_string()]).status().unwrap().success());
    app.until("reloaded", || app.log().matches("the application was reloaded").nth(1).map(drop));
}

#[test]
fn a_location_is_disabled_and_enabled() {
    let app = start();
    assert_eq!(app.ok(&["locations", "disable", "in"]).trim(), "in: disabled");
    app.until("disabled", || (app.json(&["locations"])[0]["status"] == "disabled").then_some(()));
    app.drop_file("in/a", "a");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(app.files("in").len(), 1, "a disabled location takes nothing");
    app.ok(&["locations", "enable", "in"]);
    app.until_suspended(None, 1);
}

#[test]
fn commands_without_a_server_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portolan")).args(["status", "--data"]).arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("PTL0601") && text(&output.stderr).contains("portolan run"), "{}", text(&output.stderr));
}

#[test]
fn the_api_refuses_strangers_and_describes_itself() {
    let app = start();
    let where_: serde_json::Value = serde_json::from_slice(&fs::read(app.path(".portolan/management.json")).unwrap()).unwrap();
    let base = format!("http://{}", where_["address"].as_str().unwrap());
    let get = |path: &str, token: Option<&str>| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--noproxy", "*", "--write-out", "\n%{http_code}"]).arg(format!("{base}{path}"));
        if let Some(token) = token {
            curl.args(["--header", &format!("authorization: Bearer {token}")]);
        }
        text(&curl.output().unwrap().stdout)
    };
    assert!(get("/v1/status", None).ends_with("401"));
    assert!(get("/v1/status", Some("0123456789abcdef0123456789abcdef")).ends_with("401"));
    let token = fs::read_to_string(app.path(".portolan/management.token")).unwrap();
    assert!(get("/v1/status", Some(token.trim())).ends_with("200"));
    let description: serde_json::Value = serde_json::from_str(get("/openapi.json", None).trim_end_matches("\n200")).unwrap();
    assert!(description["paths"]["/v1/suspended"].is_object());
    assert!(get("/metrics", None).contains("portolan_"));
    assert!(!app.log().contains(token.trim()));
}

#[test]
fn an_action_on_everything_must_be_meant() {
    let app = start();
    app.drop_file("in/a", "a");
    app.until_suspended(None, 1);
    for args in [&["suspended", "terminate"][..], &["suspended", "terminate", "--text", ""], &["suspended", "resume", "--code", " "]] {
        let refused = app.cli(args);
        assert!(!refused.status.success(), "{args:?}: {}", text(&refused.stdout));
    }
    let at: serde_json::Value = serde_json::from_slice(&fs::read(app.path(".portolan/management.json")).unwrap()).unwrap();
    let token = fs::read_to_string(app.path(".portolan/management.token")).unwrap();
    let url = format!("http://{}/v1/suspended/actions/terminate", at["address"].as_str().unwrap());
    let authorization = format!("authorization: Bearer {}", token.trim());
    for body in ["{}", r#"{"limit":1}"#, r#"{"text":""}"#, r#"{"ids":","}"#, r#"{"all":false}"#, r#"{"all":true,"code":"PTL0201"}"#] {
        let (status, answer) =
            crate::harness::curl(&url, body.as_bytes(), &["--header", "content-type: application/json", "--header", &authorization]);
        assert!((400..500).contains(&status), "{body}: {status} {answer}");
    }
    assert_eq!(app.suspended(None).len(), 1, "nothing was terminated");
    assert_eq!(app.ok(&["suspended", "terminate", "--all"]).trim(), "1 messages terminated");
}
