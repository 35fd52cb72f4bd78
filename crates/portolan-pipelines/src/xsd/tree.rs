//! A schema file in memory: a small tree of elements that knows lines, columns and namespace prefixes.

use crate::xml::{Input, Limits, Reader, Token, XmlError};
use portolan_model::SmolStr;
use portolan_sdk::Body;
use std::path::PathBuf;

/// Namespace of XML Schema.
pub const XS: &str = "http://www.w3.org/2001/XMLSchema";
/// Namespace of the product's schema annotations.
pub const B: &str = "http://schemas.microsoft.com/BizTalk/2003";

/// A file read.
pub struct Tree {
    /// Where it is.
    pub path: PathBuf,
    /// Its path from the schema folder, with `/`: for messages.
    pub shown: String,
    /// `targetNamespace` of the schema; empty for none.
    pub target: SmolStr,
    nodes: Vec<Node>,
}

struct Node {
    namespace: SmolStr,
    local: SmolStr,
    attributes: Vec<(SmolStr, String)>,
    declared: Vec<(SmolStr, SmolStr)>,
    parent: Option<usize>,
    children: Vec<usize>,
    offset: usize,
    line: u64,
    column: u64,
}

/// Number of the root element, `xs:schema`.
pub const ROOT: usize = 0;

impl Tree {
    /// Reads a file's bytes. Attributes in a namespace are left out: schemas have none that matter.
    ///
    /// # Errors
    /// When it is no XML.
    pub fn read(path: PathBuf, shown: String, bytes: Vec<u8>) -> Result<Self, XmlError> {
        let limits = Limits { total_bytes: 256 << 20, ..Limits::default() };
        let input = Input::open(Body::from_bytes(bytes), None, limits.total_bytes)?;
        let mut reader = Reader::new(input, limits);
        let mut tree = Self { path, shown, target: SmolStr::default(), nodes: Vec::new() };
        let mut open: Vec<usize> = Vec::new();
        loop {
            match reader.next_token()? {
                Token::Start => {
                    let number = tree.add(&reader, open.last().copied());
                    if !reader.is_empty_element() {
                        open.push(number);
                    }
                }
                Token::End => drop(open.pop()),
                Token::Eof => break,
                _ => {}
            }
        }
        tree.place_nodes(reader.input().window());
        tree.target = tree.attribute(ROOT, "targetNamespace").unwrap_or_default().trim().into();
        Ok(tree)
    }

    fn add(&mut self, reader: &Reader, parent: Option<usize>) -> usize {
        let number = self.nodes.len();
        let (namespace, local) = reader.name();
        let own = |(namespace, local, value): (&str, &str, std::borrow::Cow<'_, str>)| {
            namespace.is_empty().then(|| (SmolStr::new(local), value.into_owned()))
        };
        let declared = reader.scope().declared(reader.depth()).map(|(p, u)| (p.into(), u.into())).collect();
        self.nodes.push(Node {
            namespace: namespace.into(),
            local: local.into(),
            attributes: reader.attributes().filter_map(own).collect(),
            declared,
            parent,
            children: Vec::new(),
            offset: usize::try_from(reader.offset()).unwrap_or(0),
            line: 0,
            column: 0,
        });
        if let Some(parent) = parent {
            self.nodes[parent].children.push(number);
        }
        number
    }

    /// Finds lines and columns in one pass: nodes are in the order of the text.
    fn place_nodes(&mut self, text: &[u8]) {
        let (mut line, mut column, mut at) = (1, 1, 0);
        for node in &mut self.nodes {
            for byte in &text[at..node.offset] {
                if *byte == b'\n' {
                    line += 1;
                    column = 1;
                } else if byte & 0xC0 != 0x80 {
                    column += 1;
                }
            }
            at = node.offset;
            (node.line, node.column) = (line, column);
        }
    }

    /// Whether the node is an element of this name.
    #[must_use]
    pub fn is(&self, node: usize, namespace: &str, local: &str) -> bool {
        let node = &self.nodes[node];
        node.local == local && node.namespace == namespace
    }

    /// Local name of an XML Schema element; empty for elements of other namespaces.
    #[must_use]
    pub fn xs(&self, node: usize) -> &str {
        let node = &self.nodes[node];
        if node.namespace == XS { &node.local } else { "" }
    }

    /// An attribute without namespace.
    #[must_use]
    pub fn attribute(&self, node: usize, name: &str) -> Option<&str> {
        self.nodes[node].attributes.iter().find(|(local, _)| local == name).map(|(_, value)| value.as_str())
    }

    /// Whether an attribute says yes.
    #[must_use]
    pub fn is_yes(&self, node: usize, name: &str) -> bool {
        matches!(self.attribute(node, name).map(str::trim), Some("yes" | "true" | "1" | "True" | "Yes"))
    }

    /// Child elements.
    #[must_use]
    pub fn children(&self, node: usize) -> &[usize] {
        &self.nodes[node].children
    }

    /// Child elements of a name.
    pub fn named<'t>(&'t self, node: usize, namespace: &'t str, local: &'t str) -> impl Iterator<Item = usize> + 't {
        self.children(node).iter().copied().filter(move |child| self.is(*child, namespace, local))
    }

    /// The namespace a prefix stands for at a node.
    #[must_use]
    pub fn namespace_of(&self, node: usize, prefix: &str) -> Option<&SmolStr> {
        let mut at = Some(node);
        while let Some(number) = at {
            let node = &self.nodes[number];
            if let Some((_, uri)) = node.declared.iter().find(|(p, _)| p == prefix) {
                return Some(uri);
            }
            at = node.parent;
        }
        None
    }

    /// A qualified name in an attribute, for example `tns:Money`, as namespace and local name.
    #[must_use]
    pub fn qualified(&self, node: usize, value: &str) -> (SmolStr, SmolStr) {
        let value = value.trim();
        let (prefix, local) = value.split_once(':').unwrap_or(("", value));
        (self.namespace_of(node, prefix).cloned().unwrap_or_default(), local.into())
    }

    /// Line and column of a node, from 1.
    #[must_use]
    pub fn place(&self, node: usize) -> (u64, u64) {
        self.nodes.get(node).map_or((0, 0), |n| (n.line, n.column))
    }
}
