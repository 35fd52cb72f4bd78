//! Filters: what a send port or send port group subscribes to. A filter is an OR of AND-groups of
//! statements (manual page "Filter Expression Dialog Box"); there are no parentheses.

use crate::{property::Name, value::Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Comparison of one statement. The numbers of the reference product's binding files are in
/// [`Operator::number`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    NotEqual,
    Exists,
}

impl Operator {
    /// All operators with their text form.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Equal, "=="),
        (Self::Less, "<"),
        (Self::LessOrEqual, "<="),
        (Self::Greater, ">"),
        (Self::GreaterOrEqual, ">="),
        (Self::NotEqual, "!="),
        (Self::Exists, "exists"),
    ];

    /// The operator code of binding files: 0 equals, 1 less than, 2 less than or equal, 3 greater
    /// than, 4 greater than or equal, 5 not equal, 6 exists.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether the operator needs an ordered type.
    #[must_use]
    pub fn needs_order(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(op, _)| op == self).map_or("", |(_, text)| text))
    }
}

/// One statement: a promoted property compared with a constant.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// The property.
    pub property: Name,
    /// How it is compared.
    pub operator: Operator,
    /// The constant, typed as the property; `None` only with [`Operator::Exists`].
    pub value: Option<Value>,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.property, self.operator)?;
        match &self.value {
            Some(Value::String(text)) => write!(f, " {}", quoted(text)),
            Some(Value::DateTime(moment)) => write!(f, " \"{moment}\""),
            Some(value) => write!(f, " {value}"),
            None => Ok(()),
        }
    }
}

/// A string literal as `portolan_engine::filter` reads it back: in double quotes, with `\"`, `\\`,
/// `\n`, `\r`, `\t` and `\u{…}` for what would be misread.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&c.escape_unicode().to_string()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// An OR of AND-groups. No groups: the filter matches nothing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Filter {
    /// The groups; a message matches when every statement of at least one group holds.
    pub groups: Vec<Vec<Statement>>,
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, group) in self.groups.iter().enumerate() {
            if at > 0 {
                f.write_str(" or ")?;
            }
            for (at, statement) in group.iter().enumerate() {
                if at > 0 {
                    f.write_str(" and ")?;
                }
                statement.fmt(f)?;
            }
        }
        Ok(())
    }
}
