//! What stands before the root element of the output (manual page "Processing Instructions in the XML
//! Assembler Pipeline Component").

use super::settings::{Effective, InstructionOption, InstructionScope};
use crate::xml::{Charset, Input, Limits, Reader, Token};
use portolan_sdk::Body;

/// Checks that a text is nothing but processing instructions.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_instructions(text: &str) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("\"{text}\" is not a list of processing instructions (<?target text?>): {error}");
    let body = Body::from_bytes(format!("{text}<end/>"));
    let limits = Limits::default();
    let mut reader = Reader::new(Input::open(body, Some("utf-8"), limits.total_bytes).map_err(|e| wrong(&e))?, limits);
    loop {
        match reader.next_token().map_err(|e| wrong(&e.message))? {
            Token::Instruction | Token::Text => {}
            Token::Start => break,
            _ => return Err(wrong(&"it contains something else")),
        }
    }
    if reader.offset() == text.len() as u64 { Ok(()) } else { Err(wrong(&"it contains an element")) }
}

/// The XML declaration of the output.
#[must_use]
pub fn declaration(charset: Charset, mark: bool) -> String {
    // With a mark the byte order is told by the mark.
    let name = if charset == Charset::Utf16Be && mark { Charset::Utf16Le.name() } else { charset.name() };
    format!("<?xml version=\"1.0\" encoding=\"{name}\"?>")
}

/// New processing instructions for before the envelope and before the document.
#[must_use]
pub fn new_instructions(effective: &Effective) -> (&str, &str) {
    match (effective.option, effective.scope) {
        (InstructionOption::Ignore, _) => ("", ""),
        (_, InstructionScope::Envelope) if !effective.envelopes.is_empty() => (&effective.instructions, ""),
        _ => ("", &effective.instructions),
    }
}

/// Whether processing instructions of the document itself stay.
#[must_use]
pub fn keeps_instructions(effective: &Effective) -> bool {
    let elsewhere = effective.scope == InstructionScope::Envelope && !effective.envelopes.is_empty();
    effective.option == InstructionOption::Append || elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processing_instructions_are_accepted() {
        for good in ["", " ", "<?a?>", "<?a b?>\n<?c d='>'?>"] {
            assert_eq!(check_instructions(good), Ok(()), "{good}");
        }
        for bad in ["a", "<a/>", "<a>", "<!-- c -->", "<?xml version='1.0'?>", "<?a", "<?a?><b/><?c?>", "<!DOCTYPE a>"] {
            assert!(check_instructions(bad).is_err(), "{bad}");
        }
    }
}
