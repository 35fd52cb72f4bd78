//! Subscriptions: who wants which messages, and the plain meaning of a filter.
//!
//! This module is the definition; [`crate::index`] finds the same answers without looking at every
//! subscription and is tested against it. It must never know states, priorities or deliveries: that is
//! [`crate::routing`]'s.

use portolan_model::{
    Context, Kind, SmolStr, Value,
    filter::{Filter, Operator, Statement},
};
use std::cmp::Ordering;

/// Whose subscription it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Subscriber {
    /// A send port, by name.
    SendPort(SmolStr),
    /// A send port group, by name, on behalf of its members.
    SendPortGroup(SmolStr),
}

/// One activation subscription (manual page "Publish and Subscribe Architecture").
#[derive(Clone, PartialEq, Debug)]
pub struct Subscription {
    /// Whose it is.
    pub subscriber: Subscriber,
    /// What it wants. A filter without groups wants nothing.
    pub filter: Filter,
}

/// Whether a message with this context matches a filter: every statement of at least one group holds.
/// Only promoted properties take part. A group without statements holds for no message.
#[must_use]
pub fn matches(filter: &Filter, context: &Context) -> bool {
    filter.groups.iter().any(|group| !group.is_empty() && group.iter().all(|statement| statement_holds(statement, context)))
}

/// Whether one statement holds for a message. Every operator, `!=` included, needs the property to be
/// there and promoted: predicates are evaluated against the message's promoted values, and an absent
/// property has none (the manual is silent on `!=`; decision 0007).
#[must_use]
pub fn statement_holds(statement: &Statement, context: &Context) -> bool {
    match context.property(&statement.property) {
        Some(property) if property.kind == Kind::Promoted => value_holds(statement.operator, statement.value.as_ref(), &property.value),
        _ => false,
    }
}

/// Whether `value operator constant` holds. Numbers of different types compare by value; values that
/// cannot be compared (text with a number, NaN) satisfy no operator but `exists`.
#[must_use]
pub fn value_holds(operator: Operator, constant: Option<&Value>, value: &Value) -> bool {
    let order = || constant.and_then(|constant| value.compare(constant));
    match operator {
        Operator::Exists => true,
        Operator::Equal => order() == Some(Ordering::Equal),
        Operator::NotEqual => order().is_some_and(Ordering::is_ne),
        Operator::Less => order() == Some(Ordering::Less),
        Operator::LessOrEqual => order().is_some_and(Ordering::is_le),
        Operator::Greater => order() == Some(Ordering::Greater),
        Operator::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
    }
}
