//! A selection as SQL over rows, and what it says about packed instances. It must agree with
//! [`Selection::matches`], which is the definition.

use crate::{
    pack::{HeadInstance, Header},
    rows::state_number,
    services::Services,
};
use portolan_model::{InstanceId, instance::InstanceState};
use portolan_store::{Selection, StateFilter};
use rusqlite::types::Value;

/// A condition with its parameters.
#[derive(Default)]
pub(crate) struct Condition {
    parts: Vec<String>,
    pub(crate) values: Vec<Value>,
}

impl Condition {
    /// Adds a condition; each `?` in it takes the next of `values`.
    pub(crate) fn and(&mut self, part: impl Into<String>, values: impl IntoIterator<Item = Value>) {
        self.parts.push(part.into());
        self.values.extend(values);
    }

    /// The whole, true when there is none.
    pub(crate) fn sql(&self) -> String {
        if self.parts.is_empty() { "1".to_owned() } else { self.parts.join(" AND ") }
    }
}

/// Ids as one parameter for `SELECT unhex(value) FROM json_each(?)`.
pub(crate) fn id_list(ids: impl Iterator<Item = InstanceId>) -> Value {
    let mut list = String::from("[");
    for id in ids {
        if list.len() > 1 {
            list.push(',');
        }
        list.push('"');
        list.push_str(id.0.simple().encode_lower(&mut [0; 32]));
        list.push('"');
    }
    list.push(']');
    Value::Text(list)
}

/// A selection over `instance i`.
pub(crate) fn condition(selection: &Selection, services: &Services) -> Condition {
    let mut all = Condition::default();
    if !selection.ids.is_empty() {
        all.and("i.id IN (SELECT unhex(value) FROM json_each(?))", [id_list(selection.ids.iter().copied())]);
    }
    if let Some(state) = selection.state {
        let states: Vec<String> =
            [InstanceState::Ready, InstanceState::Scheduled, InstanceState::SuspendedResumable, InstanceState::SuspendedNotResumable]
                .into_iter()
                .filter(|s| state.matches(*s))
                .map(|s| state_number(s).to_string())
                .collect();
        all.and(format!("i.state IN ({})", states.join(",")), []);
    }
    if selection.class.is_some() || selection.service.is_some() {
        let numbers: Vec<String> = service_numbers(selection, services).map(|number| number.to_string()).collect();
        all.and(format!("i.service IN ({})", numbers.join(",")), []);
    }
    if let Some(code) = &selection.code {
        all.and("i.code = ?", [Value::Text(code.to_string())]);
    }
    if let Some(text) = &selection.text {
        // SQLite's lower() changes ASCII letters only, as the definition wants.
        all.and("i.code IS NOT NULL AND instr(lower(i.description), lower(?)) > 0", [Value::Text(text.clone())]);
    }
    if let Some(since) = selection.since {
        all.and("i.created >= ?", [Value::Integer(since.0)]);
    }
    if let Some(until) = selection.until {
        all.and("i.created < ?", [Value::Integer(until.0)]);
    }
    if let Some(message) = selection.message {
        all.and("i.message = (SELECT n FROM message WHERE id = ?)", [Value::Blob(message.0.as_bytes().to_vec())]);
    }
    if let Some(about) = selection.about {
        all.and("i.about = ?", [Value::Blob(about.0.as_bytes().to_vec())]);
    }
    if let Some(kind) = &selection.message_type {
        all.and("i.message IN (SELECT n FROM message WHERE type = ?)", [Value::Text(kind.to_string())]);
    }
    all
}

/// The services a selection allows.
pub(crate) fn service_numbers<'a>(selection: &'a Selection, services: &'a Services) -> impl Iterator<Item = u32> + 'a {
    services
        .iter()
        .filter(|(_, service)| {
            selection.class.is_none_or(|class| class == service.class)
                && selection.service.as_ref().is_none_or(|name| *name == service.name)
        })
        .map(|(number, _)| number)
}

/// Whether packed instances can match at all: they are ready and have no failure.
pub(crate) fn may_be_packed(selection: &Selection) -> bool {
    selection.state.is_none_or(|state| state == StateFilter::Ready) && selection.code.is_none() && selection.text.is_none()
}

/// Whether the service alone decides about packed instances.
pub(crate) fn by_service_only(selection: &Selection) -> bool {
    *selection == Selection { state: selection.state, class: selection.class, service: selection.service.clone(), ..Selection::default() }
}

/// Whether a packed instance of an allowed service matches, leaving aside [`Selection::ids`].
pub(crate) fn packed_matches(selection: &Selection, header: &Header, head: &HeadInstance) -> bool {
    selection.since.is_none_or(|since| head.created >= since)
        && selection.until.is_none_or(|until| head.created < until)
        && selection.message.is_none_or(|message| header.message_id(head) == message)
        && selection.about.is_none_or(|about| header.instance(head, portolan_model::instance::Service::report()).about == Some(about))
        && selection.message_type.as_ref().is_none_or(|kind| header.message_type(head) == Some(kind))
}
