//! Every kind of mistake, as people see it: each folder under `tests/check` is an application with the
//! expected output of `portolan check` beside it in `expected.txt`. `PORTOLAN_BLESS=1` writes the files
//! anew; read the difference before committing it.

#![allow(clippy::unwrap_used)] // The helpers of a test may fail as it may.

use portolan::config::{self, render};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut cases: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// What people see of a case, with paths as if the application folder were the current one.
fn output(case: &Path) -> String {
    // At a short path: where messages are broken into lines depends on its length.
    let place = tempfile::tempdir().unwrap();
    copy(case, place.path());
    let case = place.path();
    let environment = fs::read_to_string(case.join("environment.txt")).ok();
    let loaded = config::load(case, environment.as_deref().map(str::trim), &portolan::registry());
    assert_eq!(loaded.application.is_none(), loaded.report.failed(), "{}: an application exactly when there is no mistake", case.display());
    let text = render::human(&loaded.report, "", render::Style::Plain) + &render::summary(&loaded.report) + "\n";
    assert!(!text.contains("hunter2"), "{}: a secret is shown:\n{text}", case.display());
    assert!(!render::json(&loaded.report).to_string().contains("hunter2"), "{}: a secret is in the JSON", case.display());
    unwrapped(&text).replace(&format!("{}/", case.display()), "").replace(&case.display().to_string(), ".")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Messages on one line each, wherever they were broken.
fn unwrapped(text: &str) -> String {
    text.replace("\n  | ", " ")
}

#[test]
fn every_mistake_is_reported_as_expected() {
    let bless = std::env::var_os("PORTOLAN_BLESS").is_some();
    let mut stale = Vec::new();
    for case in cases() {
        let found = output(&case);
        let golden = case.join("expected.txt");
        if bless {
            fs::write(&golden, &found).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != found {
            stale.push(format!("---- {}\n{found}", case.display()));
        }
    }
    assert!(stale.is_empty(), "different from expected.txt (PORTOLAN_BLESS=1 writes them anew):\n{}", stale.join("\n"));
}

#[test]
fn every_case_is_about_the_mistake_it_is_named_after() {
    for case in cases() {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let text = output(&case);
        let wanted = match name.split('-').next().unwrap() {
            "sound" => "no mistakes",
            "warning" => "no mistakes, ",
            code => &format!("{}\n", code.to_uppercase()),
        };
        assert!(text.contains(wanted), "{name} lacks {wanted:?}:\n{text}");
    }
}
