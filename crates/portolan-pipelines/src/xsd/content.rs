//! Content models: which field of a document a path means, and of what built-in type it is.

use super::{
    index::{At, Index, Kind},
    tree::{ROOT, Tree, XS},
};
use crate::xpath::{Path, Test};
use portolan_model::SmolStr;
use std::collections::BTreeSet;

/// What a path through a schema leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// An element or attribute of simple content.
    Field {
        /// Built-in type by local name; `None` when it cannot be known.
        built_in: Option<SmolStr>,
        /// Default or fixed value.
        default: Option<String>,
        /// Whether it can occur more than once.
        repeats: bool,
    },
    /// An element with child elements.
    Record,
    /// Nothing: the schema has no such field.
    Absent,
    /// It cannot be said: wildcards or schemas that are not there.
    Unknown,
}

/// All files with their index.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// Files.
    pub trees: &'a [Tree],
    /// Global components.
    pub index: &'a Index,
}

/// What a type turned out to be.
enum Type {
    Simple(Option<SmolStr>),
    Complex(Vec<At>),
    Unknown,
}

/// What was found while looking for a child.
#[derive(Default)]
struct Search {
    found: Option<(At, bool)>,
    uncertain: bool,
}

impl Model<'_> {
    /// Follows a path from a global element.
    #[must_use]
    pub fn follow(&self, root: At, path: &Path) -> Target {
        let (file, node) = root;
        let name = self.trees[file].attribute(node, "name").unwrap_or_default();
        match path.steps.first() {
            Some(first) if first.test.accepts(&self.trees[file].target, name) => {}
            _ => return Target::Absent,
        }
        let (mut at, mut repeats) = (root, false);
        for step in &path.steps[1..] {
            let content = match self.type_of(at) {
                Type::Complex(content) => content,
                Type::Simple(_) => return Target::Absent,
                Type::Unknown => return Target::Unknown,
            };
            let search = self.child(content, &step.test, false);
            match search.found {
                Some((found, many)) => {
                    at = found;
                    repeats |= many && step.position.is_none();
                }
                None if search.uncertain => return Target::Unknown,
                None => return Target::Absent,
            }
        }
        match &path.attribute {
            None => self.field(at, repeats),
            Some(test) => match self.type_of(at) {
                Type::Complex(content) => {
                    let search = self.child(content, test, true);
                    match search.found {
                        Some((found, _)) => self.field(found, repeats),
                        None if search.uncertain => Target::Unknown,
                        None => Target::Absent,
                    }
                }
                Type::Simple(_) => Target::Absent,
                Type::Unknown => Target::Unknown,
            },
        }
    }

    fn field(&self, at: At, repeats: bool) -> Target {
        let (file, node) = self.declaration(at).unwrap_or(at);
        let value = |name: &str| {
            let own = self.trees[at.0].attribute(at.1, name);
            own.or_else(|| self.trees[file].attribute(node, name)).map(str::to_owned)
        };
        let default = value("fixed").or_else(|| value("default"));
        match self.type_of(at) {
            Type::Simple(built_in) => Target::Field { built_in, default, repeats },
            Type::Complex(content) => match self.simple_content(&content) {
                Some(built_in) => Target::Field { built_in, default, repeats },
                None => Target::Record,
            },
            Type::Unknown => Target::Unknown,
        }
    }

    /// The declaration that `ref` means, or the node itself.
    fn declaration(&self, (file, node): At) -> Option<At> {
        let tree = &self.trees[file];
        let Some(name) = tree.attribute(node, "ref") else { return Some((file, node)) };
        let kind = if tree.xs(node) == "attribute" { Kind::Attribute } else { Kind::Element };
        self.index.find(kind, &tree.qualified(node, name))
    }

    fn type_of(&self, at: At) -> Type {
        let Some((file, node)) = self.declaration(at) else { return Type::Unknown };
        let tree = &self.trees[file];
        if let Some(name) = tree.attribute(node, "type") {
            return self.named_type(tree.qualified(node, name));
        }
        match tree.children(node).iter().copied().find(|c| matches!(tree.xs(*c), "simpleType" | "complexType")) {
            Some(inline) => self.type_at((file, inline)),
            None if tree.xs(node) == "attribute" => Type::Simple(Some("anySimpleType".into())),
            None => Type::Unknown,
        }
    }

    fn named_type(&self, name: (SmolStr, SmolStr)) -> Type {
        if name.0 == XS {
            return if name.1 == "anyType" { Type::Unknown } else { Type::Simple(Some(name.1)) };
        }
        self.index.find(Kind::Type, &name).map_or(Type::Unknown, |at| self.type_at(at))
    }

    fn type_at(&self, (file, node): At) -> Type {
        match self.trees[file].xs(node) {
            "simpleType" => Type::Simple(self.built_in((file, node))),
            _ => Type::Complex(vec![(file, node)]),
        }
    }

    /// The built-in type that a simple type restricts. Lists and unions are text.
    pub fn built_in(&self, start: At) -> Option<SmolStr> {
        let mut at = start;
        // A type that derives from itself is a mistake; it must not hang the server.
        for _ in 0..64 {
            let (file, node) = at;
            let tree = &self.trees[file];
            let child =
                tree.children(node).iter().copied().find(|c| matches!(tree.xs(*c), "restriction" | "extension" | "list" | "union"))?;
            if matches!(tree.xs(child), "list" | "union") {
                return Some("string".into());
            }
            at = match tree.attribute(child, "base") {
                Some(base) => {
                    let name = tree.qualified(child, base);
                    if name.0 == XS {
                        return Some(name.1);
                    }
                    self.index.find(Kind::Type, &name)?
                }
                None => (file, tree.named(child, XS, "simpleType").next()?),
            };
            let (file, node) = at;
            if let Some(content) = self.trees[file].named(node, XS, "simpleContent").next() {
                at = (file, content);
            }
        }
        None
    }

    /// The built-in type of a complex type with simple content; `None` when its content is elements.
    fn simple_content(&self, content: &[At]) -> Option<Option<SmolStr>> {
        content.iter().find_map(|(file, node)| {
            let simple = self.trees[*file].named(*node, XS, "simpleContent").next()?;
            Some(self.built_in((*file, simple)))
        })
    }

    /// Looks for a child element or an attribute in a content model.
    fn child(&self, content: Vec<At>, test: &Test, attributes: bool) -> Search {
        let mut search = Search::default();
        let mut seen = BTreeSet::new();
        let mut work: Vec<(At, bool)> = content.into_iter().map(|at| (at, false)).collect();
        while let Some(((file, node), repeats)) = work.pop() {
            if !seen.insert((file, node, repeats)) {
                continue;
            }
            let tree = &self.trees[file];
            let many = repeats || tree.attribute(node, "maxOccurs").is_some_and(|m| !matches!(m.trim(), "0" | "1"));
            let mut follow = |kind: Kind, attribute: &str, search: &mut Search| {
                if let Some(name) = tree.attribute(node, attribute) {
                    match self.index.find(kind, &tree.qualified(node, name)) {
                        Some(at) => work.push((at, many)),
                        None if tree.qualified(node, name).0 == XS => search.uncertain |= name.ends_with("anyType"),
                        None => search.uncertain = true,
                    }
                }
            };
            match tree.xs(node) {
                "element" | "attribute" => {
                    if (tree.xs(node) == "attribute") == attributes && self.is_named((file, node), test, attributes) {
                        // The first declaration in the order of the file counts.
                        search.found = Some(((file, node), many));
                    }
                    continue;
                }
                "any" => search.uncertain |= !attributes,
                "anyAttribute" => search.uncertain |= attributes,
                "group" => follow(Kind::Group, "ref", &mut search),
                "attributeGroup" => follow(Kind::AttributeGroup, "ref", &mut search),
                "extension" | "restriction" => follow(Kind::Type, "base", &mut search),
                "annotation" | "simpleType" => continue,
                _ => {}
            }
            work.extend(tree.children(node).iter().map(|child| ((file, *child), many)));
        }
        search
    }

    fn is_named(&self, (file, node): At, test: &Test, attribute: bool) -> bool {
        let tree = &self.trees[file];
        if let Some(name) = tree.attribute(node, "ref") {
            let (namespace, local) = tree.qualified(node, name);
            return test.accepts(&namespace, &local);
        }
        let Some(local) = tree.attribute(node, "name") else { return false };
        let default = if attribute { "attributeFormDefault" } else { "elementFormDefault" };
        let form = tree.attribute(node, "form").or_else(|| tree.attribute(ROOT, default));
        if form.is_none_or(|f| f.trim() != "qualified") {
            return test.accepts("", local);
        }
        if self.index.is_chameleon(file) {
            return test.local.as_deref().is_none_or(|l| l == local);
        }
        test.accepts(&tree.target, local)
    }
}
