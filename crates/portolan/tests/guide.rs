//! What the guide shows must work: its YAML is checked, and so is the mistake it shows.

#![allow(clippy::unwrap_used)] // The helpers of a test may fail as it may.

use portolan::config::{self, render, suggest};
use std::fs;

const GUIDE: &str = include_str!("../../../docs/guide/configuration.md");

/// The YAML blocks of the guide, without their indentation.
fn blocks() -> Vec<String> {
    let mut blocks = Vec::new();
    for part in GUIDE.split("```yaml\n").skip(1) {
        let body = part.split("```").next().unwrap();
        let indent = body.lines().filter(|line| !line.trim().is_empty()).map(|line| line.len() - line.trim_start().len()).min().unwrap();
        blocks.push(body.lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or(""))).collect());
    }
    blocks
}

/// A block within an application that gives it the place it needs.
fn placed(block: &str) -> Option<String> {
    let indented = |by: usize| block.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect::<String>();
    let location = "application: a\nreceive_ports:\n  - name: P\n    locations:\n      - name: l\n        http: { path: /l }\n";
    Some(match block.split(':').next()? {
        "receive_ports" | "send_ports" | "pipelines" => format!("application: a\n{block}"),
        "pipeline" | "schedule" => format!("{location}{}", indented(8)),
        "filter" => format!("application: a\nsend_ports:\n  - name: S\n    http: {{ url: \"http://127.0.0.1:9/\" }}\n{}", indented(4)),
        "authentication" => format!(
            "application: a\nsend_ports:\n  - name: S\n    filter: Orders.Amount > 1\n    http:\n      url: http://127.0.0.1:9/\n{}",
            indented(6).replace("WAREHOUSE_TOKEN", "PATH")
        ),
        _ => return None,
    })
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["in", "undelivered", "schemas", "bindings"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("schemas/Orders.xsd"), include_str!("../templates/orders/schemas/Orders.xsd")).unwrap();
    fs::write(folder.path().join("schemas/PurchaseOrder.xsd"), include_str!("../templates/orders/schemas/PurchaseOrder.xsd")).unwrap();
    folder
}

#[test]
fn every_yaml_block_of_the_guide_is_sound() {
    let mut checked = 0;
    for block in blocks() {
        let Some(text) = placed(&block) else { continue };
        let folder = folder();
        fs::write(folder.path().join(config::APPLICATION_FILE), &text).unwrap();
        let loaded = config::load(folder.path(), None, &portolan::registry());
        assert_eq!(loaded.report.diagnostics, [], "{text}\n{}", render::human(&loaded.report, "", render::Style::Plain));
        checked += 1;
    }
    assert!(checked >= 7, "only {checked} blocks of the guide were recognised");
}

#[test]
fn the_bindings_of_the_guide_fit_its_ports() {
    let all = blocks();
    let find = |start: &str| all.iter().find(|block| block.starts_with(start)).unwrap().clone();
    let folder = folder();
    let input = folder.path().join("in");
    fs::write(folder.path().join(config::APPLICATION_FILE), format!("application: a\n{}{}", find("receive_ports:"), find("send_ports:")))
        .unwrap();
    fs::write(folder.path().join("bindings/production.yaml"), find("variables:").replace("/srv/orders/in", input.to_str().unwrap()))
        .unwrap();
    let loaded = config::load(folder.path(), Some("production"), &portolan::registry());
    assert_eq!(loaded.report.diagnostics, [], "{}", render::human(&loaded.report, "", render::Style::Plain));
    let application = loaded.application.unwrap();
    assert_eq!(application.send_ports[0].primary.retry.count, 20);
    assert!(application.receive_ports[0].locations[0].transport.address.contains(input.to_str().unwrap()));
}

#[test]
fn the_mistake_the_guide_shows_is_what_is_printed() {
    let golden = include_str!("check/ptl0003-filter/expected.txt");
    let shown = GUIDE.split("```\nPTL0003").nth(1).unwrap().split("```\n").next().unwrap();
    assert!(golden.contains(shown.trim_end()), "{shown}");
    assert_eq!(suggest::nearest("Orders.Contry", ["Orders.Country"]), Some("Orders.Country"));
}
