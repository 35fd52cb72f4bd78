//! Random documents and random bytes.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Bench, message, order, streamed, text};
use portolan_pipelines::xml::{Input, Limits, Reader, Token};
use portolan_sdk::{Body, PipelineMessage};
use proptest::prelude::*;
use quick_xml::{events::Event, reader::NsReader};
use serde_json::json;

/// A random element as text, with everything that may stand in one.
fn element() -> impl Strategy<Value = String> {
    let word = "[a-zäé€]{1,6}";
    let leaf = prop_oneof![
        "[ -%'-;=?-\\[^-~äö€😀\n]{0,20}",
        "<!--[a-z €]{0,9}-->",
        "<\\?[a-w][a-z]{0,4} [a-z<>€]{0,9}\\?>",
        "<!\\[CDATA\\[[a-z<&>€ ]{0,9}\\]\\]>",
        Just("&amp;&#x20AC;&lt;".to_owned()),
        word.prop_map(|name| format!("<{name} />")),
    ];
    leaf.prop_recursive(5, 60, 5, move |inner| {
        (word, "[a-z€ &;]{0,8}", prop::collection::vec(inner, 0..5), prop::option::of("[a-z]{1,3}")).prop_map(
            |(name, value, children, prefix)| {
                let value = value.replace('&', "&amp;");
                let (open, name) = match prefix {
                    Some(prefix) => (format!(" xmlns:x{prefix}='urn:{value}x'"), format!("x{prefix}:{name}")),
                    None => (String::new(), name),
                };
                format!("<{name}{open} a=\"{value}\">{}</{name}>", children.concat())
            },
        )
    })
}

/// What a document says: names resolved, text joined, prefixes and quotes forgotten.
fn canonical(text: &str) -> Vec<String> {
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut all = Vec::new();
    let mut run = String::new();
    loop {
        let (namespace, event) = reader.read_resolved_event().unwrap();
        let namespace = format!("{namespace:?}");
        match event {
            Event::Text(text) => run.push_str(&text.xml10_content()),
            Event::CData(text) => run.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => run.push_str(&format!("&{};", reference.into_inner())),
            event => {
                if !run.is_empty() {
                    all.push(std::mem::take(&mut run));
                }
                match event {
                    Event::Start(tag) => {
                        all.push(format!("{namespace}{:?}", tag.local_name()));
                        let attributes = tag.attributes().map(Result::unwrap).filter(|a| !a.key.as_ref().starts_with("xmlns"));
                        all.extend(attributes.map(|a| format!("{:?}={:?}", a.key, a.value)));
                    }
                    Event::End(_) => all.push("end".to_owned()),
                    Event::Eof => return all,
                    event => all.push(format!("{event:?}")),
                }
            }
        }
    }
}

fn cut(bench: &Bench, interchange: PipelineMessage) -> Vec<PipelineMessage> {
    bench.disassemble(json!({}), interchange).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_come_out_as_they_went_in(documents in prop::collection::vec((element(), 0u32..1000), 1..5), streams in any::<bool>()) {
        let bench = Bench::new("orders");
        let order_of = |(content, amount): &(String, u32)| {
            format!("<o:Order xmlns:o='urn:example:order'><x>{content}</x><Amount><![CDATA[{amount}]]></Amount></o:Order>")
        };
        let orders: Vec<String> = documents.iter().map(order_of).collect();
        let interchange = format!("<b:Batch xmlns:b='urn:example:batch'><b:Body>{}</b:Body></b:Batch>", orders.concat());
        let padding = if streams { " ".repeat(1 << 20) } else { String::new() };
        let interchange = format!("{interchange}{padding}");
        let whole = if streams { streamed(interchange) } else { message(interchange) };
        let mut found = cut(&bench, whole);
        prop_assert_eq!(found.len(), orders.len());
        for ((document, original), (_, amount)) in found.iter_mut().zip(&orders).zip(&documents) {
            prop_assert_eq!(order(document, "Amount"), Some(amount.to_string()));
            prop_assert_eq!(canonical(&text(document)), canonical(original));
        }
        // Alone, a document is not touched at all.
        let mut alone = cut(&bench, message(orders[0].clone()));
        prop_assert_eq!(&text(&mut alone[0]), &orders[0]);
    }

    #[test]
    fn the_way_out_and_in_again_changes_nothing(content in element(), charset in prop::sample::select(vec!["utf-8", "utf-16", "utf-16be", "iso-8859-1", "windows-1252", "gbk"])) {
        // Names may hold characters that the set lacks; that is an error and tested elsewhere.
        let content = if charset.starts_with("utf") { content } else { content.replace(['ä', 'é', '€'], "z") };
        let bench = Bench::new("orders");
        let original = format!("<o:Order xmlns:o='urn:example:order'><x>{content}</x><y>ä€😀</y></o:Order>");
        let sent = bench.assemble(json!({ "target_charset": charset }), message(original.clone())).unwrap();
        let mut back = cut(&bench, sent);
        let plain = |text: &str| ["ä", "ö", "é", "€", "😀"].iter().fold(canonical(text).concat(), |all, c| all.replace(&format!("&#{};", c.chars().next().map_or(0, u32::from)), c));
        prop_assert_eq!(plain(&text(&mut back[0])), plain(&original));
    }

    #[test]
    fn nothing_makes_the_reader_panic_or_run_away(pieces in prop::collection::vec(prop::sample::select(vec![
        "<", ">", "/", "a", ":", "=", "'", "\"", "&", "#", "x", ";", "!", "-", "[", "]", "?", " ", "\r", "\n", "xmlns", "xml", "<a>", "</a>", "<a/>", "<!--", "-->",
        "<![CDATA[", "]]>", "<?p", "?>", "&amp;", "&#0;", "ä", "\u{FFFE}", "\0", "<!DOCTYPE", "version='1.0'",
    ]), 0..40)) {
        let text = pieces.concat();
        let read = |body: Body| {
            let mut reader = Reader::new(Input::open(body, None, 1 << 30).ok()?, Limits::default());
            let mut count = 0;
            loop {
                match reader.next_token() {
                    Ok(Token::Eof) => return Some(count),
                    Ok(_) => count += 1,
                    Err(_) => return None,
                }
                assert!(count <= text.len(), "more tokens than bytes");
            }
        };
        if read(Body::from_bytes(text.clone())).is_some() {
            // What we accept, another parser accepts too.
            canonical(text.trim_start_matches('\u{FEFF}'));
        }
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), prefix in prop::sample::select(vec!["", "<a>", "\u{FEFF}<a>", "<?xml version='1.0' encoding='gb18030'?>"])) {
        let bench = Bench::new("orders");
        let mut all = prefix.as_bytes().to_vec();
        all.extend_from_slice(&bytes);
        let _ = bench.disassemble(json!({ "allow_unrecognized_message": true }), message(all.clone()));
        let _ = bench.assemble(json!({}), message(all));
    }
}
