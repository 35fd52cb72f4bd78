//! The predicate index finds exactly what looking at every filter finds, and its effort does not grow
//! with the number of filters.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use portolan_engine::{
    index::{Effort, Scratch, SubscriptionIndex},
    subscription::{self, Subscriber, Subscription},
};
use portolan_model::{
    Context, Name, Timestamp, Value,
    filter::{Filter, Operator, Statement},
};
use proptest::prelude::*;

fn name(number: usize) -> Name {
    Name::new("urn:test", format!("P{number}"))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-3_i32..4).prop_map(Value::Int32),
        1 => (-3_i8..4).prop_map(Value::SByte),
        1 => (0_u32..4).prop_map(Value::UInt32),
        3 => (-30_i64..40, 0_u32..3).prop_map(|(n, s)| decimal(n, s)),
        2 => (-6_i32..8).prop_map(|n| Value::Double(f64::from(n) / 2.0)),
        1 => (-6_i16..8).prop_map(|n| Value::Single(f32::from(n) / 2.0)),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-0.0), Just(0.1)].prop_map(Value::Double),
        1 => prop_oneof![Just("9007199254740993"), Just("9007199254740992"), Just("0.1"), Just("0.10"), Just("79228162514264337593543950335")]
            .prop_map(|t| Value::parse(portolan_model::ValueType::Decimal, t, &jiff::tz::TimeZone::UTC).unwrap()),
        // Neighbours that floating point cannot tell apart, at every scale.
        2 => (0_u8..4, 0_usize..28, any::<bool>(), any::<bool>()).prop_map(|(last, scale, large, minus)| {
            let digits = format!("{}{last}", if large { "792281625142643375935439503" } else { "123456789012345678" });
            let padded = format!("{digits:0>29}");
            let (whole, part) = padded.split_at(29 - scale);
            let text = format!("{}{whole}.{part}0", if minus { "-" } else { "" });
            Value::parse(portolan_model::ValueType::Decimal, &text, &jiff::tz::TimeZone::UTC).unwrap()
        }),
        4 => "[ab]{0,2}|abcdefgh[ab]?|abcdefghi".prop_map(Value::string),
        1 => any::<bool>().prop_map(Value::Boolean),
        2 => (-2_i64..3).prop_map(|t| Value::DateTime(Timestamp(t))),
    ]
}

fn decimal(number: i64, scale: u32) -> Value {
    let text = format!("{number}e-{scale}");
    let plain = Value::parse(
        portolan_model::ValueType::Decimal,
        &format!("{:.*}", scale as usize, number as f64 / 10_f64.powi(scale as i32)),
        &jiff::tz::TimeZone::UTC,
    );
    plain.unwrap_or_else(|_| Value::string(text))
}

fn statement() -> impl Strategy<Value = Statement> {
    (0..5_usize, 0..7_usize, prop::option::weighted(0.97, value())).prop_map(|(property, operator, value)| {
        let operator = Operator::ALL[operator].0;
        Statement { property: name(property), operator, value: if operator == Operator::Exists { None } else { value } }
    })
}

fn filters() -> impl Strategy<Value = Vec<Filter>> {
    let group = prop::collection::vec(statement(), 0..4);
    let filter = prop::collection::vec(group, 0..4).prop_map(|groups| Filter { groups });
    prop::collection::vec(filter, 0..40)
}

fn context() -> impl Strategy<Value = Context> {
    prop::collection::vec((0..6_usize, value(), any::<bool>(), 0..10_u8), 0..6).prop_map(|properties| {
        let mut context = Context::new();
        for (property, value, _, written) in properties {
            if written == 0 {
                context.write(name(property), value);
            } else {
                context.promote(name(property), value).unwrap();
            }
        }
        context
    })
}

fn subscriptions(filters: Vec<Filter>) -> Vec<Subscription> {
    let of = |(number, filter)| Subscription { subscriber: Subscriber::SendPort(format!("S{number}").into()), filter };
    filters.into_iter().enumerate().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn the_index_finds_what_testing_every_filter_finds(filters in filters(), contexts in prop::collection::vec(context(), 1..6)) {
        let subscriptions = subscriptions(filters);
        let index = SubscriptionIndex::build(&subscriptions);
        let mut scratch = Scratch::default();
        for context in &contexts {
            let naive: Vec<u32> =
                (0..).zip(&subscriptions).filter(|(_, s)| subscription::matches(&s.filter, context)).map(|(n, _)| n).collect();
            prop_assert_eq!(index.matches(context, &mut scratch), &naive[..], "{:?}", context);
        }
    }
}

#[test]
fn scratch_memory_may_move_between_indexes() {
    let wide = SubscriptionIndex::build(&subscriptions((0..50).map(|n| equal(&[(n, "x".into())])).collect()));
    let narrow = SubscriptionIndex::build(&subscriptions(vec![equal(&[(7, "x".into())])]));
    let mut context = Context::new();
    context.promote(name(7), Value::string("x")).unwrap();
    context.promote(name(49), Value::string("x")).unwrap();
    let mut scratch = Scratch::default();
    assert_eq!(wide.matches(&context, &mut scratch), [7, 49]);
    assert_eq!(narrow.matches(&context, &mut scratch), [0]);
    assert_eq!(wide.matches(&context, &mut scratch), [7, 49]);
}

fn equal(statements: &[(usize, String)]) -> Filter {
    let one = |(property, text): &(usize, String)| Statement {
        property: name(*property),
        operator: Operator::Equal,
        value: Some(Value::string(text.as_str())),
    };
    Filter { groups: vec![statements.iter().map(one).collect()] }
}

fn compare(property: usize, operator: Operator, number: i32) -> Statement {
    Statement { property: name(property), operator, value: Some(Value::Int32(number)) }
}

type Shape = fn(usize, usize) -> Filter;

/// The shapes in which many filters come: each gives filter number `n` of `count`.
const SHAPES: &[(&str, Shape)] = &[
    ("one property, a value each", |n, _| equal(&[(0, format!("V{n}"))])),
    ("all share the message type, a value each", |n, _| equal(&[(1, "Order".into()), (0, format!("V{n}"))])),
    ("two properties, every combination", |n, count| {
        let side = count.isqrt();
        equal(&[(0, format!("V{}", n / side)), (2, format!("W{}", n % side))])
    }),
    ("a property each", |n, _| equal(&[(10 + n, "x".into())])),
    ("exists, a property each", |n, _| Filter {
        groups: vec![vec![Statement { property: name(10 + n), operator: Operator::Exists, value: None }]],
    }),
    ("disjoint ranges", |n, _| {
        let low = i32::try_from(n).unwrap() * 10;
        Filter { groups: vec![vec![compare(3, Operator::GreaterOrEqual, low), compare(3, Operator::Less, low + 10)]] }
    }),
    ("thresholds above the message's value", |n, _| Filter {
        groups: vec![vec![compare(3, Operator::Greater, 60 + i32::try_from(n).unwrap())]],
    }),
    ("a value each, with a range all share", |n, _| {
        let mut filter = equal(&[(0, format!("V{n}"))]);
        filter.groups[0].push(compare(3, Operator::Greater, 0));
        filter
    }),
    ("a value each, with something excluded", |n, _| {
        let mut filter = equal(&[(0, format!("V{n}"))]);
        filter.groups[0].push(Statement { property: name(2), operator: Operator::NotEqual, value: Some(Value::string("Z")) });
        filter
    }),
];

#[test]
fn a_thousand_times_the_filters_is_not_more_work_for_a_message_that_matches_few() {
    let mut context = Context::new();
    for (property, text) in [(0, "V5"), (1, "Order"), (2, "W5"), (12, "x")] {
        context.promote(name(property), Value::string(text)).unwrap();
    }
    context.promote(name(3), Value::Int32(55)).unwrap();
    for (shape, filter) in SHAPES {
        let effort = |count: usize| {
            let index = SubscriptionIndex::build(&subscriptions((0..count).map(|n| filter(n, count)).collect()));
            let mut scratch = Scratch::default();
            let (found, effort) = index.matches_counted(&context, &mut scratch);
            assert!(found.len() <= 1, "{shape}: {found:?}");
            effort
        };
        let (few, many) = (effort(100), effort(100_000));
        assert!(many.signatures <= few.signatures && many.checked <= few.checked + 1, "{shape}: {few:?}, then {many:?}");
        assert!(many.checked <= 3, "{shape}: {many:?}");
    }
}

#[test]
fn equal_groups_are_stored_once_and_answered_for_each_subscription() {
    let same = || equal(&[(0, "A".into())]);
    let index = SubscriptionIndex::build(&subscriptions(vec![same(), equal(&[(0, "B".into())]), same(), same()]));
    assert_eq!(index.group_count(), 2);
    let mut context = Context::new();
    context.promote(name(0), Value::string("A")).unwrap();
    let mut scratch = Scratch::default();
    let (found, effort) = index.matches_counted(&context, &mut scratch);
    assert_eq!((found, effort), (&[0, 2, 3][..], Effort { signatures: 1, checked: 1 }));
}

/// `cargo test -p portolan-engine --test index_agrees -- --ignored --nocapture` prints the time of one
/// match at three sizes: short batches that take turns, the fastest counts, so that other work on the
/// machine disturbs little.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn time_of_one_match() {
    use std::{hint::black_box, time::Instant};
    const BATCH: usize = 500;
    for (shape, filter) in SHAPES {
        let sizes = [100_usize, 10_000, 100_000];
        let built = sizes.map(|count| {
            let index = SubscriptionIndex::build(&subscriptions((0..count).map(|n| filter(n, count)).collect()));
            // As many different messages at every size, so that only the index differs.
            let contexts: Vec<Context> = (0..5_000).map(|n| typical_message(n * 7919 % count)).collect();
            (index, contexts)
        });
        let mut scratch = Scratch::default();
        let mut best = [f64::MAX; 3];
        for round in 0..100 {
            for (best, (index, contexts)) in best.iter_mut().zip(&built) {
                let from = Instant::now();
                for n in 0..BATCH {
                    black_box(index.matches(black_box(&contexts[(round * BATCH + n) % contexts.len()]), &mut scratch));
                }
                *best = best.min(from.elapsed().as_nanos() as f64 / BATCH as f64);
            }
        }
        println!("{shape}: {} (100,000 / 100 = {:.2})", best.map(|ns| format!("{ns:.0} ns")).join(", "), best[2] / best[0]);
    }
}

/// A message with fifteen promoted properties, five of which filters name.
fn typical_message(n: usize) -> Context {
    let mut context = Context::new();
    for (property, text) in [(0, format!("V{n}")), (1, "Order".into()), (2, format!("W{n}")), (10 + n, "x".into())] {
        context.promote(name(property), Value::string(text)).unwrap();
    }
    context.promote(name(3), Value::Int32(i32::try_from(n % 60).unwrap())).unwrap();
    let namespace = "http://schemas.microsoft.com/BizTalk/2003/system-properties";
    for other in 0..10 {
        context.promote(Name::new(namespace, format!("Other{other}")), Value::string("some text")).unwrap();
    }
    context
}
