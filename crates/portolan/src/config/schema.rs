//! The JSON Schema of an application: that of [`super::format`], with one key per registered adapter
//! in locations, ports and backups, and one alternative per registered component in pipelines. The
//! same schema serves checking, editors and the reference pages.

use super::format::{ApplicationFile, BindingsFile};
use portolan_sdk::{AdapterSpec, Registry};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Keyword of ours: exactly one of the named keys must be there (which adapter). Editors get the same
/// as `oneOf`.
pub const ONE_OF: &str = "x-exactly-one";

/// Keyword of ours: the value holds an adapter's settings, to be checked by themselves.
pub const SETTINGS: &str = "x-settings";

/// Keyword of ours: what to do about a value of the wrong type.
pub const HINT: &str = "x-hint";

/// The schema of `application.yaml` for checking: adapters' settings are checked by themselves, so that
/// an adapter never sees settings of the wrong shape.
#[must_use]
pub fn skeleton(registry: &Registry) -> Value {
    let mut schema = generate::<ApplicationFile>("Portolan application");
    let names = |wanted: fn(&AdapterSpec) -> bool| {
        registry.adapters().map(|adapter| adapter.spec()).filter(wanted).map(|spec| spec.name).collect::<Vec<_>>()
    };
    let receive = names(|spec| spec.receive.is_some());
    let send = names(|spec| spec.send.is_some());
    for (definition, names) in [("ReceiveLocation", &receive), ("SendPort", &send), ("Backup", &send)] {
        for name in names {
            add_property(&mut schema, definition, name, json!({ "type": "object", SETTINGS: true }));
        }
        exactly_one(&mut schema, definition, names);
    }
    schema
}

/// The schema of `application.yaml` for editors and reference pages.
#[must_use]
pub fn application(registry: &Registry) -> Value {
    let mut schema = generate::<ApplicationFile>("Portolan application");
    let adapters: Vec<AdapterSpec> = registry.adapters().map(|adapter| adapter.spec()).collect();
    let receive: Vec<_> = adapters.iter().filter_map(|spec| Some((spec, "Receive", spec.receive.clone()?))).collect();
    let send: Vec<_> = adapters.iter().filter_map(|spec| Some((spec, "Send", spec.send.clone()?))).collect();
    add_adapters(&mut schema, "ReceiveLocation", &receive);
    add_adapters(&mut schema, "SendPort", &send);
    add_adapters(&mut schema, "Backup", &send);
    add_components(&mut schema, registry);
    tidy(&mut schema);
    schema
}

/// The schema of `bindings/<environment>.yaml`. What it says about one artifact is checked after
/// merging, against the schema of the application.
#[must_use]
pub fn bindings() -> Value {
    let mut schema = generate::<BindingsFile>("Portolan bindings");
    tidy(&mut schema);
    schema
}

fn generate<T: JsonSchema>(title: &str) -> Value {
    let mut value = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    if let Some(root) = value.as_object_mut() {
        root.insert("title".to_owned(), json!(title));
    }
    value
}

/// Adds a key per adapter to a definition; the adapters' own definitions move to the root under a
/// prefix, so that equal names do not clash.
fn add_adapters(schema: &mut Value, definition: &str, adapters: &[(&AdapterSpec, &str, Value)]) {
    for (spec, direction, settings) in adapters {
        let prefix = format!("{}_{direction}", spec.name);
        let summary = format!("{} Guarantee: {}.", spec.summary, spec.guarantee.trim_end_matches('.'));
        insert_definition(schema, &prefix, settings.clone());
        let reference = json!({ "$ref": format!("#/$defs/{prefix}"), "description": summary });
        add_property(schema, definition, spec.name, reference);
    }
    let names: Vec<&str> = adapters.iter().map(|(spec, ..)| spec.name).collect();
    exactly_one(schema, definition, &names);
}

fn add_property(schema: &mut Value, definition: &str, name: &str, property: Value) {
    if let Some(properties) = schema.pointer_mut(&format!("/$defs/{definition}/properties")).and_then(Value::as_object_mut) {
        properties.insert(name.to_owned(), property);
    }
}

fn exactly_one(schema: &mut Value, definition: &str, names: &[&str]) {
    if let Some(object) = schema.pointer_mut(&format!("/$defs/{definition}")).and_then(Value::as_object_mut) {
        object.insert("additionalProperties".to_owned(), Value::Bool(false));
        object.insert("oneOf".to_owned(), names.iter().map(|name| json!({ "required": [name] })).collect());
        object.insert(ONE_OF.to_owned(), json!(names));
    }
}

/// Lets editors know the settings of each component; checking does not need it, because settings are
/// checked with overrides applied.
fn add_components(schema: &mut Value, registry: &Registry) {
    let mut names = Vec::new();
    let mut rules = Vec::new();
    for spec in registry.components().map(|component| component.spec()) {
        let prefix = format!("component_{}", spec.name);
        insert_definition(schema, &prefix, spec.settings.clone());
        names.push(json!(spec.name));
        rules.push(json!({
            "if": { "properties": { "component": { "const": spec.name } } },
            "then": { "properties": { "settings": { "$ref": format!("#/$defs/{prefix}") } } }
        }));
    }
    if let Some(component) = schema.pointer_mut("/$defs/Component").and_then(Value::as_object_mut)
        && !rules.is_empty()
    {
        if let Some(name) = component.get_mut("properties").and_then(|keys| keys.get_mut("component")).and_then(Value::as_object_mut) {
            name.insert("enum".to_owned(), Value::Array(names));
        }
        component.insert("allOf".to_owned(), Value::Array(rules));
    }
}

fn insert_definition(schema: &mut Value, prefix: &str, mut settings: Value) {
    let own = settings.as_object_mut().and_then(|object| object.remove("$defs"));
    if let Some(object) = settings.as_object_mut() {
        object.remove("$schema");
    }
    prefix_references(&mut settings, prefix);
    let Some(definitions) =
        schema.as_object_mut().map(|root| root.entry("$defs").or_insert_with(|| json!({}))).and_then(Value::as_object_mut)
    else {
        return;
    };
    for (name, mut definition) in own.and_then(|own| own.as_object().cloned()).unwrap_or_default() {
        prefix_references(&mut definition, prefix);
        definitions.insert(format!("{prefix}_{name}"), definition);
    }
    definitions.insert(prefix.to_owned(), settings);
}

fn prefix_references(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/$defs/{prefix}_{name}");
            }
            object.values_mut().for_each(|child| prefix_references(child, prefix));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prefix_references(item, prefix)),
        _ => {}
    }
}

/// Removes defaults that mean "not given", which would only be noise in editors and pages.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let required: Vec<String> = strings(object.get("required")).map(str::to_owned).collect();
            if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
                for (name, property) in properties.iter_mut() {
                    if let Some(property) = property.as_object_mut()
                        && property.get("default").is_some_and(|default| required.contains(name) || is_empty(default))
                    {
                        property.remove("default");
                    }
                }
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.values().all(is_empty),
        _ => false,
    }
}

/// The strings of a JSON array.
pub(crate) fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Follows references within `root`.
pub(crate) fn deref<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..16 {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// The keys that an object schema knows, in the order of the manual.
pub(crate) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}
