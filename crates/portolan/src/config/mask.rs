//! Which source text may be a secret, judged by the names of keys alone: the JSON Schema knows only
//! keys in their right place, and nothing at all about a file that is not valid YAML. What is masked
//! here is hidden from display, never changed.

use super::{
    diagnostic::Report,
    source::Span,
    suggest,
    yaml::{Node, Yaml},
};

/// Parts of names that secrets have.
const WORDS: &[&str] =
    &["passw", "passphrase", "secret", "token", "credential", "authorization", "api-key", "api_key", "apikey", "private_key", "cookie"];

/// Whether a key sounds like that of a secret.
#[must_use]
pub fn names_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    WORDS.iter().any(|word| key.contains(word))
}

/// The same, for keys with a slip of the hand in them.
fn resembles_secret(key: &str) -> bool {
    // A slip changes the length by little: anything else is not worth the comparison.
    (4..=16).contains(&key.len())
        && (names_secret(key)
            || suggest::nearest(key, ["password", "passphrase", "secret", "token", "credential", "authorization"]).is_some())
        || key.len() > 16 && names_secret(key)
}

/// Masks the values of keys that sound like secrets, but for references to where a secret is.
pub fn by_key(report: &mut Report, node: &Node) {
    for entry in node.entries() {
        let reference = entry.value.get("env").or_else(|| entry.value.get("file")).is_some();
        if resembles_secret(&entry.key) && !reference && !matches!(entry.value.value, Yaml::Map(_)) {
            report.sources.mask(entry.value.span);
        } else {
            by_key(report, &entry.value);
        }
    }
    node.items().iter().for_each(|item| by_key(report, item));
}

/// Masks, line by line, what follows a key that sounds like a secret, and the indented lines below it.
pub fn by_line(report: &mut Report, file: usize, text: &str) {
    let mut start = 0;
    let mut below: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let end = start + line.len();
        if below.is_some_and(|key| indent > key && !line.trim().is_empty()) {
            report.sources.mask(Span { file, start, end });
        } else {
            below = None;
            if let Some(value) = after_secret_key(line) {
                report.sources.mask(Span { file, start: start + value, end });
                below = Some(indent);
            }
        }
        start = end;
    }
}

/// Masks user names, passwords and queries of URLs, whatever key they stand under.
pub fn in_urls(report: &mut Report, file: usize, text: &str) {
    for (found, _) in text.match_indices("://") {
        let start = found + 3;
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        let url = text[start..].split(ends).next().unwrap_or_default();
        let authority = url.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some(at) = authority.rfind('@') {
            report.sources.mask(Span { file, start, end: start + at });
        }
        if let Some(query) = url.find('?') {
            report.sources.mask(Span { file, start: start + query + 1, end: start + url.len() });
        }
    }
}

/// Where the value of the first key that sounds like a secret begins in a line.
fn after_secret_key(line: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut at = 0;
    for word in line.split_inclusive(|c| !is_word(c)) {
        at += word.len();
        if resembles_secret(word.trim_end_matches(|c| !is_word(c))) {
            // Up to the colon, if there is one: what comes before it is still the key.
            return Some(line.get(at..)?.find(':').map_or(at, |colon| if word.ends_with(':') { at } else { at + colon + 1 }));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::yaml, *};

    fn shown(text: &str) -> String {
        let mut report = Report::default();
        let file = report.sources.add("a", text.to_owned());
        yaml::parse(&mut report, file);
        report.sources.get(file).unwrap().shown()
    }

    #[test]
    fn values_of_secret_keys_are_hidden_wherever_they_stand() {
        assert_eq!(shown("wrong: { Password: abc, user: me }"), "wrong: { Password: ***, user: me }");
        assert_eq!(shown("- api_token: |\n    abc\n    def\n  x: y\n"), "- api_token: |\n    ***\n    ***\n  x: y\n");
        assert_eq!(shown("password: [a, b]"), "password: *** **");
        assert_eq!(shown("password: { env: NAME }"), "password: { env: NAME }");
        assert_eq!(shown("tls: { key: server.key }"), "tls: { key: server.key }");
    }

    #[test]
    fn credentials_and_queries_of_urls_are_hidden_under_any_key() {
        assert_eq!(shown("url: \"http://me:abc@host/x?sig=def\" # y"), "url: \"http://******@host/x?*******\" # y");
        assert_eq!(shown("a: see http://host/ü and x"), "a: see http://host/ü and x");
    }

    #[test]
    fn a_broken_file_hides_the_rest_of_the_line() {
        assert_eq!(shown("a: [\n  x: { password: abc, user: me\n"), "a: [\n  x: { password: **** ***** **\n");
        assert_eq!(shown("a: [\ntoken:\n  abc\nb: c\n"), "a: [\ntoken:\n  ***\nb: c\n");
    }
}
