//! Cases of fidelity: what goes in comes out the same, bit for bit, after whatever the store does
//! with it.

use super::{
    fixture::{publish, second},
    harness::{Harness, NOW},
};
use crate::{ask, query::Selection};
use bytes::Bytes;
use portolan_model::{
    Context, InstanceId, Kind, Message, Part, PartContent, SmolStr, Timestamp, Value, ValueType,
    instance::{Failure, Instance, InstanceState, MessageForm, Progress, Service, TransportRole},
    property::Name,
    system::bts,
    time::TimeZone,
};

/// Publishes a message and compares what questions and claims give back with it.
async fn comes_back(h: &mut Harness, message: Message) {
    let instances = vec![
        h.ready(&message, "A"),
        h.ready(&message, "A").suspended(true, MessageForm::Published, super::fixture::failure("PTL0203", "away")),
    ];
    let ids: Vec<InstanceId> = instances.iter().map(|instance| instance.id).collect();
    h.commit(vec![publish(message.clone(), instances)]).await;
    same(&ask::message(h.store(), message.id).await.unwrap().unwrap(), &message);
    h.step().await;
    same(&ask::message(h.store(), message.id).await.unwrap().unwrap(), &message);
    same(&h.claim("A", NOW, 1).await.work[0].message, &message);
    // The suspended one keeps the message alone, maybe in another place.
    h.commit(vec![super::fixture::complete(ids[0])]).await;
    h.step().await;
    same(&ask::message(h.store(), message.id).await.unwrap().unwrap(), &message);
    h.commit(vec![super::fixture::act(Selection::of(ids), crate::batch::Action::Resume)]).await;
    h.step().await;
    let work = h.claim("A", NOW, 1).await.work;
    same(&work[0].message, &message);
    h.commit(vec![super::fixture::complete(work[0].instance.id)]).await;
}

/// Equal also where `==` is blind: `-0.0`, NaN, the scale of a decimal.
fn same(is: &Message, was: &Message) {
    let bits = |message: &Message| {
        let bits = message.context.iter().map(|property| match &property.value {
            Value::Single(value) => u64::from(value.to_bits()),
            Value::Double(value) => value.to_bits(),
            _ => 0,
        });
        bits.collect::<Vec<_>>()
    };
    assert_eq!(bits(is), bits(was));
    // A failing comparison of megabytes would print them: the parts first, by length.
    assert_eq!(is.parts.iter().map(|p| p.content.len()).collect::<Vec<_>>(), was.parts.iter().map(|p| p.content.len()).collect::<Vec<_>>());
    assert!(is.parts == was.parts, "the parts of message {} differ", was.id);
    assert_eq!(format!("{:?}", is.context), format!("{:?}", was.context));
    assert_eq!((is.id, is.created, is.body_index), (was.id, was.created, was.body_index));
}

fn values() -> Vec<Value> {
    let decimal = |text: &str| Value::parse(ValueType::Decimal, text, &TimeZone::UTC).unwrap();
    let mut values = vec![
        Value::string(""),
        Value::string("short"),
        Value::string("a text of more than twenty-three bytes, which is not kept inline"),
        Value::string("<&>\"'\\ \t\n Grüße 日本語 😀 \u{feff}"),
        Value::Boolean(true),
        Value::Boolean(false),
        Value::DateTime(Timestamp(0)),
        Value::DateTime(NOW),
        Value::DateTime(Timestamp(-1)),
        Value::DateTime(Timestamp(i64::MIN)),
        Value::DateTime(Timestamp(i64::MAX)),
    ];
    for bits in [0, 1, u32::MAX, 0x7FFF_FFFF, 0x8000_0000, 0xDEAD_BEEF] {
        values.extend([Value::SByte(bits as i8), Value::Byte(bits as u8), Value::Int16(bits as i16), Value::UInt16(bits as u16)]);
        values.extend([Value::Int32(bits as i32), Value::UInt32(bits)]);
    }
    for text in [
        "0",
        "-0.00",
        "1.0",
        "1.000",
        "-1",
        "79228162514264337593543950335",
        "-79228162514264337593543950335",
        "0.0000000000000000000000000001",
    ] {
        values.push(decimal(text));
    }
    for double in [0.0, -0.0, 1.5, f64::MIN, f64::MAX, f64::MIN_POSITIVE, f64::EPSILON, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        values.extend([Value::Double(double), Value::Single(double as f32)]);
    }
    values
}

pub(super) async fn every_type_of_value_comes_back_as_it_was(mut h: Harness) {
    let mut message = h.message("<order/>");
    let mut types: Vec<ValueType> = Vec::new();
    for (at, value) in values().into_iter().enumerate() {
        if !types.contains(&value.value_type()) {
            types.push(value.value_type());
        }
        message.context.write(Name::new("urn:values", format!("v{at}")), value.clone());
        message.context.promote(Name::new("urn:values", format!("p{at}")), value).unwrap();
    }
    assert_eq!(types.len(), 12, "a type of value is missing here: {types:?}");
    comes_back(&mut h, message).await;
}

pub(super) async fn every_field_of_an_instance_comes_back_as_it_was(mut h: Harness) {
    let message = h.message("<order/>");
    let full = Failure {
        code: "PTL0202".into(),
        description: "line one\nline \"two\" with ü and 日本語\u{0}".into(),
        adapter: Some("HTTP".into()),
        address: Some("https://example.org/orders?a=%20&b='".into()),
        at: second(-5),
    };
    let empty = Failure {
        code: "".into(),
        description: String::new(),
        adapter: Some("".into()),
        address: Some(String::new()),
        at: Timestamp(i64::MIN),
    };
    let mut instances = Vec::new();
    let states = [InstanceState::Ready, InstanceState::Scheduled, InstanceState::SuspendedResumable, InstanceState::SuspendedNotResumable];
    for (at, state) in states.into_iter().cycle().take(12).enumerate() {
        instances.push(Instance {
            service: [Service::send_port("Größe/送信 '%_"), Service::receive_port(""), Service::report()][at % 3].clone(),
            state,
            due: [NOW, Timestamp(i64::MAX), Timestamp(i64::MIN), Timestamp(-1)][at % 4],
            priority: [1, 5, 10][at % 3],
            form: [MessageForm::Wire, MessageForm::PostPipeline, MessageForm::Published][at % 3],
            progress: Progress { transport: [TransportRole::Primary, TransportRole::Backup][at % 2], attempts: [0, 3, u32::MAX][at % 3] },
            created: [NOW, Timestamp(0), second(-1), Timestamp(i64::MAX), Timestamp(i64::MIN)][at % 5],
            failure: [None, Some(full.clone()), Some(empty.clone())][at % 3].clone(),
            group: [None, Some(SmolStr::new("Alle Empfänger")), Some(SmolStr::new(""))][(at / 2) % 3].clone(),
            about: [None, Some(InstanceId(h.id()))][(at / 3) % 2],
            ..h.ready(&message, "")
        });
    }
    h.commit(vec![publish(message, instances.clone())]).await;
    for _ in 0..2 {
        let stored = h.select(Selection::default()).await;
        assert_eq!(stored.len(), instances.len());
        for instance in &instances {
            assert_eq!(stored.iter().find(|known| known.id == instance.id), Some(instance));
        }
        h.step().await;
    }
}

pub(super) async fn parts_come_back_as_they_were(mut h: Harness) {
    let part = |name: &str, content_type: Option<&str>, charset: Option<&str>, content: PartContent| Part {
        name: SmolStr::new(name),
        content_type: content_type.map(SmolStr::new),
        charset: charset.map(SmolStr::new),
        content,
    };
    let every_byte = Bytes::from((0..=255).collect::<Vec<u8>>());
    let parts = [
        part("first", None, None, PartContent::Inline(Bytes::new())),
        part("body", Some("text/xml; charset=\"utf-8\""), Some("utf-8"), PartContent::Inline(every_byte)),
        part("Anhang größer", Some(""), Some(""), PartContent::Inline("\u{feff}<?xml?>".into())),
    ];
    for body_index in [0, 1, 3] {
        let stored = PartContent::Stored(h.put_body(&[b"large ", b"one"]).await);
        let mut message = h.message("");
        message.created = second(i64::from(body_index) * 1000);
        message.parts = parts.iter().cloned().chain([part("", None, Some("windows-1252"), stored)]).collect();
        message.body_index = body_index;
        comes_back(&mut h, message).await;
    }
    let mut nothing = h.message("");
    nothing.parts.clear();
    nothing.context = super::fixture::typed("a routing failure report has no parts");
    comes_back(&mut h, nothing).await;
    let empty = h.message("");
    comes_back(&mut h, empty).await;
    let mut many = h.message("");
    many.parts = (0..200).map(|at| part(&format!("part {at}"), None, None, PartContent::Inline(format!("{at}").into()))).collect();
    many.body_index = 199;
    comes_back(&mut h, many).await;
}

pub(super) async fn large_messages_come_back_as_they_were(mut h: Harness) {
    for size in [1_000, 65_535, 65_536, 1_000_000, 3_000_000] {
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let message = h.message(bytes);
        comes_back(&mut h, message).await;
    }
    let mut wide = h.message("<order/>");
    for at in 0..2_000 {
        wide.context.write(Name::new(format!("urn:namespace/{}", at % 7), format!("property {at}")), Value::Int32(at));
        wide.context.distinguish(&format!("/*[local-name()='Order']/*[{at}]"), "distinguished");
    }
    wide.context.write(bts::MESSAGE_TYPE, Value::string("x".repeat(1_000_000)));
    comes_back(&mut h, wide).await;

    // Many in one batch.
    let mut operations = Vec::new();
    let mut messages = Vec::new();
    for at in 0..300_usize {
        let message = h.message(vec![at as u8; at * 37]);
        let instance = h.ready(&message, "B");
        messages.push(message.clone());
        operations.push(publish(message, vec![instance]));
    }
    assert_eq!(h.commit(operations).await, [1; 300]);
    h.step().await;
    let work = h.claim("B", NOW, 999).await.work;
    assert_eq!(work.len(), 300);
    for (work, message) in work.iter().zip(&messages) {
        same(&work.message, message);
    }
}

pub(super) async fn names_and_texts_of_any_script_come_back_as_they_were(mut h: Harness) {
    let mut message = h.message("<bestellung größe=\"5\">日本語 😀</bestellung>");
    let mut context = Context::new();
    for (namespace, local) in [
        ("", ""),
        ("", "local only"),
        ("urn:größe", "Länge"),
        ("urn:日本", "注文 番号"),
        ("urn:x", "😀"),
        ("http://schemas.microsoft.com/BizTalk/2003/system-properties", "Not A System Property"),
        ("http://schemas.microsoft.com/bizTalk/2003/system-properties", "MessageType"),
    ] {
        context.write(Name::new(namespace, local), Value::string(format!("{namespace}|{local}")));
    }
    for property in portolan_model::system::all() {
        context.write(property.name, Value::Boolean(property.promoted));
    }
    context.promote(bts::RECEIVE_PORT_NAME, Value::string("Bestellungen 受信")).unwrap();
    context.distinguish("/*[local-name()='Größe']/@größe", "Größe\r\n");
    for kind in [Kind::Written, Kind::Promoted, Kind::Distinguished] {
        assert!(context.iter().any(|property| property.kind == kind));
    }
    message.context = context;
    comes_back(&mut h, message).await;
}
