//! Character classes of XML 1.0 (fifth edition).

const NAME_START: u8 = 1;
const NAME: u8 = 2;
const TEXT_STOP: u8 = 4;
const ILLEGAL: u8 = 8;

/// Classes of ASCII; bytes of multi-byte characters are names until looked at closely.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' {
            table[at] = NAME_START | NAME;
        } else if byte.is_ascii_digit() || byte == b'-' || byte == b'.' {
            table[at] = NAME;
        } else if byte < 0x20 && byte != b'\t' && byte != b'\n' && byte != b'\r' {
            table[at] = ILLEGAL | TEXT_STOP;
        } else if matches!(byte, b'<' | b'&' | b']' | 0xEF) {
            table[at] = TEXT_STOP;
        }
        at += 1;
    }
    table
}

/// Whether the byte ends a quick scan over text: markup, a possible `]]>`, a control character, or the
/// first byte of a character that might be U+FFFE or U+FFFF.
#[inline]
#[must_use]
pub fn stops_text(byte: u8) -> bool {
    CLASS[byte as usize] & TEXT_STOP != 0
}

/// XML white space.
#[inline]
#[must_use]
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether all bytes are XML white space.
#[must_use]
pub fn all_space(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| is_space(*b))
}

/// Position of the first character that XML 1.0 forbids; `bytes` is UTF-8.
#[must_use]
pub fn find_illegal(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = bytes.get(at..)?.iter().position(|b| *b == 0xEF || CLASS[*b as usize] & ILLEGAL != 0) {
        at += step;
        if is_illegal_at(bytes, at) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether a forbidden character starts at `at`.
#[must_use]
pub fn is_illegal_at(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at) {
        Some(0xEF) => bytes.get(at + 1) == Some(&0xBF) && matches!(bytes.get(at + 2), Some(0xBE | 0xBF)),
        Some(byte) => CLASS[*byte as usize] & ILLEGAL != 0,
        None => false,
    }
}

/// Whether XML 1.0 allows the character in a document.
#[must_use]
pub fn is_legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Length in bytes of the name at the start of `text`; 0 when there is none.
#[must_use]
pub fn name_length(text: &[u8]) -> usize {
    match text.first() {
        Some(byte) if *byte < 0x80 && CLASS[*byte as usize] & NAME_START == 0 => return 0,
        None => return 0,
        _ => {}
    }
    let ascii = text.iter().position(|b| CLASS[*b as usize] & NAME == 0).unwrap_or(text.len());
    if text.get(ascii).is_none_or(|b| *b < 0x80) {
        return ascii;
    }
    wide_name_length(text)
}

/// [`name_length`] for names that are not plain ASCII.
fn wide_name_length(text: &[u8]) -> usize {
    let end = text.iter().position(|b| *b < 0x80 && CLASS[*b as usize] & NAME == 0).unwrap_or(text.len());
    let Some(Ok(word)) = text.get(..end).map(std::str::from_utf8) else { return 0 };
    let mut length = 0;
    for c in word.chars() {
        let allowed = if length == 0 { is_name_start(c) } else { is_name_char(c) };
        if !allowed {
            break;
        }
        length += c.len_utf8();
    }
    length
}

fn is_name_start(c: char) -> bool {
    matches!(c, ':' | '_' | 'A'..='Z' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn is_name_char(c: char) -> bool {
    is_name_start(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_xml_says() {
        assert_eq!(name_length(b"a:b-1.c>"), 7);
        assert_eq!(name_length(b"1a"), 0);
        assert_eq!(name_length("größe=".as_bytes()), "größe".len());
        assert_eq!(name_length("a×b".as_bytes()), 1);
        assert_eq!(name_length("日本 ".as_bytes()), 6);
        assert_eq!(name_length(b""), 0);
    }

    #[test]
    fn forbidden_characters_are_found() {
        assert_eq!(find_illegal("ok \u{FFFD} \u{FEFF}\t\r\n".as_bytes()), None);
        assert_eq!(find_illegal(b"ab\x01"), Some(2));
        assert_eq!(find_illegal("ab\u{FFFF}".as_bytes()), Some(2));
        assert_eq!(find_illegal(b""), None);
    }
}
