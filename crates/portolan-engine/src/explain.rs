//! Why nobody subscribes to a message, in words for the person who has to repair it.
//!
//! Only worked out after a routing failure, and bounded: it looks at a limited number of
//! subscriptions, however many there are, so that a flood of failures stays cheap.

use crate::{
    routing::RoutingTable,
    subscription::{self, Subscriber, Subscription, statement_holds},
};
use portolan_model::{Context, Kind, artifact::PortState, filter::Statement, system::bts};
use std::fmt::Write;

/// At most so many subscriptions are looked at.
const LOOKED_AT: usize = 2_000;
/// At most so many are told about.
const TOLD: usize = 3;
/// Longest value quoted, in characters.
const QUOTED: usize = 80;

/// The explanation of a routing failure.
pub(crate) fn no_subscriber(table: &RoutingTable, context: &Context) -> String {
    let mut text = "No subscription matches the message.".to_owned();
    let asleep: Vec<String> = table
        .unenlisted
        .iter()
        .take(LOOKED_AT)
        .filter(|s| subscription::matches(&s.filter, context))
        .take(TOLD)
        .map(|s| would_match(table, s))
        .collect();
    for line in asleep {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    offered(context, &mut text);
    nearest(table, context, &mut text);
    text
}

/// A subscription that would exist if its owner were enlisted.
fn would_match(table: &RoutingTable, subscription: &Subscription) -> String {
    match &subscription.subscriber {
        Subscriber::SendPort(port) => {
            format!(
                "The filter of send port \"{port}\" matches, but the port is not enlisted: enlist or start it, then resume this message."
            )
        }
        Subscriber::SendPortGroup(group) if table.group_state(group) == Some(PortState::Unenlisted) => {
            format!(
                "The filter of send port group \"{group}\" matches, but the group is not enlisted: enlist or start it, then resume this message."
            )
        }
        Subscriber::SendPortGroup(group) => {
            format!(
                "The filter of send port group \"{group}\" matches, but none of its send ports is enlisted: enlist or start one, then resume this message."
            )
        }
    }
}

/// What the message has promoted.
fn offered(context: &Context, text: &mut String) {
    let mut names = context.promoted().peekable();
    text.push_str(if names.peek().is_some() {
        "\nPromoted properties of the message:"
    } else {
        "\nThe message has no promoted properties: only promoted properties take part in routing."
    });
    for property in names {
        let _ = write!(text, "\n  {} = {}", property.name, shortened(&property.value.to_string()));
    }
    if context.property(&bts::MESSAGE_TYPE).is_none_or(|p| p.kind != Kind::Promoted) {
        text.push_str("\n  (no BTS.MessageType: the receive pipeline has no disassembler, or it did not recognise the document)");
    }
}

/// The AND-groups that most nearly hold: fewest statements failed, then most held.
fn nearest(table: &RoutingTable, context: &Context, text: &mut String) {
    let mut best: Vec<(usize, std::cmp::Reverse<usize>, &Subscription, Vec<&Statement>)> = Vec::new();
    for subscription in table.subscriptions.iter().take(LOOKED_AT) {
        // The first group is the subscriber's own address: orchestrations use it, filters do not.
        let groups = subscription.filter.groups.iter().skip(1);
        let judged = groups.map(|group| {
            let failed: Vec<&Statement> = group.iter().filter(|s| !statement_holds(s, context)).collect();
            (failed.len(), std::cmp::Reverse(group.len() - failed.len()), subscription, failed)
        });
        if let Some(one) = judged.min_by_key(|j| (j.0, j.1)) {
            let at = best.partition_point(|b| (b.0, b.1) <= (one.0, one.1));
            best.insert(at, one);
            best.truncate(TOLD);
        }
    }
    if best.is_empty() {
        text.push_str("\nNo send port with a filter is enlisted.");
        return;
    }
    text.push_str("\nNearest subscriptions:");
    for (_, _, subscription, failed) in best {
        let _ = match &subscription.subscriber {
            Subscriber::SendPort(port) => write!(text, "\n  send port \"{port}\":"),
            Subscriber::SendPortGroup(group) => write!(text, "\n  send port group \"{group}\":"),
        };
        for (at, statement) in failed.into_iter().take(TOLD).enumerate() {
            let _ = write!(text, "{} wants {statement}, the message has {}", if at > 0 { ";" } else { "" }, held(statement, context));
        }
    }
    if table.subscriptions.len() > LOOKED_AT {
        let _ = write!(text, "\n(of {} subscriptions, the first {LOOKED_AT} were looked at)", table.subscriptions.len());
    }
}

/// What a message has of a property that a statement names.
fn held(statement: &Statement, context: &Context) -> String {
    match context.property(&statement.property) {
        None => "no such property".to_owned(),
        Some(property) if property.kind == Kind::Promoted => shortened(&property.value.to_string()),
        Some(_) => "it only written, not promoted: only promoted properties take part in routing".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    format!("\"{quoted}\"")
}
