//! Filters: read by the engine; what it finds is mapped back into the text of the YAML file.

use super::Resolver;
use crate::config::{
    diagnostic::{Diagnostic, Severity},
    locate,
    yaml::Node,
};
use portolan_engine::filter::{FilterProblem, Level, parse};
use portolan_model::{Name, ValueType, code, filter::Filter};

impl Resolver<'_> {
    /// The filter in the key `filter` of `owner`; matches nothing when there is none.
    pub(super) fn filter(&mut self, filter: Option<&str>, owner: &Node) -> Filter {
        let (Some(text), Some(node)) = (filter, owner.get("filter")) else { return Filter::default() };
        let schemas = self.schemas.clone();
        let system = self.system.clone();
        let lookup = |name: &str| -> Option<(Name, ValueType)> {
            if let Some(property) = schemas.property(name) {
                return Some((property.name.clone(), property.value_type));
            }
            let own = schemas.properties().map(|property| (&property.name, property.value_type));
            let built_in = system.iter().map(|property| (&property.name, property.value_type));
            own.chain(built_in).find(|(known, _)| answers_to(known, name)).map(|(known, value_type)| (known.clone(), value_type))
        };
        let known = schemas.properties().map(|property| property.alias.clone());
        let known = known.chain(system.iter().filter(|property| property.promoted).map(|property| property.name.to_string()));
        match parse(text, &lookup, known) {
            Ok(parsed) => {
                parsed.warnings.iter().for_each(|problem| self.filter_problem(problem, text, node));
                parsed.filter
            }
            Err(problems) => {
                problems.iter().for_each(|problem| self.filter_problem(problem, text, node));
                Filter::default()
            }
        }
    }

    fn filter_problem(&mut self, problem: &FilterProblem, text: &str, node: &Node) {
        let span = self.report.sources.get(node.span.file).map_or(node.span, |source| locate::within(source, node, problem.span.clone()));
        // Whether a name does not exist or a statement is wrong: the operator looks up another page.
        let is_name =
            text.get(problem.span.clone()).is_some_and(|word| problem.message.contains("no property") && problem.message.contains(word));
        let code = if is_name { code::CONFIG_REFERENCE } else { code::CONFIG_VALUE };
        let mut found = Diagnostic::error(code, span, problem.message.clone()).help(problem.help.clone());
        if problem.level == Level::Warning {
            found.severity = Severity::Warning;
        }
        self.report.push(found);
    }
}

/// Whether a property is meant by `{namespace}name` or `Prefix.Name`.
fn answers_to(property: &Name, text: &str) -> bool {
    match text.strip_prefix('{').and_then(|rest| rest.rsplit_once('}')) {
        Some((namespace, local)) => property.namespace == namespace && property.local == local,
        None => text.ends_with(property.local.as_str()) && property.to_string() == text,
    }
}
