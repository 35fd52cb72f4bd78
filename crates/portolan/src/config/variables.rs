//! `${name}` in texts. A text that is nothing but one variable takes the variable's value with its
//! type, so that `port: ${port}` is a number; anywhere else the value's text is put in. `$${` stands
//! for a plain `${`.

use super::{
    diagnostic::{Diagnostic, Report},
    source::Span,
    suggest,
    yaml::{Node, Text, Yaml},
};
use portolan_model::code;
use std::collections::BTreeMap;

/// Replaces the variables in every text of `root` but those of its `variables` section.
pub fn replace(report: &mut Report, root: &mut Node) {
    let mut variables = BTreeMap::new();
    for entry in root.get("variables").map(Node::entries).unwrap_or_default() {
        variables.insert(entry.key.clone(), entry.value.clone());
    }
    let Yaml::Map(entries) = &mut root.value else { return };
    for entry in entries.iter_mut().filter(|entry| entry.key != "variables") {
        walk(report, &variables, &mut entry.value);
    }
}

fn walk(report: &mut Report, variables: &BTreeMap<String, Node>, node: &mut Node) {
    match &mut node.value {
        Yaml::List(items) => items.iter_mut().for_each(|item| walk(report, variables, item)),
        Yaml::Map(entries) => entries.iter_mut().for_each(|entry| walk(report, variables, &mut entry.value)),
        Yaml::Text(text) if text.value.contains("${") => {
            node.value = replaced(report, variables, node.span, text).unwrap_or(Yaml::Broken);
        }
        _ => {}
    }
}

fn replaced(report: &mut Report, variables: &BTreeMap<String, Node>, span: Span, text: &Text) -> Option<Yaml> {
    let raw = &text.value;
    let mut value = String::with_capacity(raw.len());
    let mut pieces = Vec::new();
    let mut origins = Vec::new();
    let mut at = 0;
    while let Some(found) = raw[at..].find("${").map(|found| at + found) {
        if raw[..found].ends_with('$') {
            value.push_str(&raw[at..found - 1]);
            pieces.push((value.len(), value.len() + 2, found - 1, found + 2));
            value.push_str("${");
            at = found + 2;
            continue;
        }
        value.push_str(&raw[at..found]);
        let Some(end) = raw[found..].find('}').map(|end| found + end) else {
            report.push(
                Diagnostic::error(code::CONFIG_VALUE, span, "`${` without `}`")
                    .help("close the variable with `}`, or write `$${` for a plain `${`"),
            );
            return None;
        };
        let name = raw[found + 2..end].trim();
        let Some(variable) = variables.get(name) else {
            let names: Vec<&str> = variables.keys().map(String::as_str).collect();
            let mistake = Diagnostic::error(code::CONFIG_REFERENCE, span, format!("there is no variable `{name}`"));
            report.push(mistake.help(
                suggest::unknown(name, "variables", &names)
                    + "\nvariables are defined under `variables` in application.yaml or in the bindings of an environment",
            ));
            return None;
        };
        if found == 0 && end + 1 == raw.len() && !matches!(variable.value, Yaml::Map(_) | Yaml::List(_)) {
            let mut value = variable.value.clone();
            if let Yaml::Text(own) = &mut value {
                own.replaced = vec![(0, own.value.len(), 0, raw.len())];
                own.raw = Some(raw.clone());
                own.style = text.style;
                own.variables.push(variable.span);
            }
            return Some(value);
        }
        let start = value.len();
        origins.push(variable.span);
        match &variable.value {
            Yaml::Text(text) => value.push_str(&text.value),
            Yaml::Number(number) => value.push_str(&number.to_string()),
            Yaml::Bool(flag) => value.push_str(&flag.to_string()),
            Yaml::Null | Yaml::Broken | Yaml::Map(_) | Yaml::List(_) => {}
        }
        pieces.push((start, value.len(), found, end + 1));
        at = end + 1;
    }
    value.push_str(&raw[at..]);
    Some(Yaml::Text(Text { value, style: text.style, replaced: pieces, raw: Some(raw.clone()), variables: origins }))
}

#[cfg(test)]
mod tests {
    use super::{super::yaml, *};

    fn run(text: &str) -> (serde_json::Value, Vec<String>) {
        let mut report = Report::default();
        let file = report.sources.add("a", text.to_owned());
        let mut node = yaml::parse(&mut report, file).unwrap();
        replace(&mut report, &mut node);
        (node.json(), report.diagnostics.iter().map(|one| one.message.clone()).collect())
    }

    #[test]
    fn variables_are_put_into_texts_and_keep_their_type_when_alone() {
        let (json, mistakes) =
            run("variables: {dir: /data, port: 80}\na: '${dir}/in'\nb: ${port}\nc: 'x${port}y${dir}'\nd: '$${dir} and %datetime%'\n");
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(json["a"], "/data/in");
        assert_eq!(json["b"], 80);
        assert_eq!(json["c"], "x80y/data");
        assert_eq!(json["d"], "${dir} and %datetime%");
    }

    #[test]
    fn unknown_and_open_variables_are_mistakes() {
        assert_eq!(run("variables: {dir: /data}\na: '${dri}'\n").1, ["there is no variable `dri`"]);
        assert_eq!(run("a: '${dir'\n").1, ["`${` without `}`"]);
    }
}
