//! No application folder, however broken, may make the check panic, hang or show a secret.

#![allow(clippy::unwrap_used)] // The helpers of a test may fail as it may.

use portolan::config::{self, render};
use proptest::prelude::*;
use std::{fs, sync::LazyLock};

static REGISTRY: LazyLock<portolan_sdk::Registry> = LazyLock::new(portolan::registry);

/// Loads a text as an application and prints everything found in every form.
fn check(text: &str, environment: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(config::APPLICATION_FILE), text).unwrap();
    if let Some(bindings) = environment {
        fs::create_dir(folder.path().join("bindings")).unwrap();
        fs::write(folder.path().join("bindings/test.yaml"), bindings).unwrap();
    }
    let loaded = config::load(folder.path(), environment.map(|_| "test"), &REGISTRY);
    assert_eq!(loaded.application.is_none(), loaded.report.failed());
    let mut all = render::json(&loaded.report).to_string();
    for style in [render::Style::Plain, render::Style::Lines, render::Style::Colours] {
        all.push_str(&render::human(&loaded.report, "", style));
    }
    all
}

const SOUND: &str = include_str!("check/sound-everything/application.yaml");
const SECRETS: &str = include_str!("check/ptl0007-secrets/application.yaml");

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_application_is_reported_and_nothing_else_happens(from in 0usize..2000, length in 0usize..40, insert in "[ \\-:{}\\[\\]\"'|>&*!#%@,a-z$\n\t0-9äß\u{1b}]{0,12}") {
        let mut text: Vec<char> = SOUND.chars().collect();
        let from = from.min(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, insert.chars());
        let shown = check(&text.into_iter().collect::<String>(), None);
        // Colours begin with ESC [; whatever else begins with ESC came from the file.
        prop_assert_eq!(shown.matches('\u{1b}').count(), shown.matches("\u{1b}[").count());
    }

    #[test]
    fn any_bindings_over_a_sound_application(bindings in "(variables|receive_locations|send_ports|server|send_port_groups): ?(\\{(Germany|orders-http|host|Europe|filter): [a-z0-9\\[\\]{}: ,\"$]{0,20}\\}|[a-z0-9 \\-\n:]{0,20})\n?") {
        check(SOUND, Some(&bindings));
    }

    #[test]
    fn a_secret_stays_hidden_however_the_file_is_damaged(from in 0usize..1400, length in 0usize..6, insert in "[ :{}\\[\\]\"'\n]{0,2}") {
        let secrets = SECRETS.replace("X-Plain: hunter2", "X-Plain: x");
        // Damage beside the secrets and their keys: a file in which a secret no longer looks like one is beyond help.
        let at = secrets.char_indices().map(|(at, _)| at).nth(from).unwrap_or(0);
        let to = (at + length).min(secrets.len());
        let line = secrets[..at].rfind('\n').map_or(0, |start| start + 1);
        let end = secrets[to..].find('\n').map_or(secrets.len(), |end| to + end);
        prop_assume!(!secrets[line..end].contains("hunter2"));
        let text = format!("{}{insert}{}", &secrets[..at], &secrets[to..]);
        prop_assert!(!check(&text, None).contains("hunter2"), "{}", check(&text, None));
    }
}

#[test]
fn an_empty_file_and_one_of_comments_lack_the_name() {
    for text in ["", "# nothing\n", "---\n", "null\n"] {
        assert!(check(text, None).contains("lacks the key `application`"), "{text:?}");
    }
}

#[test]
fn a_file_that_is_not_utf8_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(config::APPLICATION_FILE), b"application: \xff\xfe\n").unwrap();
    let loaded = config::load(folder.path(), None, &REGISTRY);
    assert!(
        render::human(&loaded.report, "", render::Style::Plain)
            .contains("application.yaml: the file cannot be read: it is not UTF-8 text (byte 13)")
    );
}

#[test]
fn a_large_application_is_checked_in_a_moment() {
    let mut text = "application: large\nsend_ports:\n".to_owned();
    for port in 0..3000 {
        text.push_str(&format!(
            "  - {{ name: P{port}, filter: BTS.ReceivePortName == \"R{port}\", http: {{ url: \"http://127.0.0.1:9/{port}\" }} }}\n"
        ));
    }
    let start = std::time::Instant::now();
    check(&text, None);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn long_lines_and_many_mistakes_are_reported_in_short() {
    for text in ["- ".repeat(300_000), "a: ".repeat(300_000), "\"".repeat(300_000), format!("ä: [{}]", "1,".repeat(40_000))] {
        let start = std::time::Instant::now();
        let shown = check(&text, None);
        assert!(shown.len() < 5_000, "{} bytes for one mistake", shown.len());
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
    let shown = check(&"a: 1\n".repeat(20_000), None);
    // 19,999 repetitions, the unknown key itself, and the missing name; 100 are shown.
    assert!(shown.contains("… and 19901 more"), "{}", shown.lines().rev().take(5).collect::<String>());
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_the_application_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join(config::APPLICATION_FILE)).status();
    assert!(made.unwrap().success());
    let loaded = config::load(folder.path(), None, &REGISTRY);
    assert!(loaded.report.failed());
}
