//! YAML as a tree whose every node knows where it stands in its file. Duplicate keys, unknown tags,
//! several documents and alias bombs are mistakes with a place; nothing here can panic on any text.
//!
//! **Invariant:** plain scalars follow the YAML 1.2 core schema: `no` and `08:00` are text.

use super::{
    diagnostic::{Diagnostic, Report},
    mask,
    source::{Source, Span},
};
use portolan_model::code;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::Number;
use std::{borrow::Cow, collections::BTreeMap};

/// Deepest nesting accepted.
const MAX_DEPTH: usize = 64;
/// Most nodes of a file, aliases expanded: bounds alias bombs.
const MAX_NODES: usize = 100_000;

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Yaml,
    /// Whether the JSON Schema marks it as a secret; set by [`super::shape`].
    pub secret: Secrecy,
}

/// Whether a node holds a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Secrecy {
    /// It does not.
    #[default]
    Public,
    /// It may: a header, say. It is masked, but may stand in clear text.
    Possible,
    /// It does.
    Secret,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Yaml {
    /// Nothing after the key, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// Keys with values.
    Map(Vec<Entry>),
    /// Something wrong that is reported already.
    Broken,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// Text, and how the file spells it: needed to find a place inside it.
#[derive(Clone, Debug)]
pub struct Text {
    /// The text, variables replaced.
    pub value: String,
    /// How it is written.
    pub style: ScalarStyle,
    /// Stretches that variables gave: `(start and end in value, start and end in the text before)`.
    pub replaced: Vec<(usize, usize, usize, usize)>,
    /// The text before variables were replaced, if any were.
    pub raw: Option<String>,
    /// Where the variables in it were defined.
    pub variables: Vec<Span>,
}

impl Text {
    /// Text of no particular spelling.
    pub fn new(value: impl Into<String>, style: ScalarStyle) -> Self {
        Self { value: value.into(), style, replaced: Vec::new(), raw: None, variables: Vec::new() }
    }
}

impl Node {
    /// A node without a place in any file's text but that of another.
    #[must_use]
    pub fn new(span: Span, value: Yaml) -> Self {
        Self { span, value, secret: Secrecy::Public }
    }

    /// The entries of a mapping; none for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Yaml::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Yaml::List(items) => items,
            _ => &[],
        }
    }

    /// The entry of a key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The node at a path of keys and item numbers, or the nearest there is on the way.
    #[must_use]
    pub fn nearest<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> &Self {
        let mut node = self;
        for step in path {
            let next = node.get(step).or_else(|| step.parse::<usize>().ok().and_then(|at| node.items().get(at)));
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// The text of a text node.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Yaml::Text(text) => Some(&text.value),
            _ => None,
        }
    }

    /// The same as JSON, without keys that have no value.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.value {
            Yaml::Null | Yaml::Broken => Value::Null,
            Yaml::Bool(value) => Value::Bool(*value),
            Yaml::Number(number) => Value::Number(number.clone()),
            Yaml::Text(text) => Value::String(text.value.clone()),
            Yaml::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Yaml::Map(entries) => {
                let given = entries.iter().filter(|entry| !matches!(entry.value.value, Yaml::Null | Yaml::Broken));
                Value::Object(given.map(|entry| (entry.key.clone(), entry.value.json())).collect())
            }
        }
    }

    /// Whether nothing in it is broken.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match &self.value {
            Yaml::Broken => false,
            Yaml::List(items) => items.iter().all(Self::is_sound),
            Yaml::Map(entries) => entries.iter().all(|entry| entry.value.is_sound()),
            _ => true,
        }
    }

    /// What it is, for people: `a list`, `the text "x"`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.value {
            Yaml::Null | Yaml::Broken => "nothing".to_owned(),
            Yaml::Bool(value) => format!("`{value}`"),
            Yaml::Number(_) if self.secret != Secrecy::Public => "a number".to_owned(),
            Yaml::Number(number) => format!("the number {number}"),
            Yaml::Text(_) if self.secret != Secrecy::Public => "a text".to_owned(),
            Yaml::Text(text) => format!("the text \"{}\"", text.value.chars().take(60).collect::<String>()),
            Yaml::List(_) => "a list".to_owned(),
            Yaml::Map(_) => "a group of keys".to_owned(),
        }
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Yaml::List(items) => items.iter().map(Self::count).sum(),
            Yaml::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
            _ => 0,
        }
    }
}

/// Reads one file of a report. `None` when it is broken beyond its first mistake; every mistake found is
/// in the report then. An empty file is an empty mapping.
pub fn parse(report: &mut Report, file: usize) -> Option<Node> {
    let source = report.sources.get(file)?.clone();
    let mut builder = Builder {
        source: &source,
        file,
        offset: 0,
        last: (1, 1, 0),
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
        found: Vec::new(),
    };
    let sound = builder.run();
    let Builder { root, found, .. } = builder;
    report.diagnostics.extend(found);
    let root = sound.then_some(root);
    match &root {
        Some(Some(root)) => mask::by_key(report, root),
        Some(None) => {}
        None => mask::by_line(report, file, source.text()),
    }
    mask::in_urls(report, file, source.text());
    root.map(|root| root.unwrap_or_else(|| Node::new(Span::file(file), Yaml::Map(Vec::new()))))
}

/// A collection still open.
struct Open {
    anchor: usize,
    start: Span,
    /// Whether it is written with brackets.
    flow: bool,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: BTreeMap<String, Span>, key: Option<(String, Span)> },
}

struct Builder<'s> {
    source: &'s Source,
    file: usize,
    /// Bytes left out at the start of the file: a byte order mark.
    offset: usize,
    /// Line, column and byte offset of the last mark.
    last: (usize, usize, usize),
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    found: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn run(&mut self) -> bool {
        let text = self.source.text();
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        self.offset = text.chars().count() - body.chars().count();
        let mut parser = Parser::new_from_str(body);
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            let (event, span) = match next {
                Ok(next) => next,
                Err(error) => {
                    let at = self.mark(*error.marker());
                    self.syntax(
                        Span { file: self.file, start: at, end: at },
                        format!("this is not valid YAML: {}", error.info()),
                        hint(error.info()),
                    );
                    return false;
                }
            };
            let span = Span { file: self.file, start: self.mark(span.start), end: self.mark(span.end) };
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
                if documents > 1 {
                    self.syntax(
                        span,
                        "there is a second YAML document in this file",
                        Some("one file holds one document: remove the `---` line or move the rest to a file of its own"),
                    );
                    return false;
                }
            }
            if !self.event(event, span) {
                return false;
            }
        }
        true
    }

    /// The byte offset of a mark. Marks come nearly in order, so that counting goes on from the last one.
    fn mark(&mut self, mark: Marker) -> usize {
        let line = mark.line().max(1);
        let column = mark.col() + 1 + if line == 1 { self.offset } else { 0 };
        let (last_line, last_column, last) = self.last;
        let rest = self.source.text().get(last..).unwrap_or("");
        let offset = match rest.char_indices().take_while(|(_, c)| *c != '\n').nth(column.saturating_sub(last_column)) {
            Some((at, _)) if line == last_line && column >= last_column => last + at,
            _ => self.source.offset(line, column),
        };
        self.last = (line, column, offset);
        offset
    }

    fn syntax(&mut self, span: Span, message: impl Into<String>, help: Option<&str>) {
        self.found.push(Diagnostic::error(code::CONFIG_SYNTAX, span, message).maybe_help(help.map(str::to_owned)));
    }

    /// Takes in one event; `false` stops the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let Some(value) = self.scalar(text, style, tag.as_deref(), span) else { return false };
                self.value(Node::new(span, value), anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => {
                    self.nodes += node.count();
                    self.value(node, 0)
                }
                None => {
                    self.syntax(span, "this alias refers to an anchor that contains it", None);
                    false
                }
            },
            Event::SequenceStart(anchor, tag) => self.start(anchor, tag.as_deref(), span, OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                self.start(anchor, tag.as_deref(), span, OpenKind::Map { entries: Vec::new(), seen: BTreeMap::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => true,
        }
    }

    fn start(&mut self, anchor: usize, tag: Option<&Tag>, span: Span, kind: OpenKind) -> bool {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.syntax(span, format!("the tag `{tag}` means nothing here"), Some("remove the tag"));
            return false;
        }
        if matches!(self.open.last(), Some(Open { kind: OpenKind::Map { key: None, .. }, .. })) {
            self.syntax(
                span,
                "a key must be text, not a list or a group of keys",
                Some("put quotes around text that starts with `[`, `{`, `*`, `&`, `!`, `%` or `@`"),
            );
            return false;
        }
        if self.open.len() >= MAX_DEPTH {
            self.syntax(span, format!("this is nested more than {MAX_DEPTH} levels deep"), None);
            return false;
        }
        let flow = matches!(self.source.text().as_bytes().get(span.start), Some(b'[' | b'{'));
        self.open.push(Open { anchor, start: span, flow, kind });
        true
    }

    fn end(&mut self, span: Span) -> bool {
        let Some(open) = self.open.pop() else { return true };
        let (value, last) = match open.kind {
            OpenKind::List(items) => {
                let last = items.iter().map(|item| item.span.end).max();
                (Yaml::List(items), last)
            }
            OpenKind::Map { entries, .. } => {
                let last = entries.iter().map(|entry| entry.value.span.end.max(entry.key_span.end)).max();
                (Yaml::Map(entries), last)
            }
        };
        let end = if open.flow { span.end } else { last.unwrap_or(open.start.end) };
        let start = open.start.start;
        self.value(Node::new(Span { file: self.file, start, end: end.max(start) }, value), open.anchor)
    }

    /// Puts a finished node where it belongs.
    fn value(&mut self, node: Node, anchor: usize) -> bool {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.syntax(
                node.span,
                format!("the file has more than {MAX_NODES} values once its aliases are expanded"),
                Some("use fewer aliases, or aliases to smaller parts"),
            );
            return false;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { kind: OpenKind::List(items), .. }) => items.push(node),
            Some(Open { kind: OpenKind::Map { entries, seen, key }, .. }) => match key.take() {
                None => return self.key(&node),
                Some((key, key_span)) => match seen.insert(key.clone(), key_span) {
                    Some(first) => {
                        let mistake = Diagnostic::error(code::CONFIG_SYNTAX, key_span, format!("the key `{key}` is there twice"))
                            .at("again here")
                            .and(first, "first here")
                            .help("keep one of them");
                        self.found.push(mistake);
                    }
                    None => entries.push(Entry { key, key_span, value: node }),
                },
            },
        }
        true
    }

    fn key(&mut self, node: &Node) -> bool {
        let text = match &node.value {
            Yaml::Text(text) => text.value.clone(),
            Yaml::Null | Yaml::Broken | Yaml::Bool(_) | Yaml::Number(_) => {
                self.source.text().get(node.span.start..node.span.end).unwrap_or("").trim().to_owned()
            }
            Yaml::List(_) | Yaml::Map(_) => {
                self.syntax(node.span, "a key must be text", None);
                return false;
            }
        };
        if let Some(Open { kind: OpenKind::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some((text, node.span));
        }
        true
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Option<Yaml> {
        let as_text = |text: Cow<'_, str>| Yaml::Text(Text::new(text.into_owned(), style));
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => {
                self.syntax(
                    span,
                    format!("the tag `{tag}` means nothing here"),
                    Some("remove the tag, or put quotes around a text that starts with `!`"),
                );
                None
            }
            Some(tag) if tag.suffix == "str" => Some(as_text(text)),
            _ if style != ScalarStyle::Plain => Some(as_text(text)),
            _ => Some(plain(&text).unwrap_or_else(|| as_text(text))),
        }
    }
}

/// What a plain scalar means in the YAML 1.2 core schema; `None`: text.
fn plain(text: &str) -> Option<Yaml> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        "true" | "True" | "TRUE" => Yaml::Bool(true),
        "false" | "False" | "FALSE" => Yaml::Bool(false),
        _ => Yaml::Number(number(text)?),
    })
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-'])).map(Number::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || digits.contains(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E')
    {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// What a syntax message of the parser usually means.
fn hint(info: &str) -> Option<&'static str> {
    Some(if info.contains("tab") {
        "indent with blanks, not with tabs"
    } else if info.contains("mapping values are not allowed") {
        "a key may stand one level too deep, or a text with `: ` in it needs quotes"
    } else if info.contains("simple key") || info.contains("expected ':'") {
        "a key needs `: ` and a value after it; a text of several words may need quotes"
    } else if info.contains("block collection")
        || info.contains("block mapping")
        || info.contains("'-' indicator")
        || info.contains("indent")
    {
        "look at the indentation: keys of one group start in the same column"
    } else if info.contains("while scanning a quoted scalar") || info.contains("quote") {
        "a quotation mark is not closed; in double quotes, `\\` must be written `\\\\`"
    } else if info.contains("anchor") || info.contains("alias") {
        "a text that starts with `*` or `&` needs quotes"
    } else if info.contains("flow") {
        "a bracket is not closed, or a comma is missing"
    } else if info.contains("cannot start any token") {
        "a text that starts with this character needs quotes"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Option<Node>, Report) {
        let mut report = Report::default();
        let file = report.sources.add("a.yaml", text.to_owned());
        let node = parse(&mut report, file);
        (node, report)
    }

    fn mistake(text: &str) -> String {
        let (_, report) = read(text);
        let first = report.diagnostics.first().expect("a mistake");
        let at = report.sources.get(0).unwrap().position(first.span().start);
        format!("{}:{} {}", at.line, at.column, first.message)
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let (node, _) = read("a: no\nb: 08:00\nc: 0x1F\nd: 1.5\ne: ~\nf: 2026-01-05\ng: '12'\nh: 1e3\ni: -7\nj: .inf\nk: 1e\n");
        let json = serde_json::json!({"a": "no", "b": "08:00", "c": 31, "d": 1.5, "f": "2026-01-05", "g": "12", "h": 1000.0, "i": -7, "j": ".inf", "k": "1e"});
        assert_eq!(node.unwrap().json(), json);
    }

    #[test]
    fn every_node_knows_its_place() {
        let text = "\u{feff}# Größe\nliste:\n  - name: Köln\n    tags: [a, 'b']\n";
        let (node, _) = read(text);
        let node = node.unwrap();
        let at = |path: &[&str]| {
            let span = node.nearest(path.iter().copied()).span;
            text[span.start..span.end].to_owned()
        };
        assert_eq!(at(&["liste", "0", "name"]), "Köln");
        assert_eq!(at(&["liste", "0", "tags"]), "[a, 'b']");
        assert_eq!(at(&["liste", "0", "tags", "1"]), "'b'");
        assert_eq!(at(&["liste", "0"]), "name: Köln\n    tags: [a, 'b']");
    }

    #[test]
    fn mistakes_have_line_and_column() {
        assert_eq!(mistake("a: 1\nb: 2\na: 3\n"), "3:1 the key `a` is there twice");
        assert!(mistake("a: [1, 2\nb: 3\n").contains("not valid YAML"));
        assert!(mistake("a: !secret x\n").contains("the tag `!secret` means nothing here"));
        assert!(mistake("a: 1\n---\nb: 2\n").contains("second YAML document"));
        assert!(mistake("? [a]\n: b\n").contains("a key must be text"));
        assert!(mistake(&"[".repeat(100)).contains("64 levels"));
    }

    #[test]
    fn an_alias_bomb_is_stopped() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let item = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", [item.as_str(); 10].join(", ")));
        }
        assert!(mistake(&text).contains("100000 values"));
        assert!(mistake("a: &a [*a]\n").contains("anchor that contains it"));
    }

    #[test]
    fn an_alias_is_expanded() {
        let (node, _) = read("a: &x {b: 1}\nc: *x\n");
        assert_eq!(node.unwrap().json(), serde_json::json!({"a": {"b": 1}, "c": {"b": 1}}));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            read(&text);
        }

        #[test]
        fn no_yaml_like_text_makes_it_panic(text in "[-a:\\[\\]{},&*!|>'\"#%@`?~ \t\r\n\\\\0é\u{feff}\u{85}]{0,120}") {
            read(&text);
        }
    }
}
