//! Filters. Promises: no panic; a filter prints so that it reads back as itself; problems stand at places
//! inside the text; the index finds exactly what the plain meaning of the filter says.

use crate::campaign::Target;
use portolan_engine::{
    filter,
    index::{Scratch, SubscriptionIndex},
    subscription::{self, Subscriber, Subscription},
};
use portolan_model::{Context, Name, SmolStr, Value, ValueType, filter::Filter, time::TimeZone};

/// The target.
pub const TARGET: Target = Target { name: "filter", run, words: WORDS, longest: 4 << 10, short: 10_000 };

const WORDS: &[&str] = &[
    "F.Text",
    "F.Flag",
    "F.Small",
    "F.Number",
    "F.Exact",
    "F.Near",
    "F.When",
    "{urn:f}Text",
    "BTS.MessageType",
    " == ",
    " != ",
    " < ",
    " <= ",
    " > ",
    " >= ",
    " exists",
    " and ",
    " or ",
    " AND ",
    "(",
    ")",
    "\"",
    "'",
    "\\u{41}",
    "\\n",
    "\\\"",
    "true",
    "false",
    "1.50",
    "-0",
    "1e3",
    "NaN",
    "INF",
    "\"2026-05-04T10:00:00Z\"",
    "\"DE\"",
    "'2026'",
    "{",
    "}",
    ".",
    "=",
];

/// Fields of every kind of type.
const FIELDS: &[(&str, ValueType, &[&str])] = &[
    ("Text", ValueType::String, &["DE", "", "de"]),
    ("Flag", ValueType::Boolean, &["true", "false"]),
    ("Small", ValueType::SByte, &["-1", "1", "100"]),
    ("Number", ValueType::Int32, &["0", "5", "2147483647"]),
    ("Exact", ValueType::Decimal, &["1.5", "1000", "-0.01"]),
    ("Near", ValueType::Double, &["1.5", "NaN", "-INF"]),
    ("When", ValueType::DateTime, &["2026-05-04T10:00:00Z", "0001-01-01T00:00:00Z"]),
];

fn lookup(text: &str) -> Option<(Name, ValueType)> {
    let local = text.strip_prefix("F.").or_else(|| text.strip_prefix("{urn:f}"))?;
    FIELDS.iter().find(|(name, ..)| *name == local).map(|(name, value_type, _)| (Name::new("urn:f", *name), *value_type))
}

fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let known = FIELDS.iter().map(|(name, ..)| format!("F.{name}"));
    match filter::parse(text, &lookup, known) {
        Ok(parsed) => {
            assert!(!parsed.filter.groups.is_empty() && parsed.filter.groups.iter().all(|group| !group.is_empty()), "an empty group");
            let printed = parsed.filter.to_string();
            let again = filter::parse(&printed, &lookup, [""; 0]);
            // NaN is not equal to itself; its printed form is.
            let same = again.as_ref().is_ok_and(|again| again.filter == parsed.filter || again.filter.to_string() == printed);
            assert!(same, "printed as {printed}, read back as {again:?}");
            compare_with_index(parsed.filter);
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a problem");
            for problem in problems {
                assert!(text.get(problem.span.clone()).is_some(), "place {:?} of {}", problem.span, text.len());
                assert!(!problem.message.is_empty(), "a problem without words");
            }
        }
    }
}

/// The filter among others, against messages that have all, some or none of the fields.
fn compare_with_index(filter: Filter) {
    let alone = |filter| Subscription { subscriber: Subscriber::SendPort(SmolStr::new_static("p")), filter };
    let halves = filter.groups.iter().map(|group| Filter { groups: vec![group.clone()] });
    let mut subscriptions: Vec<Subscription> = halves.take(8).map(alone).collect();
    subscriptions.push(alone(filter));
    let index = SubscriptionIndex::build(&subscriptions);
    let mut scratch = Scratch::default();
    for context in contexts() {
        let found = index.matches(&context, &mut scratch).to_vec();
        let meant: Vec<u32> =
            (0u32..).zip(&subscriptions).filter(|(_, s)| subscription::matches(&s.filter, &context)).map(|(at, _)| at).collect();
        assert_eq!(found, meant, "the index and the meaning of the filter differ for {context:?}");
    }
}

fn contexts() -> impl Iterator<Item = Context> {
    (0..4).map(|variant| {
        let mut context = Context::new();
        for (at, (name, value_type, values)) in FIELDS.iter().enumerate() {
            let text = values[variant % values.len()];
            let Ok(value) = Value::parse(*value_type, text, &TimeZone::UTC) else { continue };
            let name = Name::new("urn:f", *name);
            // One message has everything, the others lack some fields or have them unpromoted.
            match (at + variant) % 3 {
                _ if variant == 0 => drop(context.promote(name, value)),
                0 => drop(context.promote(name, value)),
                1 => context.write(name, value),
                _ => {}
            }
        }
        context
    })
}
