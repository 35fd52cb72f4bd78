//! Checking settings: every mistake at once, each with what to do.

use crate::file::FileAdapter;
use portolan_sdk::{Adapter, Checked, Direction};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn check(direction: Direction, settings: Value, base: &Path) -> Checked {
    FileAdapter::default().check(direction, &settings, base)
}

fn told(checked: &Checked) -> Vec<String> {
    checked
        .problems
        .iter()
        .map(|p| {
            format!("{}{}: {} [{}]", if p.warning { "warning " } else { "" }, p.path.join("."), p.message, p.help.as_deref().unwrap_or(""))
        })
        .collect()
}

#[test]
fn good_settings_have_an_address_and_no_problems() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let checked = check(Direction::Receive, json!({ "folder": "in", "mask": ["*.xml", "*.edi"] }), dir.path());
    assert!(checked.problems.is_empty(), "{checked:?}");
    assert_eq!(checked.address, format!("file://{}/in/*.xml,*.edi", dir.path().display()));
    let checked = check(Direction::Send, json!({ "folder": "./in" }), dir.path());
    assert!(checked.problems.is_empty(), "{checked:?}");
    assert_eq!(checked.address, format!("file://{}/in/%MessageID%.xml", dir.path().display()));
}

#[test]
fn all_mistakes_of_a_receive_location_are_found_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let settings = json!({ "folder": "none", "mask": ["*.xml", "in/*"], "batch_count": 0, "batch_bytes": 1, "remove_delay_ms": 5000,
        "polling_interval_ms": 1, "max_batches_in_flight": 65 });
    let told = told(&check(Direction::Receive, settings, dir.path()));
    for wanted in [
        "mask.1: the mask \"in/*\" contains '/'",
        "batch_count: batch_count is 0, but must be between 1 and 256",
        "batch_bytes:",
        "remove_delay_ms:",
        "polling_interval_ms:",
        "max_batches_in_flight:",
    ] {
        assert!(told.iter().any(|t| t.starts_with(wanted)), "{wanted}: {told:#?}");
    }
    let missing = format!(
        "warning folder: folder {}/none does not exist [create it, or set `create_folder: true`; until then nothing goes through it]",
        dir.path().display()
    );
    assert!(told.contains(&missing), "{told:#?}");
    assert_eq!(told.len(), 7);
    let checked = check(Direction::Receive, json!({ "folder": "none", "create_folder": true }), dir.path());
    assert!(checked.problems.is_empty() && !dir.path().join("none").exists(), "a check creates nothing");
}

#[test]
fn all_mistakes_of_a_send_port_are_found_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let settings = json!({ "folder": "file", "file_name": "%MesageID%_%strange thing%.xml", "time_zone": "Europe/Berlni", "max_concurrent_writes": 0 });
    let told = told(&check(Direction::Send, settings, dir.path()));
    assert!(
        told.iter().any(|t| t.starts_with("file_name: there is no macro `%MesageID%`") && t.contains("did you mean `%MessageID%`?")),
        "{told:#?}"
    );
    assert!(told.iter().any(|t| t.starts_with("warning file_name: there is no macro `%strange thing%`")), "{told:#?}");
    assert!(told.iter().any(|t| t.starts_with("time_zone: there is no time zone \"Europe/Berlni\"")), "{told:#?}");
    assert!(told.iter().any(|t| t.ends_with("file is not a folder []")), "{told:#?}");
    assert!(told.iter().any(|t| t.starts_with("max_concurrent_writes:")), "{told:#?}");
    for name in ["out/%MessageID%.xml", "..\\x", ""] {
        let checked = check(Direction::Send, json!({ "folder": ".", "file_name": name }), dir.path());
        assert_eq!(checked.problems.len(), 1, "{name}: {checked:?}");
        assert_eq!(checked.problems[0].path, ["file_name"]);
    }
}

#[test]
fn unknown_and_wrong_settings_are_named() {
    let told = told(&check(Direction::Receive, json!({ "folder": ".", "masc": "*" }), Path::new("/")));
    assert!(told[0].contains("unknown field `masc`"), "{told:?}");
    for folder in ["", "  ", "a\nb"] {
        assert_eq!(check(Direction::Send, json!({ "folder": folder }), Path::new("/")).problems[0].path, ["folder"]);
    }
}

#[test]
fn a_cached_port_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let checked = check(Direction::Send, json!({ "folder": ".", "allow_cache_on_write": true }), dir.path());
    assert!(checked.problems.len() == 1 && checked.problems[0].warning, "{checked:?}");
}

#[test]
fn the_specification_has_schemas_with_defaults_and_words() {
    let spec = FileAdapter::default().spec();
    let receive = spec.receive.unwrap();
    assert_eq!((spec.name, spec.transport_type), ("file", "FILE"));
    assert_eq!(receive["properties"]["batch_count"]["default"], 20);
    assert_eq!(receive["properties"]["batch_count"]["maximum"], 256);
    assert_eq!(receive["additionalProperties"], false);
    assert_eq!(receive["required"], json!(["folder"]));
    for (name, property) in receive["properties"].as_object().unwrap().iter().chain(spec.send.unwrap()["properties"].as_object().unwrap()) {
        assert!(property["description"].as_str().is_some_and(|d| d.len() > 10), "{name} is not described");
    }
}
