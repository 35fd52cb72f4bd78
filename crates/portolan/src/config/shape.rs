//! The structural check: a tree against a JSON Schema. Own code rather than a validator's, because the
//! messages are the product: every mistake is reported where it stands, with the nearest known key.
//!
//! What comes back is the tree without its wrong parts, so that the checks of meaning can go on with
//! the rest. **Invariant:** a returned tree that differs from the input has a mistake reported.

use super::{
    diagnostic::Diagnostic,
    mask,
    schema::{HINT, ONE_OF, SETTINGS, deref, properties, strings},
    source::Span,
    suggest,
    yaml::{Entry, Node, Secrecy, Yaml},
};
use portolan_model::code;
use serde_json::Value;

/// Outcome of a structural check.
pub struct Checked {
    /// The sound part; `None` when nothing of it is usable.
    pub node: Option<Node>,
    /// Mistakes.
    pub diagnostics: Vec<Diagnostic>,
    /// Places that hold secrets though the schema cannot know: misspelt keys.
    pub masked: Vec<Span>,
}

/// Checks `node` against `schema`. `what` names the node in messages, for example `settings`.
#[must_use]
pub fn check(schema: &Value, node: Node, what: &str) -> Checked {
    let mut shape = Shape { root: schema, diagnostics: Vec::new(), masked: Vec::new() };
    let node = shape.node(schema, node, what);
    Checked { node, diagnostics: shape.diagnostics, masked: shape.masked }
}

/// From this many mistakes on, nobody looks for the nearest name any more.
const MANY: usize = 200;

struct Shape<'a> {
    root: &'a Value,
    diagnostics: Vec<Diagnostic>,
    masked: Vec<Span>,
}

impl<'a> Shape<'a> {
    fn node(&mut self, schema: &'a Value, mut node: Node, what: &str) -> Option<Node> {
        if matches!(node.value, Yaml::Broken) {
            return None;
        }
        let schema = deref(self.root, schema);
        if node.secret == Secrecy::Public && schema.get("x-secret").and_then(Value::as_bool) == Some(true) {
            node.secret = Secrecy::Secret;
            if !matches!(node.value, Yaml::Map(_)) {
                self.masked.push(node.span);
            }
        }
        if let Some(branches) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
            && schema.get(ONE_OF).is_none()
        {
            return self.alternatives(schema, branches, node, what);
        }
        if !self.options(schema, &node, what) || !self.kind(schema, &node, what) {
            return None;
        }
        match &node.value {
            Yaml::Text(_) => self.text(schema, &node, what).then_some(node),
            Yaml::Number(_) => self.number(schema, &node, what).then_some(node),
            Yaml::List(_) => self.list(schema, node, what),
            Yaml::Map(_) => self.map(schema, node, what),
            Yaml::Null | Yaml::Broken | Yaml::Bool(_) => Some(node),
        }
    }

    fn wrong(&mut self, span: Span, message: String) -> &mut Diagnostic {
        self.diagnostics.push(Diagnostic::error(code::CONFIG_SHAPE, span, message));
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }

    fn set_help(&mut self, help: Option<String>) {
        if let Some(last) = self.diagnostics.last_mut() {
            last.help = help.or(last.help.take());
        }
    }

    /// A value that may have one of several shapes: the shape it fits best is the one it is judged by.
    fn alternatives(&mut self, schema: &'a Value, branches: &'a [Value], node: Node, what: &str) -> Option<Node> {
        let branches: Vec<&Value> = branches.iter().map(|branch| deref(self.root, branch)).filter(|branch| !is_null(branch)).collect();
        let constants: Vec<&Value> = branches.iter().flat_map(|branch| constants(branch)).collect();
        if !constants.is_empty() && branches.iter().all(|branch| branch.get("const").is_some() || branch.get("enum").is_some()) {
            return self.one_of_constants(&constants, &node, what).then_some(node);
        }
        let fitting: Vec<&Value> = branches.iter().copied().filter(|branch| fits(branch, &node)).collect();
        match fitting.as_slice() {
            [] => {
                let mut kinds: Vec<String> = branches.iter().map(|branch| kinds_of(branch)).collect();
                kinds.dedup();
                let secret = schema.get("x-secret").is_some();
                let kinds = if secret { "a text, `{ env: NAME }` or `{ file: PATH }`".to_owned() } else { kinds.join(" or ") };
                self.expected(schema, &node, what, &kinds);
                None
            }
            [only] => self.node(only, node, what),
            several => {
                let mut best: Option<((usize, usize), Shape<'a>, Option<Node>)> = None;
                for branch in several {
                    let mut trial = Shape { root: self.root, diagnostics: Vec::new(), masked: Vec::new() };
                    let result = trial.node(branch, node.clone(), what);
                    let strange = node
                        .entries()
                        .iter()
                        .filter(|entry| properties(branch).is_none_or(|known| !known.contains_key(&entry.key)))
                        .count();
                    let score = (strange, trial.diagnostics.len());
                    if trial.diagnostics.is_empty() {
                        self.masked.extend(trial.masked);
                        return result;
                    }
                    if best.as_ref().is_none_or(|(least, ..)| score < *least) {
                        best = Some((score, trial, result));
                    }
                }
                let (_, trial, result) = best?;
                self.diagnostics.extend(trial.diagnostics);
                self.masked.extend(trial.masked);
                result
            }
        }
    }

    fn options(&mut self, schema: &'a Value, node: &Node, what: &str) -> bool {
        let options = constants(schema);
        options.is_empty() || self.one_of_constants(&options, node, what)
    }

    fn one_of_constants(&mut self, options: &[&Value], node: &Node, what: &str) -> bool {
        let json = node.json();
        if options.contains(&&json) {
            return true;
        }
        let names: Vec<String> = options.iter().map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.wrong(node.span, format!("{what} must be one of {}, not {}", suggest::listing(&names), node.describe()));
        let nearest = node.text().and_then(|text| suggest::nearest(text, names.iter().copied()));
        self.set_help(nearest.map(|name| format!("did you mean `{name}`?")));
        false
    }

    fn expected(&mut self, schema: &Value, node: &Node, what: &str, kinds: &str) {
        let found = node.describe();
        self.wrong(node.span, format!("{what} must be {kinds}, not {found}"));
        let help = match &node.value {
            _ if schema.get(HINT).is_some() => schema.get(HINT).and_then(Value::as_str).map(str::to_owned),
            Yaml::Number(_) | Yaml::Bool(_) if kinds.contains("a text") => Some("put quotes around it".to_owned()),
            Yaml::Text(text) if kinds.contains("true") && ["yes", "on", "y"].contains(&text.value.to_lowercase().as_str()) => {
                Some("write `true`".to_owned())
            }
            Yaml::Text(text) if kinds.contains("true") && ["no", "off", "n"].contains(&text.value.to_lowercase().as_str()) => {
                Some("write `false`".to_owned())
            }
            Yaml::Text(text) if kinds.contains("number") && text.value.trim().parse::<f64>().is_ok() => {
                Some("remove the quotes".to_owned())
            }
            Yaml::Text(_) | Yaml::Number(_) if kinds.contains("a list") => {
                Some(format!("a list is written `{}: [one, two]`, or one item a line with `- ` before it", what.trim_matches('`')))
            }
            Yaml::List(_) if kinds.contains("a group of keys") => Some("remove the `- ` before the keys".to_owned()),
            _ => None,
        };
        self.set_help(help);
    }

    fn kind(&mut self, schema: &'a Value, node: &Node, what: &str) -> bool {
        if fits(schema, node) {
            return true;
        }
        self.expected(schema, node, what, &kinds_of(schema));
        false
    }

    fn text(&mut self, schema: &Value, node: &Node, what: &str) -> bool {
        let length = node.text().map_or(0, |text| text.chars().count()) as u64;
        let limit = |key| schema.get(key).and_then(Value::as_u64);
        if limit("minLength").is_some_and(|least| length < least) {
            self.wrong(node.span, format!("{what} must not be empty"));
            return false;
        }
        if let Some(most) = limit("maxLength").filter(|most| length > *most) {
            self.wrong(node.span, format!("{what} has {length} characters, at most {most} are allowed"));
            return false;
        }
        let pattern = schema.get("pattern").and_then(Value::as_str);
        if let Some((pattern, form)) = pattern.and_then(|pattern| Some((pattern, regex::Regex::new(pattern).ok()?)))
            && !form.is_match(node.text().unwrap_or(""))
        {
            self.wrong(node.span, format!("{what} does not have the form `{pattern}`: {}", node.describe()));
            return false;
        }
        true
    }

    fn number(&mut self, schema: &Value, node: &Node, what: &str) -> bool {
        let Yaml::Number(number) = &node.value else { return true };
        let Some(value) = number.as_f64() else { return true };
        let limit = |key| schema.get(key).and_then(Value::as_f64);
        let low = limit("minimum").is_some_and(|least| value < least) || limit("exclusiveMinimum").is_some_and(|least| value <= least);
        let high = limit("maximum").is_some_and(|most| value > most) || limit("exclusiveMaximum").is_some_and(|most| value >= most);
        if !low && !high {
            return true;
        }
        let shown = |key| schema.get(key).map(Value::to_string);
        let range = match (shown("minimum"), shown("maximum")) {
            (Some(least), Some(most)) => format!("from {least} to {most}"),
            (Some(least), None) => format!("at least {least}"),
            (None, Some(most)) => format!("at most {most}"),
            (None, None) => "in its range".to_owned(),
        };
        self.wrong(node.span, format!("{what} must be {range}, not {number}"));
        false
    }

    fn list(&mut self, schema: &'a Value, mut node: Node, what: &str) -> Option<Node> {
        let span = node.span;
        let Yaml::List(items) = std::mem::replace(&mut node.value, Yaml::Null) else { return None };
        if let Some(least) = schema.get("minItems").and_then(Value::as_u64).filter(|least| (items.len() as u64) < *least) {
            let count = if least == 1 { "must not be empty".to_owned() } else { format!("needs at least {least} items") };
            self.wrong(span, format!("{what} {count}"));
        }
        if let Some(most) = schema.get("maxItems").and_then(Value::as_u64).filter(|most| items.len() as u64 > *most) {
            self.wrong(span, format!("{what} has {} items, at most {most} are allowed", items.len()));
        }
        if schema.get("uniqueItems").and_then(Value::as_bool) == Some(true) {
            self.unique(&items, what);
        }
        let item_schema = schema.get("items");
        let inner = format!("an item of {what}");
        let items = items.into_iter().filter_map(|item| match item_schema {
            Some(schema) => self.node(schema, item, &inner),
            None => Some(item),
        });
        let items = items.collect();
        node.value = Yaml::List(items);
        Some(node)
    }

    fn unique(&mut self, items: &[Node], what: &str) {
        let mut seen: std::collections::BTreeMap<String, Span> = std::collections::BTreeMap::new();
        for item in items {
            if let Some(first) = seen.insert(item.json().to_string(), item.span) {
                let mistake = Diagnostic::error(code::CONFIG_SHAPE, item.span, format!("{what} names {} twice", item.describe()));
                self.diagnostics.push(mistake.at("again here").and(first, "first here").help("keep one of them"));
            }
        }
    }

    fn map(&mut self, schema: &'a Value, mut node: Node, what: &str) -> Option<Node> {
        let place = head(&node);
        let Yaml::Map(entries) = std::mem::replace(&mut node.value, Yaml::Null) else { return None };
        let title = schema
            .get("x-title")
            .or_else(|| schema.get("title"))
            .and_then(Value::as_str)
            .filter(|title| title.chars().all(|c| c.is_lowercase() || c == ' '));
        let owner = match (title, entries.iter().find(|entry| entry.key == "name").and_then(|entry| entry.value.text())) {
            (Some(title), Some(name)) => format!("{title} `{name}`"),
            (Some(title), None) => format!("this {title}"),
            (None, _) => what.to_owned(),
        };
        let known = properties(schema);
        let rest = schema.get("additionalProperties");
        let mut sound = Vec::with_capacity(entries.len());
        let mut stranger = false;
        let mut meant = Vec::new();
        for entry in entries {
            match known.and_then(|known| known.get(&entry.key)) {
                // A key without a value counts as not given.
                Some(property) if matches!(entry.value.value, Yaml::Null) => {
                    // An adapter without any setting is given all the same.
                    if property.get(SETTINGS).is_some() {
                        let value = Node::new(entry.key_span, Yaml::Map(Vec::new()));
                        sound.push(Entry { value, ..entry });
                    }
                }
                Some(property) => self.entry(property, entry, &mut sound),
                None => match rest {
                    Some(Value::Bool(false)) => {
                        stranger |= matches!(entry.value.value, Yaml::Map(_) | Yaml::Null);
                        meant.extend(self.unknown_key(schema, &entry, &owner));
                    }
                    Some(property @ Value::Object(_)) => {
                        let public = !mask::names_secret(&entry.key);
                        self.entry(property, entry, &mut sound);
                        if let Some(last) = sound.last_mut().filter(|last| public && last.value.secret == Secrecy::Secret) {
                            last.value.secret = Secrecy::Possible;
                        }
                    }
                    _ => sound.push(entry),
                },
            }
        }
        self.required(schema, &sound, &meant, place, &owner);
        self.exactly_one(schema, &sound, place, &owner, stranger);
        node.value = Yaml::Map(sound);
        Some(node)
    }

    fn entry(&mut self, property: &'a Value, entry: Entry, sound: &mut Vec<Entry>) {
        let Entry { key, key_span, value } = entry;
        let what = format!("`{key}`");
        match self.node(property, value, &what) {
            Some(value) => sound.push(Entry { key, key_span, value }),
            // Kept without a value, so that it does not count as missing.
            None => sound.push(Entry { key, key_span, value: Node::new(key_span, Yaml::Broken) }),
        }
    }

    /// Reports a key the schema does not know; gives the key that was probably meant.
    fn unknown_key(&mut self, schema: &'a Value, entry: &Entry, owner: &str) -> Option<&'a str> {
        let names: Vec<&str> = properties(schema).into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let nearest = if self.diagnostics.len() > MANY { None } else { suggest::nearest(&entry.key, names.iter().copied()) };
        let property = nearest.and_then(|name| properties(schema)?.get(name)).map(|property| deref(self.root, property));
        if property.is_some_and(|property| property.to_string().contains("\"x-secret\":true")) {
            self.masked.push(entry.value.span);
        }
        let adapters: Vec<&str> = strings(schema.get(ONE_OF)).collect();
        let kind = if schema.get(ONE_OF).is_some() { "key or adapter" } else { "key" };
        self.wrong(entry.key_span, format!("unknown {kind} `{}` in {owner}", entry.key));
        let help = match nearest {
            Some(name) => format!("did you mean `{name}`?"),
            None if entry.key == "<<" => {
                "merge keys are not part of YAML 1.2: write the keys out, or use an alias for a whole value".to_owned()
            }
            None if adapters.is_empty() => format!("known keys: {}", suggest::listing(&names)),
            None => {
                let keys: Vec<&str> = names.into_iter().filter(|name| !adapters.contains(name)).collect();
                format!("known keys: {}; adapters: {}", suggest::listing(&keys), suggest::listing(&adapters))
            }
        };
        self.set_help(Some(help));
        nearest
    }

    /// Reports required keys that are missing; `meant` are those of misspelt keys.
    fn required(&mut self, schema: &'a Value, sound: &[Entry], meant: &[&str], place: Span, owner: &str) {
        for name in strings(schema.get("required")) {
            if sound.iter().any(|entry| entry.key == name) || meant.contains(&name) {
                continue;
            }
            self.wrong(place, format!("{owner} lacks the key `{name}`"));
            let about = properties(schema).and_then(|known| known.get(name)).map(|property| describe(self.root, property));
            self.set_help(about.filter(|text| !text.is_empty()).map(|text| format!("`{name}`: {text}")));
        }
    }

    fn exactly_one(&mut self, schema: &'a Value, sound: &[Entry], place: Span, owner: &str, stranger: bool) {
        let names: Vec<&str> = strings(schema.get(ONE_OF)).collect();
        if schema.get(ONE_OF).is_none() {
            return;
        }
        let mut given = sound.iter().filter(|entry| names.contains(&entry.key.as_str()));
        match (given.next(), given.next()) {
            (None, _) if !stranger => {
                self.wrong(place, format!("{owner} names no adapter"));
                self.set_help(Some(format!("add one of the keys {} with the adapter's settings", suggest::listing(&names))));
            }
            (Some(first), Some(second)) => {
                let message = format!("{owner} names two adapters, `{}` and `{}`", first.key, second.key);
                let mistake = Diagnostic::error(code::CONFIG_SHAPE, second.key_span, message).at("second").and(first.key_span, "first");
                self.diagnostics.push(mistake.help("keep one; further places need locations or ports of their own"));
            }
            _ => {}
        }
    }
}

/// Where to point at for a whole mapping: its first key, not all its lines.
fn head(node: &Node) -> Span {
    node.entries().first().map_or(node.span, |entry| entry.key_span)
}

/// First sentence of a property's description.
fn describe(root: &Value, property: &Value) -> String {
    let text = property.get("description").or_else(|| deref(root, property).get("description")).and_then(Value::as_str).unwrap_or("");
    let text = text.split("\n\n").next().unwrap_or("").replace('\n', " ");
    text.split_once(". ").map_or(text.trim_end_matches('.').to_owned(), |(first, _)| first.to_owned())
}

fn constants(schema: &Value) -> Vec<&Value> {
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(constant), _) => vec![constant],
        (None, Some(options)) => options.iter().filter(|option| !option.is_null()).collect(),
        (None, None) => Vec::new(),
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The JSON types a schema names; none: any.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        several => strings(several).filter(|name| *name != "null").collect(),
    }
}

fn fits(schema: &Value, node: &Node) -> bool {
    let types = types(schema);
    types.is_empty()
        || types.iter().any(|name| match &node.value {
            Yaml::Null | Yaml::Broken => *name == "null",
            Yaml::Bool(_) => *name == "boolean",
            Yaml::Number(number) => *name == "number" || *name == "integer" && number.as_f64().is_some_and(|value| value.fract() == 0.0),
            Yaml::Text(_) => *name == "string",
            Yaml::List(_) => *name == "array",
            Yaml::Map(_) => *name == "object",
        })
}

fn kinds_of(schema: &Value) -> String {
    let names = types(schema).into_iter().map(|name| match name {
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        "object" => "a group of keys",
        other => other,
    });
    names.collect::<Vec<_>>().join(" or ")
}
