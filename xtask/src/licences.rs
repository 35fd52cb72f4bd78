//! Licences and banned crates of the whole dependency tree, by the two lists of `deny.toml`. A small
//! stand-in for cargo-deny that runs on every machine; it reads that file's own layout, not any TOML.

use crate::repo::Finding;
use serde_json::Value;
use std::collections::BTreeSet;

/// Judges every package of the tree.
pub fn check(metadata: &Value, deny: &str) -> Result<Vec<Finding>, String> {
    let allowed: BTreeSet<&str> = array(deny, "licenses", "allow")?.into_iter().filter_map(quoted).collect();
    let banned: Vec<(&str, &str)> = array(deny, "bans", "deny")?
        .into_iter()
        .filter_map(|line| Some((quoted(line.split_once("crate = ")?.1)?, quoted(line.split_once("reason = ")?.1)?)))
        .collect();
    if allowed.is_empty() || banned.is_empty() {
        return Err("deny.toml: the lists of allowed licences and banned crates must not be empty".to_owned());
    }
    let used: BTreeSet<&str> =
        metadata["resolve"]["nodes"].as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(|n| n["id"].as_str()).collect();
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().map_or(&[][..], Vec::as_slice) {
        let (Some(name), Some(id)) = (package["name"].as_str(), package["id"].as_str()) else { continue };
        if !used.contains(id) {
            continue;
        }
        if let Some((_, reason)) = banned.iter().find(|(banned, _)| *banned == name) {
            findings.push(Finding::new("deny.toml", format!("crate {name} is banned: {reason}; see `cargo tree -i {name}`")));
        }
        let licence = package["license"].as_str().unwrap_or("none given");
        if !permitted(licence, &allowed) {
            findings.push(Finding::new("deny.toml", format!("crate {name} has licence \"{licence}\", which is not allowed")));
        }
    }
    Ok(findings)
}

/// The lines of `key = [ … ]` in section `[section]`.
fn array<'a>(text: &'a str, section: &str, key: &str) -> Result<Vec<&'a str>, String> {
    let heading = format!("[{section}]");
    let opening = format!("{key} = [");
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with("["))
        .skip_while(|line| *line != opening)
        .skip(1)
        .take_while(|line| *line != "]")
        .collect();
    if lines.is_empty() { Err(format!("deny.toml: no `{opening}` in {heading}")) } else { Ok(lines) }
}

fn quoted(text: &str) -> Option<&str> {
    text.split('"').nth(1)
}

/// Whether a licence expression can be satisfied: `AND` binds stronger than `OR`, `/` is an old `OR`.
fn permitted(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&words, &mut at, allowed) && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut good = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        good |= all(words, at, allowed);
    }
    good
}

fn all(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut good = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        good &= one(words, at, allowed);
    }
    good
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let good = any(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += usize::from(closed);
        return good && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let full = format!("{word} WITH {}", words.get(*at + 1).copied().unwrap_or_default());
        *at += 2;
        return allowed.contains(full.as_str());
    }
    allowed.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions_are_read_with_their_precedence() {
        let allowed = BTreeSet::from(["MIT", "Apache-2.0", "BSD-3-Clause", "Apache-2.0 WITH LLVM-exception"]);
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "Apache-2.0/MIT",
            "GPL-3.0 AND MIT OR MIT",
            "(GPL-3.0 OR MIT) AND BSD-3-Clause",
            "Apache-2.0 WITH LLVM-exception OR X",
        ] {
            assert!(permitted(good, &allowed), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND X", "", "MIT)", "Apache-2.0 WITH Other", "none given"] {
            assert!(!permitted(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn a_banned_crate_and_a_foreign_licence_are_found_only_when_used() {
        let deny = "[licenses]\nallow = [\n\"MIT\",\n]\n[bans]\ndeny = [\n{ crate = \"bad\", reason = \"no\" },\n]\n";
        let metadata = serde_json::json!({
            "packages": [
                { "name": "bad", "id": "1", "license": "MIT" },
                { "name": "copyleft", "id": "2", "license": "GPL-3.0" },
                { "name": "elsewhere", "id": "3", "license": "GPL-3.0" },
            ],
            "resolve": { "nodes": [{ "id": "1" }, { "id": "2" }] },
        });
        let findings: Vec<String> = check(&metadata, deny).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].contains("bad is banned: no") && findings[1].contains("copyleft"), "{findings:?}");
    }
}
