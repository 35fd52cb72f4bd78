//! Tests of reading and printing filters: rules as sentences, then random texts.

use super::*;
use crate::subscription;
use portolan_model::{Context, Timestamp, Value};
use proptest::prelude::*;

/// Name, type; the local name tells the type.
const KNOWN: &[(&str, ValueType)] = &[
    ("Orders.Country", ValueType::String),
    ("Orders.Amount", ValueType::Decimal),
    ("Orders.Lines", ValueType::Int32),
    ("Orders.Small", ValueType::Byte),
    ("Orders.Rate", ValueType::Double),
    ("Orders.Factor", ValueType::Single),
    ("Orders.Urgent", ValueType::Boolean),
    ("Orders.Placed", ValueType::DateTime),
    ("BTS.MessageType", ValueType::String),
    ("BTS.ReceivePortName", ValueType::String),
    ("BTS.ReceiveLocationName", ValueType::String),
];

fn lookup(text: &str) -> Option<(Name, ValueType)> {
    let known = |alias: &str, local: &str| KNOWN.iter().find(|(name, _)| *name == format!("{alias}.{local}")).map(|(_, t)| *t);
    if let Some((namespace, local)) = text.strip_prefix('{').and_then(|t| t.split_once('}')) {
        let alias = if namespace == "urn:orders" { "Orders" } else { system::prefix_of(namespace)? };
        return known(alias, local).map(|t| (Name::new(namespace, local), t));
    }
    let (alias, local) = text.split_once('.')?;
    let namespace = if alias == "Orders" { "urn:orders" } else { system::namespace_of(alias)? };
    known(alias, local).map(|t| (Name::new(namespace, local), t))
}

fn read(text: &str) -> Result<Parsed, Vec<FilterProblem>> {
    parse(text, &lookup, KNOWN.iter().map(|(name, _)| name))
}

/// Each problem as `the marked text | message | help`.
fn problems(text: &str) -> Vec<String> {
    let problems = match read(text) {
        Ok(parsed) => parsed.warnings,
        Err(problems) => problems,
    };
    problems.into_iter().map(|p| format!("{} | {} | {}", &text[p.span], p.message, p.help)).collect()
}

fn one(text: &str) -> String {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
    problems[0].clone()
}

#[test]
fn and_binds_before_or_and_values_take_the_propertys_type() {
    let text = r#"Orders.Country == "DE" AND Orders.Amount>=1000 or BTS.MessageType == 'urn:x#Order' or {urn:orders}Lines exists"#;
    let parsed = read(text).unwrap();
    assert_eq!(
        parsed.filter.to_string(),
        r#"{urn:orders}Country == "DE" and {urn:orders}Amount >= 1000 or BTS.MessageType == "urn:x#Order" or {urn:orders}Lines exists"#
    );
    assert!(parsed.warnings.is_empty());
    let types: Vec<Option<ValueType>> = parsed.filter.groups.iter().flatten().map(|s| s.value.as_ref().map(Value::value_type)).collect();
    assert_eq!(types, [Some(ValueType::String), Some(ValueType::Decimal), Some(ValueType::String), None]);
    let mut context = Context::new();
    context.promote(Name::new("urn:orders", "Country"), Value::string("DE")).unwrap();
    assert!(!subscription::matches(&parsed.filter, &context));
    context.promote(Name::new("urn:orders", "Amount"), Value::Int32(1000)).unwrap();
    assert!(subscription::matches(&parsed.filter, &context));
}

#[test]
fn literals_have_escapes_and_date_times_are_utc() {
    let value = |text: &str| read(text).unwrap().filter.groups[0][0].value.clone().unwrap();
    assert_eq!(value(r#"Orders.Country == "a\"b\\c\n\u{e9}'""#), Value::string("a\"b\\c\né'"));
    assert_eq!(value(r#"Orders.Country == 'a"\''"#), Value::string("a\"'"));
    assert_eq!(value(r#"Orders.Country == """#), Value::string(""));
    assert_eq!(value(r#"Orders.Amount == "10.50""#).to_string(), "10.50");
    assert_eq!(value("Orders.Urgent == true"), Value::Boolean(true));
    assert_eq!(value("Orders.Rate < -1.5e3"), Value::Double(-1500.0));
    let Value::DateTime(moment) = value(r#"Orders.Placed >= "2026-05-04T12:00:00+02:00""#) else { panic!() };
    assert_eq!(moment.to_string(), "2026-05-04T10:00:00.0000000Z");
}

#[test]
fn every_mistake_says_what_to_do() {
    let expected = [
        ("", " | the filter is empty | write a statement, for example BTS.ReceivePortName == \"Orders\", or leave the filter out"),
        ("Orders.Country = \"DE\"", "= | there is no operator \"=\" | write =="),
        ("Orders.Country <> \"DE\"", "<> | there is no operator \"<>\" | write !="),
        ("Orders.Country like \"D%\"", "like | there is no operator \"like\" | the operators are ==, !=, <, <=, >, >= and exists"),
        ("Orders.Contry == \"DE\"", "Orders.Contry | there is no property Orders.Contry | did you mean Orders.Country?"),
        ("orders.country == \"DE\"", "orders.country | there is no property orders.country | did you mean Orders.Country?"),
        ("Country == \"DE\"", "Country | there is no property Country | did you mean Orders.Country?"),
        (
            "Zebra.X == 1",
            "Zebra.X | there is no property Zebra.X | properties are Alias.Name or {namespace}name; deploy the property schema that declares it",
        ),
        (
            "Orders.Country > \"DE\"",
            "> | {urn:orders}Country is text, and > needs a number or a date-time | text and true/false can only be compared with ==, != and exists",
        ),
        (
            "Orders.Urgent >= true",
            ">= | {urn:orders}Urgent is true or false, and >= needs a number or a date-time | text and true/false can only be compared with ==, != and exists",
        ),
        ("Orders.Country == DE", "DE | {urn:orders}Country is text: its value must be in quotes | write \"DE\""),
        (
            "Orders.Placed > 2026-05-04",
            "2026-05-04 | {urn:orders}Placed is a date-time: its value must be in quotes | write \"2026-05-04\"",
        ),
        (
            "Orders.Small == 256",
            "256 | \"256\" is no value of {urn:orders}Small, which is a whole number from 0 to 255 | write digits only, for example 100",
        ),
        (
            "Orders.Placed == \"soon\"",
            "\"soon\" | \"soon\" is no value of {urn:orders}Placed, which is a date-time | write for example \"2026-05-04T12:00:00Z\" or \"2026-05-04\"",
        ),
        ("Orders.Rate == NaN", "NaN | nothing is equal to, less than or greater than NaN | use exists"),
        (
            "Orders.Amount >=",
            ">= | the value is missing after the operator | write a value: text and date-times in quotes, numbers, true or false",
        ),
        (
            "Orders.Amount >= and Orders.Urgent exists",
            ">= | the value is missing after the operator | write a value: text and date-times in quotes, numbers, true or false",
        ),
        ("Orders.Country exists \"DE\"", "\"DE\" | exists takes no value | remove the value, or compare with == or !="),
        (
            "Orders.Country",
            "Orders.Country | the property is followed by no operator | compare it with ==, !=, <, <=, > or >=, or ask whether it exists",
        ),
        (
            "Orders.Amount > 1 Orders.Lines > 1",
            "Orders.Lines | \"and\" or \"or\" is missing here | join two statements with and; or begins a new group",
        ),
        ("Orders.Amount > 1 or", "or | a statement must follow | remove the last word, or add a statement after it"),
        ("and Orders.Amount > 1", "and | a statement is missing before this word | remove the word, or write a statement before it"),
        (
            "\"DE\" == Orders.Country",
            "\"DE\" | a statement begins with a property, not with a value | write the property first: BTS.ReceivePortName == \"Orders\"",
        ),
        (
            "Orders.Amount > 1 && Orders.Lines > 1",
            "&& | statements are joined with the words and, or | write and instead of &&, or instead of ||",
        ),
        ("Orders.Country == \"DE", "\"DE | the text has no closing quote | end it with the quote it began with"),
        (
            "Orders.Country == \"C:\\dir\"",
            "\"C:\\dir\" | a backslash begins an escape that does not exist | write \\\\ for a backslash; there are also \\\" \\' \\n \\r \\t \\u{…}",
        ),
        (
            "{urn:orders == 1",
            "{urn:orders == 1 | the namespace has no closing brace | write {namespace}name, for example {urn:orders}Country",
        ),
        (
            "BTS.ReceiveLocationName == \"A\"",
            "BTS.ReceiveLocationName | BTS.ReceiveLocationName is only written, never promoted: the statement never holds | filter on a promoted property, for example BTS.ReceivePortName",
        ),
    ];
    for (text, want) in expected {
        assert_eq!(one(text), want, "{text}");
    }
}

#[test]
fn a_property_that_is_never_promoted_is_a_warning_and_the_filter_stands() {
    let parsed = read("BTS.ReceiveLocationName exists or Orders.Lines > 1").unwrap();
    assert_eq!((parsed.filter.groups.len(), parsed.warnings.len(), parsed.warnings[0].level), (2, 1, Level::Warning));
    let long = format!("Orders.Country == \"{}\"", "x".repeat(257));
    assert_eq!(read(&long).unwrap().warnings.len(), 1);
}

#[test]
fn all_problems_are_told_at_once_in_order() {
    let text = "Orders.Contry = 5 and (Orders.Small == 1000 or Orders.Urgent == maybe) or BTS.MessageType exists 1";
    let places: Vec<String> = read(text).unwrap_err().iter().map(|p| text[p.span.clone()].to_owned()).collect();
    assert_eq!(places, ["Orders.Contry", "=", "(", "1000", "maybe", ")", "1"]);
}

#[test]
fn a_long_filter_is_read_to_its_end_however_many_warnings_it_has() {
    let text = vec!["BTS.ReceiveLocationName exists"; 1_000].join(" or ");
    let parsed = read(&text).unwrap();
    assert_eq!((parsed.filter.groups.len(), parsed.warnings.len()), (1_000, 1_000));
    let wrong = format!("{text} or Orders.Lines == x");
    assert_eq!(read(&wrong).unwrap_err().iter().filter(|p| p.level == Level::Error).count(), 1);
    assert_eq!(read(&"((".repeat(100_000)).unwrap_err().len(), ERRORS_MAX);
}

fn statement() -> impl Strategy<Value = Statement> {
    let of_type = |value_type| match value_type {
        ValueType::String => any::<String>().prop_map(|t| Value::string(t.chars().take(200).collect::<String>())).boxed(),
        ValueType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        ValueType::Byte => any::<u8>().prop_map(Value::Byte).boxed(),
        ValueType::Decimal => (any::<i32>(), 0..6_u32)
            .prop_map(|(n, s)| {
                Value::parse(ValueType::Decimal, &format!("{}.{:0w$}", n / 7, n.unsigned_abs() % 10, w = s as usize + 1), &TimeZone::UTC)
                    .unwrap()
            })
            .boxed(),
        ValueType::Double => any::<f64>().prop_filter("NaN", |n| !n.is_nan()).prop_map(Value::Double).boxed(),
        ValueType::Single => any::<f32>().prop_filter("NaN", |n| !n.is_nan()).prop_map(Value::Single).boxed(),
        ValueType::DateTime => (-60_000_000_000_000_000..250_000_000_000_000_000_i64).prop_map(|t| Value::DateTime(Timestamp(t))).boxed(),
        _ => any::<i32>().prop_map(Value::Int32).boxed(),
    };
    prop::sample::select(KNOWN).prop_flat_map(move |(name, value_type)| {
        let operators: Vec<Operator> =
            Operator::ALL.iter().map(|(o, _)| *o).filter(|o| value_type.is_ordered() || !o.needs_order()).collect();
        (prop::sample::select(operators), of_type(value_type)).prop_map(move |(operator, value)| {
            let (property, _) = lookup(name).unwrap();
            Statement { property, operator, value: (operator != Operator::Exists).then_some(value) }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_printed_filter_reads_back_as_itself(groups in prop::collection::vec(prop::collection::vec(statement(), 1..4), 1..4)) {
        let filter = Filter { groups };
        let parsed = read(&filter.to_string());
        prop_assert_eq!(parsed.map(|p| p.filter), Ok(filter));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        check_any(&text);
    }

    #[test]
    fn no_mixture_of_tokens_makes_it_panic(parts in prop::collection::vec(prop::sample::select(vec![
        "Orders.Country", "Orders.Amount", "{urn:orders}Lines", "{", "}", "BTS.ReceiveLocationName", "Nope.Nope", "==", "=", "!=", "<=", "&&", "||", "<", "exists", "and",
        "or", "AND", "(", ")", "\"DE\"", "'", "\"", "\\", "\\u{", "5", "-1.5", "true", "é", " ", "\n", "\u{2028}", "≠",
    ]), 0..20), spaced in any::<bool>()) {
        check_any(&parts.join(if spaced { " " } else { "" }));
    }
}

/// What holds for any text: places are inside it, a filter comes without errors and reads back.
fn check_any(text: &str) {
    match read(text) {
        Ok(Parsed { filter, warnings }) => {
            assert!(!filter.groups.is_empty() && filter.groups.iter().all(|group| !group.is_empty()), "{text}");
            assert!(warnings.iter().all(|p| text.get(p.span.clone()).is_some() && p.level == Level::Warning));
            assert_eq!(read(&filter.to_string()).unwrap().filter, filter);
        }
        Err(problems) => {
            assert!(problems.iter().any(|p| p.level == Level::Error));
            assert!(problems.iter().all(|p| text.get(p.span.clone()).is_some() && !p.help.is_empty()), "{text}");
        }
    }
}
