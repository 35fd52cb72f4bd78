//! What finding the subscribers of a message costs with few and with many filters.

use crate::{
    Problem, Settings,
    report::{Report, Rounds},
};
use portolan_engine::{
    index::{Scratch, SubscriptionIndex},
    subscription::{Subscriber, Subscription, matches},
};
use portolan_model::{
    Context, Value,
    filter::{Filter, Operator, Statement},
    property::Name,
};
use serde_json::json;
use std::{hint::black_box, time::Instant};

const SIZES: [usize; 3] = [100, 10_000, 100_000];
const CONTEXTS: usize = 4096;

/// Interleaved rounds over all sizes; every message matches one filter, whatever the number of filters.
pub fn run(settings: &Settings, report: &mut Report) -> Result<(), Problem> {
    let lookups = if settings.quick { 200_000 } else { 1_000_000 };
    let worlds: Vec<_> = SIZES
        .iter()
        .map(|size| {
            let subscriptions: Vec<Subscription> = (0..*size).map(subscription).collect();
            let contexts: Result<Vec<Context>, Problem> = (0..CONTEXTS).map(|n| context(n.wrapping_mul(7919) % size)).collect();
            let start = Instant::now();
            let index = SubscriptionIndex::build(&subscriptions);
            Ok((index, contexts?, subscriptions, start.elapsed()))
        })
        .collect::<Result<_, Problem>>()?;
    let mut rounds = Rounds::default();
    for _ in 0..settings.rounds {
        let mut base = 0.0;
        for ((index, contexts, subscriptions, built), size) in worlds.iter().zip(SIZES) {
            let mut scratch = Scratch::default();
            let start = Instant::now();
            let mut found = 0;
            for at in 0..lookups {
                found += black_box(index.matches(&contexts[at % CONTEXTS], &mut scratch)).len();
            }
            let nanos = per(start, lookups);
            if found != lookups {
                return Err(format!("{found} matches in {lookups} lookups").into());
            }
            if size == SIZES[0] {
                base = nanos;
            }
            let scans = (20_000_000 / size / 100).max(4);
            let start = Instant::now();
            for at in 0..scans {
                black_box(subscriptions.iter().filter(|s| matches(&s.filter, &contexts[at % CONTEXTS])).count());
            }
            let run = json!({
                "ns_match": nanos,
                "ratio to 100": nanos / base,
                "ns_one_by_one": per(start, scans),
                "build_ms": built.as_secs_f64() * 1e3,
            });
            report.line("routing", &format!("{size} filters"), &run)?;
            rounds.add(&format!("{size} filters"), &run);
        }
    }
    rounds.print(&["ns_match", "ratio to 100", "ns_one_by_one", "build_ms"]);
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn per(start: Instant, count: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}

fn name(local: &str) -> Name {
    Name::new("urn:portolan:bench", local)
}

fn statement(local: &str, operator: Operator, value: Value) -> Statement {
    Statement { property: name(local), operator, value: Some(value) }
}

/// Filters as applications have them: six of ten by one value, two by type and region, two by a range
/// of amounts inside a region.
fn subscription(number: usize) -> Subscription {
    let statements = match number % 10 {
        0..6 => vec![statement("Customer", Operator::Equal, Value::string(format!("C{number}")))],
        6 | 7 => vec![
            statement("MessageType", Operator::Equal, Value::string(format!("urn:types#T{number}"))),
            statement("Region", Operator::Equal, Value::string("EU")),
        ],
        _ => vec![
            statement("Region", Operator::Equal, Value::string("EU")),
            statement("Amount", Operator::GreaterOrEqual, Value::Int32(i32::try_from(number * 10).unwrap_or(0))),
            statement("Amount", Operator::Less, Value::Int32(i32::try_from(number * 10 + 10).unwrap_or(0))),
        ],
    };
    Subscription { subscriber: Subscriber::SendPort(format!("Port{number}").into()), filter: Filter { groups: vec![statements] } }
}

/// A message that exactly the filter of this number matches.
fn context(number: usize) -> Result<Context, Problem> {
    let mut context = Context::new();
    let (mut customer, mut kind, mut amount) = ("none".to_owned(), "urn:types#none".to_owned(), -1);
    match number % 10 {
        0..6 => customer = format!("C{number}"),
        6 | 7 => kind = format!("urn:types#T{number}"),
        _ => amount = i32::try_from(number * 10 + 5)?,
    }
    context.promote(name("Customer"), Value::string(customer))?;
    context.promote(name("MessageType"), Value::string(kind))?;
    context.promote(name("Region"), Value::string("EU"))?;
    context.promote(name("Amount"), Value::Int32(amount))?;
    for other in ["ReceivePortName", "InboundTransportType", "InboundTransportLocation", "InterchangeID"] {
        context.promote(name(other), Value::string("of no interest to anybody"))?;
    }
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_matches_its_filter_and_no_other() {
        let subscriptions: Vec<_> = (0..200).map(subscription).collect();
        for number in 0..200 {
            let context = context(number).unwrap();
            let found: Vec<_> = (0..200).filter(|n| matches(&subscriptions[*n].filter, &context)).collect();
            assert_eq!(found, [number]);
        }
    }
}
