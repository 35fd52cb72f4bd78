//! The commands that need no server, through the binary: output, exit codes, colours.

#![allow(clippy::unwrap_used)] // The helpers of a test may fail as it may.

use std::{
    path::Path,
    process::{Command, Output},
};

fn portolan(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.args(arguments).env_remove("PORTOLAN_ENVIRONMENT").output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn case(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check").join(name).display().to_string()
}

#[test]
fn check_exits_with_0_1_or_2() {
    assert_eq!(portolan(&["check", &case("sound-everything")]).status.code(), Some(0));
    assert_eq!(portolan(&["check", &case("warning-idle")]).status.code(), Some(0));
    assert_eq!(portolan(&["check", &case("ptl0002-unknown-key")]).status.code(), Some(1));
    assert_eq!(portolan(&["check", "/nowhere"]).status.code(), Some(1));
    assert_eq!(portolan(&["check", "--colour"]).status.code(), Some(2));
    assert_eq!(portolan(&["chekc"]).status.code(), Some(2));
}

#[test]
fn check_into_a_pipe_has_no_colours_and_names_files_as_they_can_be_opened() {
    let folder = case("ptl0002-unknown-key");
    let shown = text(&portolan(&["check", &folder]));
    assert!(!shown.contains('\u{1b}') && shown.is_ascii(), "{shown}");
    assert!(shown.contains(&format!("{folder}/application.yaml:2:1")), "{shown}");
    assert!(shown.trim_end().ends_with(": 4 mistakes"), "{shown}");
}

#[test]
fn check_for_programs_is_json_with_every_place() {
    let output = portolan(&["check", &case("ptl0003-bindings"), "--environment", "production", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["ok"], false);
    assert_eq!(value["environments"], serde_json::json!(["production"]));
    let first = &value["diagnostics"][0];
    assert_eq!((&first["code"], &first["severity"]), (&"PTL0003".into(), &"error".into()));
    assert_eq!((&first["file"], &first["line"], &first["column"]), (&"bindings/production.yaml".into(), &2.into(), &3.into()));
    assert_eq!(first["help"], "did you mean `orders-http`?");
}

#[test]
fn a_new_application_is_sound_and_is_not_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders").display().to_string();
    assert_eq!(portolan(&["new", &path]).status.code(), Some(0));
    assert!(text(&portolan(&["check", &path])).contains("no mistakes; 1 receive location, 3 send ports"));
    let again = portolan(&["new", &path]);
    assert_eq!(again.status.code(), Some(1));
    assert!(errors(&again).contains("not empty"), "{}", errors(&again));
    let schema = std::fs::read_to_string(Path::new(&path).join("application.schema.json")).unwrap();
    assert_eq!(schema, text(&portolan(&["schema"])));
}

#[test]
fn explain_finds_lists_and_suggests() {
    assert!(text(&portolan(&["explain", "102"])).contains("## What to do"));
    assert!(text(&portolan(&["explain"])).lines().count() > 40);
    let unknown = portolan(&["explain", "PTL0193"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(errors(&unknown).contains("did you mean"), "{}", errors(&unknown));
}

#[test]
fn an_example_of_an_unknown_adapter_names_those_there_are() {
    assert!(text(&portolan(&["example", "adapter", "file"])).starts_with("file:\n"));
    let unknown = portolan(&["example", "adapter", "fiel"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(errors(&unknown).contains("did you mean `file`?"), "{}", errors(&unknown));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let script = format!("{} explain | head -1", env!("CARGO_BIN_EXE_portolan"));
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!((text(&output).lines().count(), errors(&output).as_str()), (1, ""));
}
