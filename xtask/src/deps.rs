//! Which crate may know which, as the table in ARCHITECTURE.md says, and that the pure crates stay
//! pure. Reads manifests and sources; judges only our own crates (see `licences` for the others).

use crate::{
    licences,
    repo::{self, Finding, TextFile},
    step,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Crates without I/O, clock and randomness, and without iteration order that differs between runs.
const PURE: &[&str] = &["portolan-model", "portolan-engine"];

/// What a pure crate may not depend on.
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "async-trait",
    "futures-util",
    "futures",
    "rand",
    "getrandom",
    "fastrand",
    "reqwest",
    "hyper",
    "axum",
    "tempfile",
    "rusqlite",
    "tracing",
    "notify",
];

/// What the sources of a pure crate may not say, and why.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("async fn", "decisions are synchronous; the runtime does the waiting"),
    ("std::fs", "no files here: bytes are arguments"),
    ("std::net", "no sockets here"),
    ("std::env", "no environment here: settings are arguments"),
    ("std::thread", "no threads here"),
    ("SystemTime", "no clock here: the moment is an argument"),
    ("Instant::now", "no clock here: the moment is an argument"),
    ("Timestamp::now", "no clock here: the moment is an argument"),
    ("Zoned::now", "no clock here: the moment is an argument"),
    ("new_v4()", "no randomness here: identities are arguments"),
    ("now_v7()", "no clock here: identities are arguments"),
    ("HashMap", "its order differs between runs; use BTreeMap"),
    ("HashSet", "its order differs between runs; use BTreeSet"),
];

/// `cargo xtask deps`.
pub fn run() -> Result<(), String> {
    let metadata = metadata()?;
    let allowed = directions(&repo::read("ARCHITECTURE.md")?)?;
    let mut findings = compare(&allowed, &edges(&metadata)?);
    findings.extend(pure_manifests(&edges_outside(&metadata)));
    findings.extend(pure_sources(&repo::text_files()?));
    findings.extend(licences::check(&metadata, &repo::read("deny.toml")?)?);
    repo::report(&findings)?;
    println!("crate directions, purity, licences and bans hold");
    Ok(())
}

fn metadata() -> Result<Value, String> {
    let output = Command::new(step::cargo_path())
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(repo::root())
        .output()
        .map_err(|e| format!("cannot run cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata is not JSON: {e}"))
}

type Table = BTreeMap<String, BTreeSet<String>>;

/// Reads the block between the `directions` markers of ARCHITECTURE.md.
fn directions(text: &str) -> Result<Table, String> {
    let block = text
        .split_once("<!-- directions -->")
        .and_then(|(_, rest)| rest.split_once("<!-- /directions -->"))
        .ok_or("ARCHITECTURE.md has no block between <!-- directions --> and <!-- /directions -->")?
        .0;
    Ok(block
        .lines()
        .filter_map(|line| line.split_once("->"))
        .map(|(from, to)| (from.trim().to_owned(), to.split_whitespace().map(str::to_owned).collect()))
        .collect())
}

/// Our crates and which of our crates each uses, development dependencies left out: tests may know more.
fn edges(metadata: &Value) -> Result<Table, String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let ours: BTreeSet<&str> = packages.iter().filter(|p| p["source"].is_null()).filter_map(|p| p["name"].as_str()).collect();
    Ok(packages
        .iter()
        .filter(|p| p["source"].is_null())
        .map(|p| {
            let used = dependencies(p).filter(|name| ours.contains(name)).map(str::to_owned).collect();
            (p["name"].as_str().unwrap_or_default().to_owned(), used)
        })
        .collect())
}

/// Our crates and which foreign crates each uses.
fn edges_outside(metadata: &Value) -> Table {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    packages
        .iter()
        .filter(|p| p["source"].is_null())
        .map(|p| (p["name"].as_str().unwrap_or_default().to_owned(), dependencies(p).map(str::to_owned).collect()))
        .collect()
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let listed = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    listed.iter().filter(|d| d["kind"].as_str() != Some("dev")).filter_map(|d| d["name"].as_str())
}

fn compare(allowed: &Table, actual: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (from, used) in actual {
        let Some(may) = allowed.get(from) else {
            findings.push(Finding::new("ARCHITECTURE.md", format!("crate {from} is not in the table of directions")));
            continue;
        };
        for to in used.difference(may) {
            findings.push(Finding::new(
                format!("crates/{from}/Cargo.toml"),
                format!("{from} may not depend on {to} (allowed: {}); see \"Directions\" in ARCHITECTURE.md", list(may)),
            ));
        }
    }
    for gone in allowed.keys().filter(|name| !actual.contains_key(*name)) {
        findings.push(Finding::new("ARCHITECTURE.md", format!("the table of directions names {gone}, which does not exist")));
    }
    findings
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() { "none of our crates".to_owned() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
}

fn pure_manifests(outside: &Table) -> Vec<Finding> {
    PURE.iter()
        .filter_map(|name| outside.get_key_value(*name))
        .flat_map(|(name, used)| {
            used.iter().filter(|dependency| IMPURE_CRATES.contains(&dependency.as_str())).map(move |dependency| {
                Finding::new(format!("crates/{name}/Cargo.toml"), format!("{name} is pure and may not depend on {dependency}"))
            })
        })
        .collect()
}

fn pure_sources(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|f| PURE.iter().any(|name| f.path.starts_with(&format!("crates/{name}/src/"))) && f.is(".rs")) {
        let mut excused = false;
        for (number, line) in repo::numbered(code_before_tests(&file.text)) {
            let code = line.split("//").next().unwrap_or_default();
            // The lint of the crate's own clippy.toml was answered with a reason on the line above.
            let answered = std::mem::replace(&mut excused, code.contains("expect(clippy::disallowed_types"));
            if answered {
                continue;
            }
            for (word, why) in IMPURE_WORDS.iter().filter(|(word, _)| code.contains(word)) {
                findings.push(Finding::new(format!("{}:{number}", file.path), format!("`{word}` in a pure crate: {why}")));
            }
        }
    }
    findings
}

/// The part of a source file before its tests.
pub fn code_before_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ").map_or(text, |at| &text[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(lines: &str) -> Table {
        directions(&format!("<!-- directions -->\n{lines}\n<!-- /directions -->")).unwrap()
    }

    #[test]
    fn an_arrow_that_is_not_in_the_table_is_found() {
        let allowed = table("a -> b\nb ->");
        assert!(compare(&allowed, &table("a -> b\nb ->")).is_empty());
        let findings = compare(&allowed, &table("a -> b\nb -> a"));
        assert!(findings[0].to_string().contains("b may not depend on a"), "{}", findings[0]);
    }

    #[test]
    fn a_crate_missing_from_the_table_or_from_the_workspace_is_found() {
        assert_eq!(compare(&table("a ->"), &table("a ->\nb ->")).len(), 1);
        assert_eq!(compare(&table("a ->\nb ->"), &table("a ->")).len(), 1);
    }

    #[test]
    fn a_clock_in_a_pure_crate_is_found_but_not_in_its_tests_or_comments() {
        let file = |text: &str| TextFile { path: "crates/portolan-engine/src/x.rs".into(), text: text.into() };
        assert_eq!(pure_sources(&[file("//! x\nlet now = Timestamp::now();\n")]).len(), 1);
        assert_eq!(pure_sources(&[file("//! x\n// Timestamp::now is elsewhere\n#[cfg(test)]\nmod tests { HashMap }\n")]).len(), 0);
    }
}
