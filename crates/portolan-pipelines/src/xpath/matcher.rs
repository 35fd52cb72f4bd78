//! Many expressions matched in one pass: a trie over their steps, walked by start and end of elements.

use super::parse::{Path, Step, Test};

/// Expressions merged by their common steps. Each is known by the number it was added with.
#[derive(Debug)]
pub struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    edges: Vec<Edge>,
    elements: Vec<usize>,
    attributes: Vec<(Test, usize)>,
}

#[derive(Debug)]
struct Edge {
    step: Step,
    target: usize,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Trie {
    /// Adds an expression under a number.
    pub fn add(&mut self, path: &Path, number: usize) {
        let mut at = 0;
        for step in &path.steps {
            at = match self.nodes[at].edges.iter().find(|e| e.step == *step) {
                Some(edge) => edge.target,
                None => {
                    let target = self.nodes.len();
                    self.nodes.push(Node::default());
                    self.nodes[at].edges.push(Edge { step: step.clone(), target });
                    target
                }
            };
        }
        match &path.attribute {
            Some(test) => self.nodes[at].attributes.push((test.clone(), number)),
            None => self.nodes[at].elements.push(number),
        }
    }
}

/// The state of matching at a place in a document. Its size depends on the expressions and their
/// depth, never on the document.
#[derive(Debug, Default)]
pub struct Matcher {
    /// Trie nodes that the open elements have reached, those of one element together.
    active: Vec<usize>,
    /// Where the nodes of each open element that reached any begin.
    frames: Vec<usize>,
    /// Open elements below the last that reached a node.
    below: usize,
    /// How often each edge with a position has passed: depth, node, edge, count.
    counts: Vec<(usize, usize, usize, u32)>,
}

impl Matcher {
    /// Enters an element. Returns whether any expression goes through it; then [`Matcher::elements`] and
    /// [`Matcher::attributes`] tell which end here. `name` is asked only when an expression could match.
    #[inline]
    pub fn start<'n>(&mut self, trie: &Trie, name: impl FnOnce() -> (&'n str, &'n str)) -> bool {
        if self.below > 0 {
            self.below += 1;
            return false;
        }
        let (from, to) = match self.frames.last() {
            Some(from) => (*from, self.active.len()),
            None => (0, 0),
        };
        let (namespace, local) = name();
        if self.frames.is_empty() {
            self.step(trie, 0, namespace, local);
        } else {
            for at in from..to {
                self.step(trie, self.active[at], namespace, local);
            }
        }
        if self.active.len() == to {
            self.below = 1;
            return false;
        }
        self.frames.push(to);
        true
    }

    fn step(&mut self, trie: &Trie, node: usize, namespace: &str, local: &str) {
        for (index, edge) in trie.nodes[node].edges.iter().enumerate() {
            if !edge.step.test.accepts(namespace, local) {
                continue;
            }
            if let Some(wanted) = edge.step.position
                && self.count(node, index) != wanted
            {
                continue;
            }
            self.active.push(edge.target);
        }
    }

    fn count(&mut self, node: usize, edge: usize) -> u32 {
        let depth = self.frames.len();
        let known = self.counts.iter_mut().rev().find(|(d, n, e, _)| (*d, *n, *e) == (depth, node, edge));
        match known {
            Some((.., count)) => {
                *count = count.saturating_add(1);
                *count
            }
            None => {
                self.counts.push((depth, node, edge, 1));
                1
            }
        }
    }

    /// Leaves an element.
    #[inline]
    pub fn end(&mut self) {
        if self.below > 0 {
            self.below -= 1;
            return;
        }
        if let Some(from) = self.frames.pop() {
            self.active.truncate(from);
            let depth = self.frames.len();
            while self.counts.last().is_some_and(|(d, ..)| *d > depth) {
                self.counts.pop();
            }
        }
    }

    fn reached(&self) -> &[usize] {
        match self.frames.last() {
            Some(from) if self.below == 0 => &self.active[*from..],
            _ => &[],
        }
    }

    /// Numbers of the expressions that name the element just entered.
    pub fn elements<'a>(&'a self, trie: &'a Trie) -> impl Iterator<Item = usize> + 'a {
        self.reached().iter().flat_map(|node| trie.nodes[*node].elements.iter().copied())
    }

    /// Expressions that name an attribute of the element just entered: the test and the number.
    pub fn attributes<'a>(&'a self, trie: &'a Trie) -> impl Iterator<Item = (&'a Test, usize)> + 'a {
        self.reached().iter().flat_map(|node| trie.nodes[*node].attributes.iter().map(|(test, number)| (test, *number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xpath::parse;

    /// Walks `a(b c(d))`-like names and returns which expressions name which element.
    fn walk(expressions: &[&str], document: &str) -> Vec<(String, usize)> {
        let mut trie = Trie::default();
        for (number, expression) in expressions.iter().enumerate() {
            trie.add(&parse(expression).unwrap(), number);
        }
        let (mut matcher, mut found, mut open) = (Matcher::default(), Vec::new(), Vec::new());
        for token in document.split_whitespace() {
            if token == ")" {
                matcher.end();
                open.pop();
                continue;
            }
            let name = token.trim_end_matches('(');
            matcher.start(&trie, || ("", name));
            open.push(name);
            found.extend(matcher.elements(&trie).map(|number| (open.join("/"), number)));
        }
        found
    }

    #[test]
    fn expressions_match_at_their_depth_only() {
        let found = walk(&["/a/b", "/*/b/c", "/b"], "a( b( c( ) c( x( ) ) ) x( b( ) ) b( ) )");
        let want = [("a/b", 0), ("a/b/c", 1), ("a/b/c", 1), ("a/b", 0)];
        assert_eq!(found, want.map(|(p, n)| (p.to_owned(), n)));
    }

    #[test]
    fn positions_count_matching_siblings_of_one_parent() {
        let found = walk(&["/a/b[2]", "/a/*[1]/c[1]", "/a/b"], "a( x( c( ) c( ) ) b( c( ) ) x( ) b( ) b( ) )");
        let want = [("a/x/c", 1), ("a/b", 2), ("a/b", 0), ("a/b", 2), ("a/b", 2)];
        assert_eq!(found, want.map(|(p, n)| (p.to_owned(), n)));
    }
}
