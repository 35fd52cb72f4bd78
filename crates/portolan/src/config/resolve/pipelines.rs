//! Pipelines: the built-in ones and those of the application, and their use at a location or port with
//! overrides laid over the settings.

use super::{super::format, Resolver};
use crate::config::{
    check_shape,
    diagnostic::{Diagnostic, Severity},
    format::{PipelineKind, PipelineUse},
    source::Span,
    suggest,
    yaml::{Entry, Node, Yaml},
};
use portolan_model::{
    SmolStr,
    artifact::{ComponentRef, PipelineRef, Stage},
    code,
};
use portolan_pipelines::defaults;
use std::collections::BTreeMap;

/// All pipelines by name.
#[derive(Default)]
pub struct Pipelines {
    by_name: BTreeMap<String, Definition>,
}

struct Definition {
    kind: PipelineKind,
    components: Vec<Line>,
    /// Where an application defines it; `None`: built in.
    span: Option<Span>,
}

/// One component of a definition.
#[derive(Clone)]
struct Line {
    id: Option<String>,
    stage: Stage,
    component: String,
    settings: Node,
}

impl Line {
    fn answers_to(&self, key: &str) -> bool {
        self.id.as_deref().unwrap_or(&self.component) == key
    }
}

impl Resolver<'_> {
    /// Reads the definitions; must come before any use.
    pub(super) fn define_pipelines(&mut self, pipelines: &[format::Pipeline], tree: &Node) {
        let nothing = || Node::new(Span::default(), Yaml::Map(Vec::new()));
        for name in defaults::NAMES {
            let kind = if defaults::is_receive(name) == Some(true) { PipelineKind::Receive } else { PipelineKind::Send };
            let components = defaults::pipeline(name).map(|pipeline| pipeline.components).unwrap_or_default();
            let line = |component: ComponentRef| Line {
                id: None,
                stage: component.stage,
                component: component.component.to_string(),
                settings: nothing(),
            };
            let components = components.into_iter().map(line).collect();
            self.pipelines.by_name.insert(name.to_owned(), Definition { kind, components, span: None });
        }
        let nodes = tree.get("pipelines").map(Node::items).unwrap_or_default();
        self.unique("pipeline", nodes);
        for (pipeline, node) in pipelines.iter().zip(nodes) {
            self.define_pipeline(pipeline, node);
        }
    }

    fn define_pipeline(&mut self, pipeline: &format::Pipeline, node: &Node) {
        self.name("pipeline", &pipeline.name, node.get("name"));
        let Some(kind) = pipeline.kind else { return };
        let name_span = node.nearest(["name"]).span;
        if self.pipelines.by_name.get(&pipeline.name).is_some_and(|known| known.span.is_none()) {
            self.error(
                code::CONFIG_DUPLICATE,
                name_span,
                format!("`{}` is the name of a built-in pipeline", pipeline.name),
                "give this pipeline another name; a built-in one is changed by overrides where it is used",
            );
            return;
        }
        let mut lines: Vec<Line> = Vec::new();
        for (component, at) in pipeline.components.iter().zip(node.get("components").map(Node::items).unwrap_or_default()) {
            if let Some(line) = self.define_component(component, at, kind) {
                let key = line.id.as_ref().unwrap_or(&line.component).clone();
                if lines.iter().any(|other| other.answers_to(&key)) {
                    self.error(
                        code::CONFIG_DUPLICATE,
                        at.nearest([if line.id.is_some() { "id" } else { "component" }]).span,
                        format!("this pipeline has `{key}` twice"),
                        "give each an `id` of its own, so that overrides can tell them apart",
                    );
                }
                // Settings of a pipeline that nobody uses are checked too.
                let used = self.component(&line, &pipeline.name, at.entry("settings").map_or(at.span, |entry| entry.key_span));
                if used.is_some() {
                    lines.push(line);
                }
            }
        }
        lines.sort_by_key(|line| line.stage);
        self.pipelines.by_name.insert(pipeline.name.clone(), Definition { kind, components: lines, span: Some(name_span) });
    }

    fn define_component(&mut self, component: &format::Component, node: &Node, kind: PipelineKind) -> Option<Line> {
        let stage = component.stage?;
        let stage_span = node.nearest(["stage"]).span;
        let stage_name = node.get("stage").and_then(Node::text).unwrap_or_default().to_owned();
        if stage.is_receive() != (kind == PipelineKind::Receive) {
            let (own, stages) = match kind {
                PipelineKind::Receive => ("receive", "`decode`, `disassemble`, `validate`, `resolve_party`"),
                PipelineKind::Send => ("send", "`pre_assemble`, `assemble`, `encode`"),
            };
            self.error(
                code::CONFIG_VALUE,
                stage_span,
                format!("a {own} pipeline has no stage `{stage_name}`"),
                format!("its stages are {stages}"),
            );
        }
        let at = node.get("component").filter(|at| at.text().is_some())?;
        if self.registry.component(&component.component).is_none() {
            let names: Vec<&str> = self.components.keys().copied().collect();
            self.unknown(at.span, "component", &component.component, "components", &names);
            return None;
        }
        let stages = self.components.get(component.component.as_str()).map_or(&[][..], |spec| spec.stages);
        if !stages.contains(&stage) {
            let names = stages.iter().map(|stage| {
                serde_json::to_value(stage).ok().and_then(|name| name.as_str().map(|name| format!("`{name}`"))).unwrap_or_default()
            });
            let help = format!("it may stand in: {}", names.collect::<Vec<_>>().join(", "));
            self.error(
                code::CONFIG_VALUE,
                stage_span,
                format!("component `{}` cannot stand in stage `{stage_name}`", component.component),
                help,
            );
        }
        let settings = node.get("settings").cloned().unwrap_or_else(|| Node::new(at.span, Yaml::Map(Vec::new())));
        Some(Line { id: component.id.clone(), stage, component: component.component.clone(), settings })
    }

    /// The pipeline in the key `pipeline` of `owner`; pass-through when there is none.
    pub(super) fn pipeline(&mut self, used: Option<&PipelineUse>, owner: &Node, kind: PipelineKind) -> Option<PipelineRef> {
        let node = owner.get("pipeline");
        if node.is_some_and(|node| matches!(node.value, Yaml::Broken)) {
            return None;
        }
        let name = match used {
            Some(PipelineUse::Name(name)) => name.as_str(),
            Some(PipelineUse::Overridden(used)) => used.name.as_str(),
            None if kind == PipelineKind::Receive => "PassThruReceive",
            None => "PassThruTransmit",
        };
        let span = node.map_or(owner.span, |node| node.get("name").unwrap_or(node).span);
        let definition = match self.pipelines.by_name.get(name) {
            Some(definition) if definition.kind == kind => definition,
            Some(_) => {
                let (is, wanted) = if kind == PipelineKind::Receive { ("send", "receive") } else { ("receive", "send") };
                let names = self.pipeline_names(kind);
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let help = format!("{wanted} pipelines: {}", suggest::listing(&names));
                self.error(code::CONFIG_VALUE, span, format!("`{name}` is a {is} pipeline; a {wanted} pipeline is needed here"), help);
                return None;
            }
            None => {
                if !name.is_empty() {
                    let names = self.pipeline_names(kind);
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    self.unknown(span, "pipeline", name, "pipelines", &names);
                }
                return None;
            }
        };
        let mut lines = definition.components.clone();
        let changed = self.override_settings(&mut lines, node, name);
        let mut components = Vec::new();
        for line in &lines {
            let at = changed.get(line.id.as_deref().unwrap_or(&line.component)).copied().unwrap_or(span);
            components.push(self.component(line, name, at)?);
        }
        Some(PipelineRef { name: SmolStr::new(name), components })
    }

    fn pipeline_names(&self, kind: PipelineKind) -> Vec<String> {
        self.pipelines.by_name.iter().filter(|(_, definition)| definition.kind == kind).map(|(name, _)| name.clone()).collect()
    }

    /// Lays the overrides in `node` over the components; gives the place of each override.
    fn override_settings(&mut self, lines: &mut [Line], node: Option<&Node>, pipeline: &str) -> BTreeMap<String, Span> {
        let mut changed = BTreeMap::new();
        for change in node.and_then(|node| node.get("overrides")).map(Node::entries).unwrap_or_default() {
            match lines.iter_mut().find(|line| line.answers_to(&change.key)) {
                Some(line) => {
                    changed.insert(change.key.clone(), change.key_span);
                    line.settings = overlaid(&line.settings, change);
                }
                None => {
                    let names: Vec<&str> = lines.iter().map(|line| line.id.as_deref().unwrap_or(&line.component)).collect();
                    let help = suggest::unknown(&change.key, "its components", &names);
                    self.error(
                        code::CONFIG_REFERENCE,
                        change.key_span,
                        format!("pipeline `{pipeline}` has no component `{}`", change.key),
                        help,
                    );
                }
            }
        }
        changed
    }

    /// A component with its settings checked. `span` is where to point at for the whole.
    fn component(&mut self, line: &Line, pipeline: &str, span: Span) -> Option<ComponentRef> {
        let Some(factory) = self.registry.component(&line.component) else {
            self.error(
                code::CONFIG_REFERENCE,
                span,
                format!("pipeline `{pipeline}` needs the component `{}`, which this installation lacks", line.component),
                "use another pipeline",
            );
            return None;
        };
        let before = self.report.count(Severity::Error);
        let schema = self.components.get(line.component.as_str())?.settings.clone();
        let settings = check_shape(self.report, &schema, line.settings.clone(), &format!("`{}`", line.component))?;
        if self.report.count(Severity::Error) > before || !settings.is_sound() {
            return None;
        }
        let json = settings.json();
        if let Err(message) = factory.prepare(&json, &self.schemas) {
            self.component_problem(&line.component, &settings, &message, span);
            return None;
        }
        Some(ComponentRef { stage: line.stage, component: SmolStr::new(&line.component), settings: json })
    }

    /// Components say what is wrong as `setting: words with "value"`: that leads to the place.
    fn component_problem(&mut self, component: &str, settings: &Node, message: &str, span: Span) {
        let named = message.split_once(": ").and_then(|(key, words)| Some((settings.entry(key)?, words)));
        let (place, words) = match named {
            Some((entry, words)) => {
                (quoted(&entry.value, words).map_or(entry.key_span, |node| node.span), format!("`{}`: {words}", entry.key))
            }
            None => (quoted(settings, message).map_or(span, |node| node.span), format!("component `{component}`: {message}")),
        };
        let schemas = self.schemas.clone();
        let names = schemas.documents().map(|document| document.name.as_str());
        let value = quoted(settings, message).and_then(Node::text).filter(|value| schemas.by_name(value).is_none());
        let nearest = value.and_then(|value| suggest::nearest(value, names));
        self.report
            .push(Diagnostic::error(code::CONFIG_VALUE, place, words).maybe_help(nearest.map(|name| format!("did you mean `{name}`?"))));
    }
}

fn overlaid(settings: &Node, change: &Entry) -> Node {
    let mut result = settings.clone();
    if let (Yaml::Map(own), Yaml::Map(changes)) = (&mut result.value, &change.value.value) {
        for entry in changes {
            own.retain(|own| own.key != entry.key);
            own.push(entry.clone());
        }
        result.span = change.value.span;
    }
    result
}

/// The text that a message quotes.
fn quoted<'a>(settings: &'a Node, message: &str) -> Option<&'a Node> {
    match &settings.value {
        Yaml::Text(text) => (!text.value.is_empty() && message.contains(&format!("\"{}\"", text.value))).then_some(settings),
        Yaml::List(items) => items.iter().find_map(|item| quoted(item, message)),
        Yaml::Map(entries) => entries.iter().find_map(|entry| quoted(&entry.value, message)),
        _ => None,
    }
}
