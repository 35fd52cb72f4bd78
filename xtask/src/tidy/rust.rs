//! Rules for Rust sources: header, sizes, unfinished code, white space. Relies on `cargo fmt` for the
//! layout it measures.

use super::exceptions::Exceptions;
use crate::{
    deps::code_before_tests,
    repo::{self, Finding, TextFile},
};

const FILE_LINES: usize = 800;
const FUNCTION_LINES: usize = 70;

/// Judges every Rust file.
pub fn check(files: &[TextFile], exceptions: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut exceptions = Exceptions::parse(exceptions);
    for file in files.iter().filter(|f| f.is(".rs")) {
        findings.extend(header(file));
        findings.extend(unfinished(file));
        findings.extend(white_space(file));
        if is_test(&file.path) {
            continue;
        }
        let code = code_before_tests(&file.text);
        exceptions.judge(&file.path, &format!("file {}", file.path), code.lines().count(), FILE_LINES);
        for function in functions(code) {
            let place = format!("{}:{}", file.path, function.line);
            exceptions.judge(
                &format!("{place}: fn {}", function.name),
                &format!("function {} {}", file.path, function.name),
                function.lines,
                FUNCTION_LINES,
            );
        }
    }
    findings.extend(exceptions.finish());
    findings
}

/// Whether a whole file is test code; the conformance suites are, though they are shipped.
fn is_test(path: &str) -> bool {
    path.contains("/tests/")
        || path.contains("/conformance")
        || path.contains("/benches/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

fn header(file: &TextFile) -> Option<Finding> {
    let first = file.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    let good = first.is_some_and(|line| line.starts_with("//!") && line.len() > 10);
    (!good).then(|| Finding::new(&*file.path, "must open with `//!`: what it is, and what it must never do"))
}

fn unfinished(file: &TextFile) -> Vec<Finding> {
    // Put together here, or this file would find itself.
    let words = ["todo", "unimplemented", "dbg"].map(|word| format!("{word}!("));
    repo::numbered(&file.text)
        .filter_map(|(number, line)| {
            let code = line.split("//").next().unwrap_or_default();
            let word = words.iter().find(|word| code.contains(word.as_str()))?;
            Some(Finding::new(format!("{}:{number}", file.path), format!("`{word}…)` must not be committed")))
        })
        .collect()
}

fn white_space(file: &TextFile) -> Vec<Finding> {
    repo::numbered(&file.text)
        .filter_map(|(number, line)| {
            let what = if line.contains('\t') {
                "a tab character; write \\t in a literal"
            } else if line.ends_with([' ', '\r']) {
                "white space at the end of the line"
            } else {
                return None;
            };
            Some(Finding::new(format!("{}:{number}", file.path), what))
        })
        .collect()
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Functions and their lengths, from the line of `fn` to the closing brace with the same indentation.
fn functions(code: &str) -> Vec<Function> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let declared = |line: &&str| line.trim_end().ends_with(';') && line.len() - line.trim_start().len() <= indent;
        let Some(length) = lines[at..].iter().position(|line| *line == closing || declared(line)) else { continue };
        // A body on one line ends where it starts.
        let length = if line.trim_end().ends_with('}') { 0 } else { length };
        found.push(Function { name: name.to_owned(), line: at + 1, lines: length + 1 });
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix("fn ") {
            return after.split(|c: char| !c.is_alphanumeric() && c != '_').next();
        }
        let (word, after) = rest.split_once(' ')?;
        if !(matches!(word, "async" | "const" | "unsafe" | "extern") || word.starts_with("pub")) {
            return None;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TextFile {
        TextFile { path: "crates/a/src/a.rs".into(), text: text.into() }
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert!(header(&file("//! What it is.\n")).is_none());
        assert!(header(&file("#![allow(x)]\n//! What it is.\n")).is_none());
        assert!(header(&file("use std::fs;\n")).is_some());
        assert!(header(&file("//!\n")).is_some());
    }

    #[test]
    fn functions_are_measured_from_fn_to_closing_brace() {
        let code = "pub(crate) async fn one(\n    a: u8,\n) {\n    if a {\n    }\n}\n\nimpl X {\n    fn two() { x() }\n    fn three(&self) -> u8 {\n        1\n    }\n    fn four();\n}\n";
        let lengths: Vec<(String, usize)> = functions(code).into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(lengths, [("one".into(), 6), ("two".into(), 1), ("three".into(), 3), ("four".into(), 1)]);
    }

    #[test]
    fn long_functions_and_files_are_found_but_not_in_tests() {
        let long = format!("//! A header.\nfn long() {{\n{}}}\n", "    x();\n".repeat(70));
        assert_eq!(check(&[file(&long)], "").len(), 1);
        let tests = format!("//! A header.\nfn short() {{}}\n\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    x();\n".repeat(900));
        assert_eq!(check(&[file(&tests)], "").len(), 0);
    }

    #[test]
    fn tabs_and_trailing_spaces_are_found() {
        assert_eq!(white_space(&file("a\tb\nc \nd\n")).len(), 2);
    }
}
