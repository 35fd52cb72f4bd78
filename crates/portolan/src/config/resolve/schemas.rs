//! The schemas of an application; mistakes in XSD files are shown in their own text.

use crate::config::{
    diagnostic::{Diagnostic, Report, Severity},
    source::Span,
};
use portolan_model::code;
use portolan_pipelines::xsd::{SchemaProblem, load_schemas};
use portolan_sdk::Schemas;
use std::{fs, path::Path};

/// Folder of the XSD files in an application folder.
const FOLDER: &str = "schemas";
/// Largest XSD file that is shown, in bytes.
const MAX_SHOWN: u64 = 16 << 20;

/// Reads the schemas of the application in `folder`.
pub fn load(report: &mut Report, folder: &Path) -> Schemas {
    let (schemas, problems) = load_schemas(&folder.join(FOLDER));
    for problem in problems {
        let span = place(report, folder, &problem);
        let mut found = Diagnostic::error(code::CONFIG_SCHEMA, span, problem.message).maybe_help(problem.help);
        if problem.warning {
            found.severity = Severity::Warning;
        }
        report.push(found);
    }
    schemas
}

/// The place of a problem; its file becomes a source of the report.
fn place(report: &mut Report, folder: &Path, problem: &SchemaProblem) -> Span {
    let relative = problem.file.strip_prefix(folder).unwrap_or(&problem.file);
    let name = relative.to_string_lossy().replace('\\', "/");
    let file = report.sources.find(&name).unwrap_or_else(|| report.sources.add(name, read(&folder.join(relative)).unwrap_or_default()));
    let at = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    match report.sources.get(file) {
        Some(source) if problem.line > 0 => {
            let start = source.offset(at(problem.line), at(problem.column));
            let end = source
                .text()
                .get(start..)
                .map_or(start, |rest| start + rest.find(|c: char| c.is_whitespace() || "/>".contains(c)).unwrap_or(rest.len()));
            Span { file, start, end }
        }
        _ => Span::file(file),
    }
}

/// The text of an XSD file: UTF-8, or UTF-16 as the field's tools write it.
fn read(path: &Path) -> Option<String> {
    let about = fs::metadata(path).ok()?;
    if !about.is_file() || about.len() > MAX_SHOWN {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (endian, body): (fn([u8; 2]) -> u16, _) = match bytes.as_slice() {
        [0xff, 0xfe, body @ ..] => (u16::from_le_bytes, body),
        [0xfe, 0xff, body @ ..] => (u16::from_be_bytes, body),
        _ => return String::from_utf8(bytes).ok(),
    };
    let units: Vec<u16> = body.chunks_exact(2).map(|pair| endian([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}
