//! The structural check is our own; an independent JSON Schema validator must agree with it on what is
//! right and what is wrong, and the schema must use no keyword that the check does not know.

use portolan::config::{
    diagnostic::Report,
    schema::{self, HINT, ONE_OF, SETTINGS},
    shape, yaml,
};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The schema without the rules that only editors use: component settings are checked by themselves.
fn checked_schema() -> Value {
    let mut schema = schema::application(&portolan::registry());
    if let Some(component) = schema.pointer_mut("/$defs/Component").and_then(Value::as_object_mut) {
        component.remove("allOf");
    }
    schema
}

static SCHEMA: LazyLock<Value> = LazyLock::new(checked_schema);
static START: LazyLock<Value> = LazyLock::new(start);
static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| jsonschema::validator_for(&SCHEMA).expect("a schema"));

fn ours(schema: &Value, instance: &Value) -> Vec<String> {
    let mut report = Report::default();
    let file = report.sources.add("a", instance.to_string());
    let node = yaml::parse(&mut report, file).expect("JSON is YAML");
    shape::check(schema, node, "the application").diagnostics.into_iter().map(|one| one.message).collect()
}

fn start() -> Value {
    let mut report = Report::default();
    let file = report.sources.add("a", include_str!("check/sound-everything/application.yaml").to_owned());
    let mut value = yaml::parse(&mut report, file).expect("sound").json();
    value["receive_ports"][0]["locations"][1] = json!({ "name": "f", "file": { "folder": "in", "mask": ["*.xml", "*.txt"] } });
    value["send_ports"][0]["http"] =
        json!({ "url": "http://x/", "retry_statuses": [500, "4xx"], "headers": { "A": "b", "C": { "env": "D" } } });
    value["send_ports"][0]["http"]["authentication"] = json!({ "basic": { "user": "a", "password": { "file": "p" } } });
    value["pipelines"][0]["components"] = json!([{ "stage": "disassemble", "component": "xml-disassembler", "settings": {} }]);
    value
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| places(item, &format!("{at}/{i}"), found)),
        Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| places(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found))
        }
        _ => {}
    }
}

/// Wrong and right values of every kind.
fn replacement() -> impl Strategy<Value = Value> {
    let keys = ["name", "file", "http", "env", "folder", "path", "schedule", "from", "days", "pipeline", "filter", "zzz"];
    prop_oneof![
        Just(json!(true)),
        (-2i64..2000).prop_map(|n| json!(n)),
        Just(json!(1.5)),
        prop::sample::select(vec!["", "x", "DE", "started", "receive", "assemble", "POST", "4xx", "monday", "true", "overwrite", "*.xml"])
            .prop_map(|s| json!(s)),
        Just(json!("x".repeat(300))),
        Just(json!([])),
        Just(json!({})),
        prop::sample::select(keys.to_vec()).prop_map(|key| json!({ key: "x" })),
        prop::sample::select(keys.to_vec()).prop_map(|key| json!({ key: {} })),
        Just(json!(["x", "x"])),
        Just(json!([1, 1])),
        Just(json!(["monday", "friday"])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn another_validator_agrees_on_what_is_wrong(changes in prop::collection::vec((any::<Index>(), replacement(), 0..3u8, any::<Index>()), 0..3)) {
        let schema = &*SCHEMA;
        let mut instance = START.clone();
        for (place, value, how, other) in changes {
            let mut all = Vec::new();
            places(&instance, "", &mut all);
            let at = place.get(&all);
            let keys = ["name", "file", "http", "backup", "retry", "schedule", "pipeline", "overrides", "window", "interval", "maps", "colour"];
            match (instance.pointer_mut(at), how) {
                (Some(Value::Object(entries)), 1) => { entries.insert((*other.get(&keys)).to_owned(), value); }
                (Some(Value::Object(entries)), 2) if !entries.is_empty() => {
                    let key = other.get(&entries.keys().cloned().collect::<Vec<_>>()).clone();
                    entries.shift_remove(&key);
                }
                (Some(target), _) => *target = value,
                (None, _) => {}
            }
        }
        let theirs = VALIDATOR.is_valid(&instance);
        let ours = ours(schema, &instance);
        prop_assert_eq!(ours.is_empty(), theirs, "{:?}\n{:#}", ours, instance);
    }
}

#[test]
fn the_sound_example_is_sound_for_both() {
    let schema = checked_schema();
    assert_eq!(ours(&schema, &start()), [""; 0]);
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&start()));
}

#[test]
fn schemas_use_only_keywords_that_the_check_knows() {
    const KNOWN: &[&str] = &[
        "$schema",
        "$ref",
        "$defs",
        "title",
        "description",
        "default",
        "format",
        "examples",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
        "pattern",
        "x-secret",
        ONE_OF,
        SETTINGS,
        HINT,
    ];
    fn walk(schema: &Value, unknown: &mut Vec<String>) {
        let Value::Object(object) = schema else { return };
        unknown.extend(object.keys().filter(|key| !KNOWN.contains(&key.as_str())).cloned());
        for (key, value) in object {
            match key.as_str() {
                "properties" | "$defs" => value.as_object().into_iter().flatten().for_each(|(_, inner)| walk(inner, unknown)),
                "items" | "additionalProperties" => walk(value, unknown),
                "anyOf" | "oneOf" => value.as_array().into_iter().flatten().for_each(|inner| walk(inner, unknown)),
                _ => {}
            }
        }
    }
    let registry = portolan::registry();
    let mut unknown = Vec::new();
    walk(&checked_schema(), &mut unknown);
    walk(&schema::bindings(), &mut unknown);
    registry.components().for_each(|component| walk(&component.spec().settings, &mut unknown));
    assert_eq!(unknown, [""; 0], "teach config/shape.rs these keywords");
}
