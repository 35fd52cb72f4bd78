//! What a small document costs. Only says something in a release build.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Bench, message, message_type};
use portolan_sdk::StageComponent;
use serde_json::json;
use std::time::Instant;

#[test]
#[ignore = "a measurement: cargo test --release -p portolan-pipelines --test speed -- --ignored --nocapture"]
fn a_document_of_2_kilobytes_costs_less_than_20_microseconds() {
    let bench = Bench::new("orders");
    let lines: String = (0..30).map(|n| format!("<Line number=\"{n}\" unit=\"piece\">Article {n} &amp; its box</Line>\n  ")).collect();
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<o:Order xmlns:o=\"urn:example:order\" placed=\"2026-03-01T12:00:00Z\">\n  <Head><Country>DE</Country><Buyer>Somebody</Buyer></Head>\n  {lines}<Amount>1234.50</Amount>\n</o:Order>\n"
    );
    assert!((1900..2300).contains(&document.len()), "{}", document.len());
    let receive = bench.registry.component("xml-disassembler").unwrap().prepare(&json!({}), &bench.context.schemas).unwrap();
    let send = bench.registry.component("xml-assembler").unwrap().prepare(&json!({}), &bench.context.schemas).unwrap();
    let (mut receiving, mut sending) = (Vec::new(), Vec::new());
    for _ in 0..20_000 {
        let document = message(document.clone());
        let start = Instant::now();
        let StageComponent::Disassembler(mut component) = receive.instantiate() else { panic!() };
        component.disassemble(&bench.context, document).unwrap();
        let cut = component.next(&bench.context).unwrap().unwrap();
        assert!(component.next(&bench.context).unwrap().is_none());
        receiving.push(start.elapsed());
        assert!(message_type(&cut).is_some());
        let start = Instant::now();
        let StageComponent::Assembler(mut component) = send.instantiate() else { panic!() };
        component.add(&bench.context, cut).unwrap();
        drop(component.assemble(&bench.context).unwrap());
        sending.push(start.elapsed());
    }
    receiving.sort_unstable();
    sending.sort_unstable();
    let middle = receiving[receiving.len() / 2];
    println!("receive {middle:?}, send {:?} (medians, {} bytes)", sending[sending.len() / 2], document.len());
    assert!(middle.as_micros() < 20, "{middle:?}");
}
