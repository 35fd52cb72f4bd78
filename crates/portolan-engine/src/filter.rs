//! The text form of filters, as written in configuration:
//! `Orders.Country == "DE" and Orders.Amount >= 1000 or BTS.MessageType == "urn:x#Order" or FILE.ReceivedFileName exists`.
//!
//! An OR of AND-groups without parentheses, like the rows of the manual's filter dialog. Properties are
//! `Alias.Name` or `{namespace}name`; operators `==`, `!=`, `<`, `<=`, `>`, `>=`, `exists`; values are
//! text in double or single quotes, numbers, `true` and `false`, and date-times in quotes (UTC unless
//! they name an offset). A [`Filter`] prints in this form and reads back as itself.
//!
//! Reading reports every problem at once, each with its place, and must never panic, whatever the text.

mod lexer;
mod problem;

use lexer::{Kind, Token, tokens};
use portolan_model::{
    Name, Value, ValueType,
    filter::{Filter, Operator, Statement},
    property::{DISTINGUISHED, PROMOTED_TEXT_MAX},
    system,
    time::TimeZone,
};
pub use problem::{FilterProblem, Level};
use problem::{nearest, type_name};
use std::ops::Range;

/// After so many errors the rest of the text is not worth reading.
const ERRORS_MAX: usize = 100;

/// A filter that was read, with warnings about what it can never match.
#[derive(Clone, PartialEq, Debug)]
pub struct Parsed {
    /// The filter; at least one group, no group empty.
    pub filter: Filter,
    /// Problems of [`Level::Warning`] only.
    pub warnings: Vec<FilterProblem>,
}

/// Reads a filter. `lookup` finds a property by its text, `Alias.Name` or `{namespace}name`; `known`
/// are the texts worth suggesting when it does not.
///
/// # Errors
/// Every problem in order of its place, warnings among them.
pub fn parse<S: AsRef<str>>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<(Name, ValueType)>,
    known: impl IntoIterator<Item = S>,
) -> Result<Parsed, Vec<FilterProblem>> {
    let mut parser = Parser { text, tokens: tokens(text), at: 0, lookup, problems: Vec::new(), unknown: Vec::new(), errors: 0 };
    parser.remove_parentheses();
    let filter = parser.filter();
    let Parser { mut problems, unknown, .. } = parser;
    if !unknown.is_empty() {
        let known: Vec<S> = known.into_iter().collect();
        problems.extend(unknown.into_iter().map(|span| unknown_property(text, span, &known)));
    }
    problems.sort_by_key(|p| p.span.start);
    if problems.iter().all(|p| p.level == Level::Warning) {
        return Ok(Parsed { filter, warnings: problems });
    }
    if problems.len() > ERRORS_MAX {
        problems.retain(|p| p.level == Level::Error);
        problems.truncate(ERRORS_MAX);
    }
    Err(problems)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    at: usize,
    lookup: &'t dyn Fn(&str) -> Option<(Name, ValueType)>,
    problems: Vec<FilterProblem>,
    unknown: Vec<Range<usize>>,
    /// Errors so far; warnings never stop the reading.
    errors: usize,
}

/// A property in the text; `None` inside when it is unknown or no property (reported already).
struct Property {
    span: Range<usize>,
    found: Option<(Name, ValueType)>,
}

impl<'t> Parser<'t> {
    fn filter(&mut self) -> Filter {
        let mut groups = Vec::new();
        let mut group = Vec::new();
        if self.text.trim().is_empty() {
            self.error(
                0..self.text.len(),
                "the filter is empty",
                "write a statement, for example BTS.ReceivePortName == \"Orders\", or leave the filter out",
            );
        }
        while self.peek().is_some() && self.errors < ERRORS_MAX {
            let before = self.at;
            group.extend(self.statement());
            let Some(Token { span, kind }) = self.peek().cloned() else { break };
            match joint(&kind) {
                Some(joint) => {
                    self.at += 1;
                    self.after_joint(&kind, span);
                    if joint == Joint::Or {
                        groups.push(std::mem::take(&mut group));
                    }
                }
                None if self.at > before => {
                    self.error(span, "\"and\" or \"or\" is missing here", "join two statements with and; or begins a new group")
                }
                None => self.at += 1,
            }
        }
        groups.push(group);
        groups.retain(|group| !group.is_empty());
        Filter { groups }
    }

    fn after_joint(&mut self, kind: &Kind<'_>, span: Range<usize>) {
        if matches!(kind, Kind::Operator(_)) {
            self.error(span.clone(), "statements are joined with the words and, or", "write and instead of &&, or instead of ||");
        }
        if self.peek().is_none() {
            self.error(span, "a statement must follow", "remove the last word, or add a statement after it");
        }
    }

    /// `property operator value` or `property exists`. `None` when something was wrong.
    fn statement(&mut self) -> Option<Statement> {
        let property = self.property()?;
        let (operator, span) = self.operator(&property)?;
        if operator == Operator::Exists {
            self.superfluous_value();
            let (name, _) = property.found?;
            return Some(Statement { property: name, operator, value: None });
        }
        if let Some((name, value_type)) = property.found.as_ref().filter(|(_, t)| operator.needs_order() && !t.is_ordered()) {
            let message = format!("{name} is {}, and {operator} needs a number or a date-time", type_name(*value_type));
            self.error(span.clone(), message, "text and true/false can only be compared with ==, != and exists");
        }
        let value = self.value(property.found.as_ref(), span)?;
        let (name, _) = property.found?;
        Some(Statement { property: name, operator, value: Some(value) })
    }

    fn property(&mut self) -> Option<Property> {
        let Token { span, kind } = self.next_statement_token()?;
        let Kind::Word(word) = kind else {
            let (message, help) = match kind {
                Kind::Text(_) => {
                    ("a statement begins with a property, not with a value", "write the property first: BTS.ReceivePortName == \"Orders\"")
                }
                _ => ("a property is missing before the operator", "write the property first: BTS.ReceivePortName == \"Orders\""),
            };
            self.error(span, message, help);
            self.skip_statement();
            return None;
        };
        let found = (self.lookup)(word);
        match &found {
            None => {
                self.errors += 1;
                self.unknown.push(span.clone());
            }
            Some((name, _)) => self.warn_if_never_promoted(&span, name),
        }
        Some(Property { span, found })
    }

    /// The first token of a statement; what cannot be one is reported.
    fn next_statement_token(&mut self) -> Option<Token<'t>> {
        let token = self.peek()?.clone();
        if joint(&token.kind).is_some() {
            self.error(token.span, "a statement is missing before this word", "remove the word, or write a statement before it");
            return None;
        }
        self.at += 1;
        if let Kind::Wrong(message, help) = token.kind {
            self.error(token.span, message, help);
            self.skip_statement();
            return None;
        }
        Some(token)
    }

    /// Reports parentheses and goes on as if they were not there.
    fn remove_parentheses(&mut self) {
        let (parentheses, tokens): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.tokens).into_iter().partition(|t| t.kind == Kind::Parenthesis);
        self.tokens = tokens;
        for Token { span, .. } in parentheses {
            let help = "a filter is an OR of AND-groups: instead of A and (B or C) write A and B or A and C";
            self.error(span, "parentheses are not possible in a filter", help);
        }
    }

    fn operator(&mut self, property: &Property) -> Option<(Operator, Range<usize>)> {
        let token = self.peek().cloned();
        let missing = "compare it with ==, !=, <, <=, > or >=, or ask whether it exists";
        let (span, mistaken) = match token.as_ref().map(|t| (t.span.clone(), &t.kind)) {
            Some((span, Kind::Word(word))) if word.eq_ignore_ascii_case("exists") => {
                self.at += 1;
                return Some((Operator::Exists, span));
            }
            Some((span, kind @ Kind::Operator(text))) if joint(kind).is_none() => (span, *text),
            Some((span, Kind::Word(word)))
                if ["is", "eq", "ne", "lt", "le", "gt", "ge", "equals", "like", "contains", "in", "not"].contains(word) =>
            {
                (span, *word)
            }
            _ => {
                self.error(property.span.clone(), "the property is followed by no operator", missing);
                self.skip_statement();
                return None;
            }
        };
        self.at += 1;
        if let Some((operator, _)) = Operator::ALL.iter().find(|(_, text)| *text == mistaken) {
            return Some((*operator, span));
        }
        let meant = match mistaken {
            "=" | "===" | "is" | "eq" | "equals" => Some(Operator::Equal),
            "<>" | "!" | "!==" | "=!" | "≠" | "ne" => Some(Operator::NotEqual),
            "=<" | "≤" | "le" => Some(Operator::LessOrEqual),
            "=>" | "≥" | "ge" => Some(Operator::GreaterOrEqual),
            "lt" => Some(Operator::Less),
            "gt" => Some(Operator::Greater),
            _ => None,
        };
        let help =
            meant.map_or_else(|| "the operators are ==, !=, <, <=, >, >= and exists".to_owned(), |operator| format!("write {operator}"));
        self.error(span.clone(), format!("there is no operator \"{mistaken}\""), help);
        // The value is still looked at: its problems are told at once.
        Some((meant.unwrap_or(Operator::NotEqual), span))
    }

    fn value(&mut self, property: Option<&(Name, ValueType)>, operator: Range<usize>) -> Option<Value> {
        let token = match self.peek().cloned() {
            Some(token) if joint(&token.kind).is_none() && !matches!(token.kind, Kind::Operator(_)) => token,
            _ => {
                self.error(
                    operator,
                    "the value is missing after the operator",
                    "write a value: text and date-times in quotes, numbers, true or false",
                );
                self.skip_statement();
                return None;
            }
        };
        self.at += 1;
        let (text, quoted) = match &token.kind {
            Kind::Text(text) => (text.as_str(), true),
            Kind::Word(word) => (*word, false),
            Kind::Wrong(message, help) => {
                self.error(token.span, *message, *help);
                return None;
            }
            Kind::Operator(_) | Kind::Parenthesis => return None,
        };
        let (name, value_type) = property?;
        self.typed(name, *value_type, text, quoted, token.span.clone())
    }

    fn typed(&mut self, name: &Name, value_type: ValueType, text: &str, quoted: bool, span: Range<usize>) -> Option<Value> {
        if !quoted && matches!(value_type, ValueType::String | ValueType::DateTime) {
            let message = format!("{name} is {}: its value must be in quotes", type_name(value_type));
            self.error(span, message, format!("write \"{text}\""));
            return None;
        }
        match Value::parse(value_type, text, &TimeZone::UTC) {
            Ok(value) if value.compare(&value).is_none() => {
                self.error(span, "nothing is equal to, less than or greater than NaN", "use exists");
                None
            }
            Ok(value) => {
                if value.as_str().is_some_and(|text| text.chars().count() > PROMOTED_TEXT_MAX) {
                    let message = format!("the value is longer than the {PROMOTED_TEXT_MAX} characters a promoted property can have");
                    self.warn(span, message, "the statement can never hold with ==: shorten the value");
                }
                Some(value)
            }
            Err(_) => {
                let shown: String = text.chars().take(60).collect();
                let message = format!("\"{shown}\" is no value of {name}, which is {}", type_name(value_type));
                self.error(span, message, problem::example(value_type));
                None
            }
        }
    }

    /// Reports a value after `exists`.
    fn superfluous_value(&mut self) {
        let Some(token) = self.peek().cloned() else { return };
        let next_is_statement = matches!(self.tokens.get(self.at + 1).map(|t| &t.kind), Some(Kind::Operator(_)));
        let is_value = match &token.kind {
            Kind::Text(_) => true,
            Kind::Word(_) => joint(&token.kind).is_none() && !next_is_statement,
            _ => false,
        };
        if is_value {
            self.at += 1;
            self.error(token.span, "exists takes no value", "remove the value, or compare with == or !=");
        }
    }

    fn warn_if_never_promoted(&mut self, span: &Range<usize>, name: &Name) {
        let written_only =
            name.namespace == DISTINGUISHED || system::all().iter().any(|property| property.name == *name && !property.promoted);
        if written_only {
            let message = format!("{name} is only written, never promoted: the statement never holds");
            self.warn(span.clone(), message, "filter on a promoted property, for example BTS.ReceivePortName");
        }
    }

    /// Goes on to the next `and` or `or`.
    fn skip_statement(&mut self) {
        while self.peek().is_some_and(|token| joint(&token.kind).is_none()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.at)
    }

    fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.errors += 1;
        self.problems.push(FilterProblem { level: Level::Error, span, message: message.into(), help: help.into() });
    }

    fn warn(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(FilterProblem { level: Level::Warning, span, message: message.into(), help: help.into() });
    }
}

/// What joins two statements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    And,
    Or,
}

fn joint(kind: &Kind<'_>) -> Option<Joint> {
    match kind {
        Kind::Word(word) if word.eq_ignore_ascii_case("and") => Some(Joint::And),
        Kind::Word(word) if word.eq_ignore_ascii_case("or") => Some(Joint::Or),
        Kind::Operator("&&" | "&") => Some(Joint::And),
        Kind::Operator("||" | "|") => Some(Joint::Or),
        _ => None,
    }
}

fn unknown_property<S: AsRef<str>>(text: &str, span: Range<usize>, known: &[S]) -> FilterProblem {
    let word = text.get(span.clone()).unwrap_or_default();
    let shown: String = word.chars().take(120).collect();
    let help = match nearest(word, known) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "no property schema is deployed".to_owned(),
        None => "properties are Alias.Name or {namespace}name; deploy the property schema that declares it".to_owned(),
    };
    FilterProblem { level: Level::Error, span, message: format!("there is no property {shown}"), help }
}

#[cfg(test)]
mod tests;
