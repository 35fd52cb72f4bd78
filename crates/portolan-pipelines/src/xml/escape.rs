//! References (`&amp;`, `&#x41;`) and the values of attributes.

use super::chars::{is_legal, name_length};
use std::borrow::Cow;

/// What stands at an ampersand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reference<'a> {
    /// A character, and the length of its reference in bytes.
    Character(char, usize),
    /// A reference to an entity that only a DTD could declare.
    Entity(&'a str),
    /// The text ends inside the reference.
    Incomplete,
    /// No reference at all.
    Broken,
}

/// Reads the reference at the start of `text`, which begins with `&`.
#[must_use]
pub fn reference(text: &[u8]) -> Reference<'_> {
    if text.get(1) == Some(&b'#') {
        return character_reference(text);
    }
    if text.len() < 2 {
        return Reference::Incomplete;
    }
    let length = name_length(&text[1..]);
    match text.get(1 + length) {
        None => Reference::Incomplete,
        Some(b';') if length > 0 => match &text[1..=length] {
            b"amp" => Reference::Character('&', 5),
            b"lt" => Reference::Character('<', 4),
            b"gt" => Reference::Character('>', 4),
            b"quot" => Reference::Character('"', 6),
            b"apos" => Reference::Character('\'', 6),
            name => Reference::Entity(std::str::from_utf8(name).unwrap_or("?")),
        },
        Some(_) => Reference::Broken,
    }
}

fn character_reference(text: &[u8]) -> Reference<'static> {
    let (radix, from) = if text.get(2) == Some(&b'x') { (16, 3) } else { (10, 2) };
    let mut value = 0u32;
    for (at, byte) in text.iter().enumerate().skip(from) {
        if *byte == b';' {
            return match char::from_u32(value).filter(|c| at > from && is_legal(*c)) {
                Some(c) => Reference::Character(c, at + 1),
                None => Reference::Broken,
            };
        }
        let Some(digit) = char::from(*byte).to_digit(radix) else { return Reference::Broken };
        // Saturates above every character, so that leading zeros cost nothing and overflow is caught.
        value = value.saturating_mul(radix).saturating_add(digit).min(0x0011_0000);
    }
    Reference::Incomplete
}

/// The value of an attribute as XML defines it: references resolved, white space made blanks. The raw
/// text has been checked by the reader.
#[must_use]
pub fn attribute_value(raw: &str) -> Cow<'_, str> {
    if !raw.bytes().any(|b| matches!(b, b'&' | b'\t' | b'\n' | b'\r')) {
        return Cow::Borrowed(raw);
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '&' => match reference(rest.as_bytes()) {
                Reference::Character(c, taken) => {
                    value.push(c);
                    length = taken;
                }
                _ => value.push('&'),
            },
            '\r' if rest[1..].starts_with('\n') => {
                value.push(' ');
                length = 2;
            }
            '\t' | '\n' | '\r' => value.push(' '),
            c => value.push(c),
        }
        rest = &rest[length..];
    }
    Cow::Owned(value)
}

/// Writes `text` as the value of an attribute in double quotes.
#[must_use]
pub fn escape_attribute(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '&' | '<' | '"' | '\t' | '\n' | '\r'))
}

/// Writes `text` as the content of an element.
#[must_use]
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '&' | '<' | '>' | '\r'))
}

fn escape(text: &str, needs: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&needs) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' if needs('>') => out.push_str("&gt;"),
            '"' if needs('"') => out.push_str("&quot;"),
            c if needs(c) => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_bad_ones_told_apart() {
        assert_eq!(reference(b"&lt;x"), Reference::Character('<', 4));
        assert_eq!(reference(b"&#x20AC;"), Reference::Character('€', 8));
        assert_eq!(reference(b"&#00000000000000000000065;"), Reference::Character('A', 26));
        assert_eq!(reference(b"&lol9;"), Reference::Entity("lol9"));
        for broken in ["& ", "&;", "&#;", "&#x;", "&#0;", "&#xD800;", "&#x110000;", "&#99999999999;", "&#1a;", "&a b;"] {
            assert_eq!(reference(broken.as_bytes()), Reference::Broken, "{broken}");
        }
        for cut in ["&", "&a", "&#", "&#x", "&#x4"] {
            assert_eq!(reference(cut.as_bytes()), Reference::Incomplete, "{cut}");
        }
    }

    #[test]
    fn attribute_values_are_normalised_and_written_back() {
        assert_eq!(attribute_value("a\r\nb\tc&#10;d&amp;"), "a b c\nd&");
        let text = "a\n\"<&>\t\u{e4}";
        assert_eq!(attribute_value(&escape_attribute(text)), text);
        assert_eq!(escape_text("a<b>&\"\r"), "a&lt;b&gt;&amp;\"&#13;");
    }
}
