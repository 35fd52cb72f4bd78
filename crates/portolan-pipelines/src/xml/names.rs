//! The stack of open elements and the namespace declarations in scope. Both live in one growing buffer
//! each, so that an element costs no allocation.

use super::limits::Limits;

/// The namespace of the prefix `xml`.
pub const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of the prefix `xmlns`.
pub const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// Names of the open elements, as written.
#[derive(Default)]
pub struct OpenElements {
    names: Vec<u8>,
    starts: Vec<usize>,
}

impl OpenElements {
    /// How many elements are open.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.starts.len()
    }

    /// The name of the innermost open element; empty when none is open.
    #[must_use]
    pub fn top(&self) -> &[u8] {
        self.starts.last().map_or(&[], |start| &self.names[*start..])
    }

    /// Opens an element; false when the limit of depth is reached.
    pub fn push(&mut self, name: &[u8], limits: &Limits) -> bool {
        if self.starts.len() >= limits.depth as usize {
            return false;
        }
        self.starts.push(self.names.len());
        self.names.extend_from_slice(name);
        true
    }

    /// Closes the innermost element.
    pub fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.names.truncate(start);
        }
    }
}

#[derive(Clone, Copy)]
struct Binding {
    prefix: usize,
    uri: usize,
    end: usize,
    depth: usize,
}

/// Namespace declarations in scope.
#[derive(Default)]
pub struct Scope {
    text: String,
    bindings: Vec<Binding>,
}

impl Scope {
    /// Declares a prefix (empty: the default namespace) on the element at `depth`.
    pub fn declare(&mut self, prefix: &str, uri: &str, depth: usize) {
        let at = self.text.len();
        self.text.push_str(prefix);
        self.text.push_str(uri);
        self.bindings.push(Binding { prefix: at, uri: at + prefix.len(), end: self.text.len(), depth });
    }

    /// How many declarations there are, those of all open elements together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Forgets the declarations of the element at `depth` and below.
    #[inline]
    pub fn leave(&mut self, depth: usize) {
        while let Some(last) = self.bindings.last().filter(|b| b.depth >= depth) {
            self.text.truncate(last.prefix);
            self.bindings.pop();
        }
    }

    /// The namespace of a prefix; the default namespace, maybe none (empty), for the empty prefix.
    /// `None` when the prefix is not declared.
    #[inline]
    #[must_use]
    pub fn resolve(&self, prefix: &str) -> Option<&str> {
        for binding in self.bindings.iter().rev() {
            if &self.text[binding.prefix..binding.uri] == prefix {
                return Some(&self.text[binding.uri..binding.end]);
            }
        }
        match prefix {
            "" => Some(""),
            "xml" => Some(XML_NAMESPACE),
            _ => None,
        }
    }

    /// The declarations that the element at `depth`, the innermost, makes itself.
    pub fn declared(&self, depth: usize) -> impl Iterator<Item = (&str, &str)> {
        let own = self.bindings.iter().filter(move |b| b.depth == depth);
        own.map(|b| (&self.text[b.prefix..b.uri], &self.text[b.uri..b.end]))
    }

    /// The declarations that an element at `depth` inherits and does not make itself, in order of
    /// declaration.
    #[must_use]
    pub fn inherited(&self, depth: usize) -> Vec<(&str, &str)> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for binding in self.bindings.iter().rev() {
            let (prefix, uri) = (&self.text[binding.prefix..binding.uri], &self.text[binding.uri..binding.end]);
            if seen.contains(&prefix) {
                continue;
            }
            seen.push(prefix);
            if binding.depth < depth && !uri.is_empty() {
                found.push((prefix, uri));
            }
        }
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_declarations_hide_outer_ones_until_they_end() {
        let mut scope = Scope::default();
        scope.declare("", "urn:a", 1);
        scope.declare("p", "urn:p", 1);
        scope.declare("", "", 2);
        assert_eq!((scope.resolve(""), scope.resolve("p"), scope.resolve("q")), (Some(""), Some("urn:p"), None));
        assert_eq!(scope.inherited(2), [("p", "urn:p")]);
        scope.leave(2);
        assert_eq!(scope.resolve(""), Some("urn:a"));
        assert_eq!(scope.inherited(3), [("", "urn:a"), ("p", "urn:p")]);
        scope.leave(1);
        assert_eq!(scope.resolve(""), Some(""));
        assert_eq!(scope.resolve("xml"), Some(XML_NAMESPACE));
    }
}
