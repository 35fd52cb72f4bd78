//! Error pages in the terminal: the Markdown of `docs/errors`, laid out for reading.

use crate::config::{render::Style, suggest};
use portolan_model::{
    Code,
    code::{self, ALL},
};

/// Widest line of a page.
const WIDTH: usize = 96;

/// The page of a code.
#[must_use]
pub fn page(code: &Code, style: Style) -> String {
    let mut text = match style {
        Style::Plain => code.page.to_owned(),
        Style::Lines => layout(code.page, false),
        Style::Colours => layout(code.page, true),
    };
    if let Some(number) = code.number {
        text.push_str(&format!("\nStatus code of the reference product: 0x{number:08X}\n"));
    }
    text
}

/// All codes with their titles.
#[must_use]
pub fn list(style: Style) -> String {
    let bold = |text: &str| if style == Style::Colours { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    ALL.iter().map(|code| format!("{}  {}\n", bold(code.id), code.title)).collect()
}

/// Finds a code by id in any case, by its digits alone, or by the number of the reference product.
///
/// # Errors
/// What to try instead.
pub fn find(text: &str) -> Result<&'static Code, String> {
    let text = text.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (1..=4).contains(&text.len());
    let id = if digits { format!("PTL{text:0>4}") } else { text.to_owned() };
    if let Some(code) = Code::find(&id) {
        return Ok(code);
    }
    let word = text.to_lowercase();
    let about: Vec<&Code> = ALL.iter().filter(|code| word.len() > 2 && code.title.to_lowercase().contains(&word)).collect();
    if !about.is_empty() {
        let lines: String = about.iter().map(|code| format!("\n  {}  {}", code.id, code.title)).collect();
        return Err(format!("there is no code `{text}`; these are about it:{lines}"));
    }
    match suggest::nearest(&id, ALL.iter().map(|code| code.id)).and_then(Code::find) {
        Some(code) => Err(format!("there is no code `{text}`; did you mean {} ({})?", code.id, code.title)),
        None => Err(format!("there is no code `{text}`; `portolan explain` lists all {} codes", code::ALL.len())),
    }
}

/// Lays Markdown out: headings, paragraphs and lists wrapped to the width, code spans marked.
fn layout(markdown: &str, colours: bool) -> String {
    let mut text = String::new();
    let mut paragraph = String::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            flush(&mut paragraph, &mut text, colours);
            fenced = !fenced;
        } else if fenced {
            text.push_str(&format!("    {line}\n"));
        } else if let Some(heading) = line.strip_prefix('#') {
            flush(&mut paragraph, &mut text, colours);
            let heading = heading.trim_start_matches('#').trim();
            text.push_str(&if colours {
                format!("\u{1b}[1m{heading}\u{1b}[0m\n")
            } else {
                format!("{heading}\n{}\n", "─".repeat(heading.chars().count()))
            });
        } else if line.trim().is_empty() {
            flush(&mut paragraph, &mut text, colours);
            text.push('\n');
        } else {
            if item(line) > 0 {
                flush(&mut paragraph, &mut text, colours);
            }
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim());
        }
    }
    flush(&mut paragraph, &mut text, colours);
    text
}

/// Length of a list mark at the start of a line (`* `, `12. `); 0 when it is none.
fn item(line: &str) -> usize {
    let line = line.trim_start();
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line.as_bytes().get(digits..) {
        Some([b'.', b' ', ..]) if digits > 0 => digits + 2,
        Some([b'*' | b'-', b' ', ..]) if digits == 0 => 2,
        _ => 0,
    }
}

fn flush(paragraph: &mut String, text: &mut String, colours: bool) {
    if paragraph.is_empty() {
        return;
    }
    let mark = item(paragraph);
    let hang = if mark > 0 { 2 + mark } else { 0 };
    let mut width = hang;
    text.push_str(&" ".repeat(if mark > 0 { 2 } else { 0 }));
    text.push_str(paragraph.get(..mark).unwrap_or_default());
    let mut in_code = false;
    for (at, word) in paragraph.get(mark..).unwrap_or_default().split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && width + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(hang));
            width = hang;
        } else if at > 0 {
            text.push(' ');
            width += 1;
        }
        width += length;
        if !colours {
            text.push_str(word);
            continue;
        }
        for piece in word.split_inclusive('`') {
            match piece.strip_suffix('`') {
                Some(piece) => {
                    in_code = !in_code;
                    text.push_str(piece);
                    text.push_str(if in_code { "\u{1b}[36m" } else { "\u{1b}[0m" });
                }
                None => text.push_str(piece),
            }
        }
    }
    text.push('\n');
    paragraph.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_many_spellings() {
        for text in ["PTL0102", "ptl0102", "102", "0102", "0xC0C01680"] {
            assert_eq!(find(text).map(|code| code.id), Ok("PTL0102"), "{text}");
        }
    }

    #[test]
    fn an_unknown_code_leads_to_the_nearest() {
        assert!(find("PTL0192").unwrap_err().contains("did you mean"));
        assert!(find("routing").unwrap_err().contains("PTL0102"));
        assert!(find("xyzzy").unwrap_err().contains("lists all"));
        assert!(find("").is_err());
    }

    #[test]
    fn every_page_is_laid_out_within_the_width() {
        for code in ALL {
            let text = page(code, Style::Lines);
            assert!(text.contains("What to do"), "{}", code.id);
            let long =
                text.lines().find(|line| line.chars().count() > WIDTH && line.split_whitespace().count() > 1 && !line.starts_with("    "));
            assert_eq!(long, None, "{}", code.id);
            let coloured = page(code, Style::Colours);
            assert_eq!(
                coloured.matches("\u{1b}[36m").count() + coloured.matches("\u{1b}[1m").count(),
                coloured.matches("\u{1b}[0m").count(),
                "{}",
                code.id
            );
        }
    }

    #[test]
    fn lists_hang_and_code_keeps_its_form() {
        let long = "word ".repeat(40);
        let text = layout(&format!("# Title\n\n* {long}\n\n```\n  a   b\n```\n1. one\n2. two\n"), false);
        assert!(text.starts_with("Title\n─────\n\n  * word"));
        assert!(text.contains("\n    word"));
        assert!(text.contains("      a   b\n"));
        assert!(text.contains("\n  1. one\n  2. two\n"));
    }
}
