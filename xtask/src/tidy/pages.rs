//! Rules for pages with a fixed form: error pages, decision records, changelog fragments.

use crate::repo::{Finding, TextFile};
use portolan_model::{Code, code};

/// Judges the pages.
pub fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = errors(files, code::ALL);
    findings.extend(decisions(files));
    findings.extend(files.iter().filter(|f| f.path.starts_with("changelog.d/") && !f.is("/README.md")).filter_map(fragment));
    findings
}

/// The text under a heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("\n{heading}\n"))?;
    Some(after.split("\n## ").next().unwrap_or_default().trim())
}

/// Every code has a page with a text in each section, and every page has a code.
fn errors(files: &[TextFile], codes: &[Code]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let pages = files.iter().filter_map(|f| Some((f, f.path.strip_prefix("docs/errors/")?.strip_suffix(".md")?)));
    for (page, id) in pages.clone() {
        let Some(code) = codes.iter().find(|code| code.id == id) else {
            findings.push(Finding::new(&*page.path, "there is no such code in crates/portolan-model/src/code.rs"));
            continue;
        };
        let first = format!("# {}: {}", code.id, code.title);
        if page.text.lines().next() != Some(first.as_str()) {
            findings.push(Finding::new(&*page.path, format!("the first line must be `{first}`")));
        }
        for heading in ["## What happened", "## Likely causes", "## What to do"] {
            let text = section(&page.text, heading).unwrap_or_default();
            if text.len() < 40 {
                findings.push(Finding::new(&*page.path, format!("`{heading}` is missing or says next to nothing")));
            }
        }
    }
    for code in codes.iter().filter(|code| pages.clone().all(|(_, id)| id != code.id)) {
        findings.push(Finding::new(format!("docs/errors/{}.md", code.id), "missing: every code has a page"));
    }
    findings
}

/// Records are numbered without gaps and have their sections.
fn decisions(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let records: Vec<(&TextFile, &str)> = files
        .iter()
        .filter_map(|f| Some((f, f.path.strip_prefix("docs/decisions/")?.strip_suffix(".md")?)))
        .filter(|(_, name)| *name != "README" && *name != "template")
        .collect();
    for (at, (record, name)) in records.iter().enumerate() {
        let number = format!("{:04}", at + 1);
        if !name.starts_with(&format!("{number}-")) {
            findings.push(Finding::new(&*record.path, format!("expected number {number}: records are numbered without gaps")));
        }
        let own = &name[..name.len().min(4)];
        if !record.text.starts_with(&format!("# {own}: ")) {
            findings.push(Finding::new(&*record.path, format!("the first line must be `# {own}: title`")));
        }
        if !record.text.contains("\nStatus: ") || !record.text.contains("\nDate: ") {
            findings.push(Finding::new(&*record.path, "needs the lines `Status: …` and `Date: …`"));
        }
        for heading in ["## Context", "## Decision", "## Consequences"] {
            if section(&record.text, heading).unwrap_or_default().is_empty() {
                findings.push(Finding::new(&*record.path, format!("`{heading}` is missing or empty")));
            }
        }
    }
    findings
}

/// `slug.kind.md`, plain sentences.
fn fragment(file: &TextFile) -> Option<Finding> {
    let name = file.path.strip_prefix("changelog.d/")?;
    let mut parts = name.split('.');
    let slug = parts.next().is_some_and(|s| !s.is_empty() && s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    let kind = parts.next().is_some_and(|kind| ["added", "changed", "fixed", "removed", "security"].contains(&kind));
    if !(slug && kind && parts.next() == Some("md") && parts.next().is_none()) {
        return Some(Finding::new(&*file.path, "the name must be <slug>.<added|changed|fixed|removed|security>.md"));
    }
    let text = file.text.trim();
    let sentences =
        text.starts_with(|c: char| c.is_uppercase()) && text.ends_with('.') && !text.contains("\n#") && text.lines().count() <= 10;
    (!sentences).then(|| Finding::new(&*file.path, "write one to five plain sentences: capital letter first, full stop last, no heading"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_code_without_page_a_page_without_code_and_an_empty_section_are_found() {
        let code = &code::CONFIG_SYNTAX;
        let filler = "Words enough to be of use to somebody at night.";
        let full = format!(
            "# {}: {}\n\n## What happened\n\n{filler}\n\n## Likely causes\n\n{filler}\n\n## What to do\n\n{filler}\n",
            code.id, code.title
        );
        let path = "docs/errors/PTL0001.md";
        assert_eq!(errors(&[file(path, &full)], &[*code]).len(), 0);
        assert_eq!(errors(&[file(path, &full.replacen(filler, "", 1))], &[*code]).len(), 1);
        assert_eq!(errors(&[file(path, &full.replacen("# PTL", "# X", 1))], &[*code]).len(), 1);
        assert_eq!(errors(&[file(path, &full)], &[]).len(), 1);
        assert_eq!(errors(&[], &[*code]).len(), 1);
    }

    #[test]
    fn records_are_numbered_without_gaps() {
        let text = |n: &str| {
            format!("# {n}: x\n\nStatus: accepted\nDate: 2026-01-01\n\n## Context\n\na\n\n## Decision\n\nb\n\n## Consequences\n\nc\n")
        };
        assert_eq!(decisions(&[file("docs/decisions/0001-a.md", &text("0001")), file("docs/decisions/0002-b.md", &text("0002"))]).len(), 0);
        assert_eq!(decisions(&[file("docs/decisions/0001-a.md", &text("0001")), file("docs/decisions/0003-b.md", &text("0003"))]).len(), 1);
        assert_eq!(decisions(&[file("docs/decisions/0001-a.md", "# 0001: x\n")]).len(), 4);
    }

    #[test]
    fn fragments_have_a_slug_a_kind_and_sentences() {
        assert!(fragment(&file("changelog.d/a-b.added.md", "Something new.\n")).is_none());
        for (name, text) in
            [("a.new.md", "Yes."), ("A.added.md", "Yes."), ("added.md", "Yes."), ("a.fixed.md", "no."), ("a.fixed.md", "No")]
        {
            assert!(fragment(&file(&format!("changelog.d/{name}"), text)).is_some(), "{name} {text}");
        }
    }
}
