//! Rules for every text file: nothing of one person's machine, and links that lead somewhere.

use crate::repo::{self, Finding, TextFile};
use std::{collections::BTreeSet, path::Path};

/// Judges every text file.
pub fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known: BTreeSet<&str> = files.iter().map(|f| f.path.as_str()).collect();
    for file in files {
        findings.extend(machine(file));
        if file.is(".md") {
            findings.extend(links(file, files, &known));
        }
    }
    findings
}

/// Absolute paths into somebody's folders, and package sources other than crates.io.
fn machine(file: &TextFile) -> Vec<Finding> {
    // Put together here, or this file would find itself.
    let folders = ["root", "work", "home", "Users", "github/workspace"].map(|name| format!("/{name}/"));
    let mut findings = Vec::new();
    for (number, line) in repo::numbered(&file.text) {
        let place = format!("{}:{number}", file.path);
        for folder in &folders {
            let absolute = line.match_indices(folder.as_str()).any(|(at, _)| starts_a_path(&line[..at]));
            if absolute {
                findings.push(Finding::new(&*place, format!("a path of one machine ({folder}…); use a relative or a neutral one")));
            }
        }
        let foreign = file.path == "Cargo.lock"
            && line.starts_with("source = ")
            && !line.contains("registry+https://github.com/rust-lang/crates.io-index");
        if foreign {
            findings.push(Finding::new(place, "a dependency that does not come from crates.io"));
        }
    }
    findings
}

/// Whether what follows this text is the start of a path: not the middle of one, nor part of an address.
fn starts_a_path(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '*' | '}' | ')' | '>'))
}

/// Relative links must lead to a file of the repository, and their fragment to one of its headings.
fn links(file: &TextFile, files: &[TextFile], known: &BTreeSet<&str>) -> Vec<Finding> {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    for (number, target) in link_targets(&file.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
        let resolved = if path.is_empty() { file.path.clone() } else { normal(&folder.join(path).to_string_lossy()) };
        let place = format!("{}:{number}", file.path);
        let is_folder = known.iter().any(|k| k.starts_with(&format!("{}/", resolved.trim_end_matches('/'))));
        if !known.contains(resolved.as_str()) && !is_folder && !repo::root().join(&resolved).exists() {
            findings.push(Finding::new(place, format!("the link to {target} leads nowhere")));
        } else if !fragment.is_empty() && files.iter().any(|f| f.path == resolved && f.is(".md") && !headings(&f.text).contains(fragment)) {
            findings.push(Finding::new(place, format!("{resolved} has no heading #{fragment}")));
        }
    }
    findings
}

/// The targets of inline links outside code.
fn link_targets(text: &str) -> Vec<(usize, &str)> {
    let mut targets = Vec::new();
    for (number, line) in outside_code(text) {
        for (at, _) in line.match_indices("](") {
            let in_code = line[..at].matches('`').count() % 2 == 1;
            if let (false, Some(end)) = (in_code, line[at + 2..].find(')')) {
                let target = line[at + 2..at + 2 + end].split(" \"").next().unwrap_or_default();
                targets.push((number, target));
            }
        }
    }
    targets
}

fn outside_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    repo::numbered(text).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// Anchors of headings as hosting sites make them: small letters, spaces to hyphens, punctuation gone.
fn headings(text: &str) -> BTreeSet<String> {
    outside_code(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Resolves `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn paths_of_a_machine_are_found_and_addresses_are_not() {
        let bad = format!("see {}x", ["", "root", ""].join("/"));
        assert_eq!(machine(&file("a.md", &bad)).len(), 1);
        let fine = format!("https://example.org{0}x and ./a{0}x", ["", "root", ""].join("/"));
        assert_eq!(machine(&file("a.md", &fine)).len(), 0);
    }

    #[test]
    fn a_dependency_from_elsewhere_is_found() {
        assert_eq!(machine(&file("Cargo.lock", "source = \"git+https://example.org/x\"\n")).len(), 1);
        assert_eq!(machine(&file("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n")).len(), 0);
    }

    #[test]
    fn links_must_lead_to_files_and_headings() {
        let files = [
            file("a/one.md", "[x](two.md) [y](two.md#the-end) [z](../b.md) `[no](code.md)`\n```\n[no](code.md)\n```\n"),
            file("a/two.md", "# The end\n[gone](three.md) [wrong](one.md#nothing) [web](https://example.org/)\n"),
            file("b.md", "x"),
        ];
        let found: Vec<String> = check(&files).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a/two.md:2") && found[0].contains("three.md"), "{found:?}");
        assert!(found[1].contains("#nothing"), "{found:?}");
    }
}
