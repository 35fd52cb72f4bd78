//! Mistakes in settings: all of them, at their place, without secrets.

use super::*;
use portolan_sdk::{Checked, Direction};
use std::path::Path;

fn check(direction: Direction, settings: Json) -> Checked {
    let checked = HttpAdapter::default().check(direction, &settings, Path::new("/nowhere"));
    assert!(checked.problems.iter().all(|p| p.help.is_some()), "every mistake says what to do: {checked:?}");
    assert!(!format!("{checked:?}").contains("hunter2"), "{checked:?}");
    checked
}

/// The places of the mistakes; warnings begin with `warning `.
fn places(checked: &Checked) -> Vec<String> {
    checked.problems.iter().map(|p| format!("{}{}", if p.warning { "warning " } else { "" }, p.path.join("."))).collect()
}

#[test]
fn sound_settings_have_no_problems_and_an_address() {
    let checked = check(Direction::Receive, json!({ "path": "/orders" }));
    assert_eq!((checked.address.as_str(), checked.problems.len()), ("http://127.0.0.1:8081/orders", 0));
    let checked = check(Direction::Receive, json!({ "listen": "localhost:9000", "path": "/a" }));
    assert_eq!((checked.address.as_str(), checked.problems.len()), ("http://127.0.0.1:9000/a", 0));
    let checked = check(Direction::Receive, json!({ "listen": "[::1]:9000", "path": "/a" }));
    assert_eq!((checked.address.as_str(), checked.problems.len()), ("http://[::1]:9000/a", 0));
    let checked = check(Direction::Send, json!({ "url": "https://partner.example/in?code=hunter2" }));
    assert_eq!((checked.address.as_str(), checked.problems.len()), ("https://partner.example/in?…", 0));
}

#[test]
fn every_mistake_of_a_receive_location_is_reported_at_once() {
    let checked = check(
        Direction::Receive,
        json!({
            "listen": "8081", "path": "orders", "methods": [], "content_types": ["xml", "a/b;c=d"], "max_body_bytes": 0, "success_status": 302,
            "body_timeout_seconds": 0, "max_concurrent_requests": 0, "tls": { "certificate": "c.pem", "key": "k.pem" },
            "authentication": { "basic": { "user": "a:b", "password": "" }, "bearer": { "token": "hunter2 " } },
        }),
    );
    let want = [
        "listen",
        "path",
        "authentication.basic.user",
        "authentication.basic.password",
        "authentication.bearer.token",
        "tls.certificate",
        "tls.key",
        "methods",
        "content_types",
        "content_types",
        "max_body_bytes",
        "body_timeout_seconds",
        "max_concurrent_requests",
        "success_status",
    ];
    assert_eq!(places(&checked), want);
    assert!(checked.problems.iter().any(|p| p.message.contains("/nowhere/c.pem")), "relative to the application folder");
}

#[test]
fn a_path_is_one_exact_path_as_clients_send_it() {
    for (path, good) in [
        ("/", true),
        ("/a/b.c", true),
        ("/my%20orders", true),
        ("", false),
        ("/a?b", false),
        ("/a/*", false),
        ("/a b", false),
        ("/ä", false),
    ] {
        assert_eq!(check(Direction::Receive, json!({ "path": path })).problems.is_empty(), good, "{path}");
    }
    assert_eq!(places(&check(Direction::Receive, json!({ "path": format!("/{}", "x".repeat(300)) }))), ["path"]);
}

#[test]
fn an_address_for_other_machines_needs_credentials_and_should_have_encryption() {
    for listen in ["0.0.0.0:8081", "[::]:8081", "192.0.2.1:8081", "[::ffff:192.0.2.1]:8081"] {
        assert_eq!(places(&check(Direction::Receive, json!({ "listen": listen, "path": "/a" }))), ["listen"], "{listen}");
        let secured = json!({ "listen": listen, "path": "/a", "authentication": { "bearer": { "token": "hunter2" } } });
        assert_eq!(places(&check(Direction::Receive, secured)), ["warning tls"]);
    }
    for listen in ["127.0.0.2:8081", "[::ffff:127.0.0.1]:8081"] {
        assert!(check(Direction::Receive, json!({ "listen": listen, "path": "/a" })).problems.is_empty(), "{listen}");
    }
    let empty = json!({ "listen": "0.0.0.0:8081", "path": "/a", "authentication": {} });
    assert!(places(&check(Direction::Receive, empty)).contains(&"authentication".to_owned()));
}

#[test]
fn every_mistake_of_a_send_port_is_reported_at_once() {
    let checked = check(
        Direction::Send,
        json!({
            "url": "ftp://x/", "content_type": "xml", "headers": { "Bad Name": "x", "Host": "x", "X-Line": "a\nhunter2" }, "max_redirects": 11,
            "connect_timeout_seconds": 0, "success_statuses": [], "tls": { "ca": "ca.pem", "certificate": "c.pem" },
            "authentication": { "basic": { "user": "u", "password": "hunter2" }, "bearer": { "token": "hunter2" } },
            "proxy": { "url": "proxy:8080", "user": "u" },
        }),
    );
    let want = [
        "url",
        "headers.Bad Name",
        "headers.Host",
        "headers.X-Line",
        "content_type",
        "authentication",
        "tls.ca",
        "tls",
        "max_redirects",
        "connect_timeout_seconds",
        "success_statuses",
        "proxy",
    ];
    assert_eq!(places(&checked), want);
}

#[test]
fn credentials_do_not_belong_into_a_url_nor_onto_an_open_wire() {
    for url in ["http://user:hunter2@x/", "http://hunter2@x/", "nonsense", "http://", "http://x/#f"] {
        assert_eq!(places(&check(Direction::Send, json!({ "url": url }))), ["url"], "{url}");
    }
    let with = |url: &str| check(Direction::Send, json!({ "url": url, "authentication": { "bearer": { "token": "hunter2" } } }));
    assert_eq!(places(&with("http://partner.example/")), ["warning url"]);
    for fine in ["https://partner.example/", "http://localhost:9/", "http://127.0.0.1:9/", "http://[::1]:9/"] {
        assert!(with(fine).problems.is_empty(), "{fine}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_not_quoted() {
    let checked = check(Direction::Send, json!({ "url": "http://x/", "authentication": { "bearer": { "token": { "it": "hunter2" } } } }));
    assert_eq!(checked.problems.len(), 1);
    let checked = check(Direction::Send, json!({ "url": "http://x/", "timeout_seconds": "hunter2" }));
    assert_eq!(checked.problems.len(), 1);
    let checked = check(Direction::Receive, json!({ "paht": "/a" }));
    assert!(checked.problems[0].message.contains("paht"), "{checked:?}");
    assert!(HttpAdapter::default().sender(&json!({ "url": "ftp://x" }), setup("p")).is_err());
}
