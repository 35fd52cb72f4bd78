//! Text of an expression to its steps.

/// What a step demands of a name; `None` demands nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Test {
    /// Local name.
    pub local: Option<String>,
    /// Namespace; empty for none.
    pub namespace: Option<String>,
}

impl Test {
    /// Whether the name passes.
    #[must_use]
    pub fn accepts(&self, namespace: &str, local: &str) -> bool {
        self.local.as_deref().is_none_or(|l| l == local) && self.namespace.as_deref().is_none_or(|n| n == namespace)
    }
}

/// One step down to an element.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Step {
    /// The name.
    pub test: Test,
    /// Only the n-th, from 1, among the siblings that pass the test.
    pub position: Option<u32>,
}

/// A compiled expression.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// Steps from the root element.
    pub steps: Vec<Step>,
    /// The attribute of the last element, if the path ends in one.
    pub attribute: Option<Test>,
}

/// Compiles an expression.
///
/// # Errors
/// What is not understood, in words that name the place in the expression.
pub fn parse(expression: &str) -> Result<Path, String> {
    let mut parser = Parser { text: expression, rest: expression };
    let mut path = Path { steps: Vec::new(), attribute: None };
    parser.blanks();
    loop {
        if parser.rest.starts_with("//") {
            return Err(parser.wrong("\"//\" would have to search the whole document: write the path from the root"));
        }
        if !parser.take("/") {
            return Err(parser.wrong(if path.steps.is_empty() { "the path must start with \"/\"" } else { "expected \"/\"" }));
        }
        parser.blanks();
        if parser.take("@") {
            if path.steps.is_empty() {
                return Err(parser.wrong("an attribute needs an element before it"));
            }
            let step = parser.step()?;
            if step.position.is_some() {
                return Err(parser.wrong("an attribute has no position"));
            }
            path.attribute = Some(step.test);
        } else {
            path.steps.push(parser.step()?);
        }
        parser.blanks();
        if parser.rest.is_empty() {
            return Ok(path);
        }
        if path.attribute.is_some() {
            return Err(parser.wrong("nothing can follow an attribute"));
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn wrong(&self, what: &str) -> String {
        let at = self.text[..self.text.len() - self.rest.len()].chars().count() + 1;
        format!(
            "{what} (character {at} of the XPath). Supported are absolute paths of names, \"*\" and the tests \
             local-name()='...' and namespace-uri()='...', with an optional position such as [1], ending in an element or an attribute"
        )
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        self.blanks();
        if self.take(token) { Ok(()) } else { Err(self.wrong(&format!("expected \"{token}\""))) }
    }

    fn step(&mut self) -> Result<Step, String> {
        let mut step = Step::default();
        if !self.take("*") {
            let end = self.rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            if name.is_empty() || name.starts_with(|c: char| c.is_numeric() || matches!(c, '-' | '.')) {
                return Err(self.wrong("expected a name or \"*\""));
            }
            if rest.starts_with(':') {
                return Err(self.wrong("a prefix has no meaning here: use local-name() and namespace-uri()"));
            }
            if rest.starts_with('(') {
                return Err(self.wrong(&format!("the function or node test {name}() is not supported")));
            }
            step.test = Test { local: Some(name.to_owned()), namespace: Some(String::new()) };
            self.rest = rest;
        }
        loop {
            self.blanks();
            if !self.take("[") {
                return Ok(step);
            }
            self.predicate(&mut step)?;
        }
    }

    fn predicate(&mut self, step: &mut Step) -> Result<(), String> {
        self.blanks();
        let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        if digits > 0 {
            self.position(step, digits)?;
            return self.expect("]");
        }
        if self.take("position()") {
            self.expect("=")?;
            self.blanks();
            let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            self.position(step, digits)?;
            return self.expect("]");
        }
        loop {
            self.condition(step)?;
            self.blanks();
            if self.take("]") {
                return Ok(());
            }
            if !self.take("and") {
                return Err(self.wrong("expected \"and\" or \"]\""));
            }
            self.blanks();
        }
    }

    fn position(&mut self, step: &mut Step, digits: usize) -> Result<(), String> {
        let number = self.rest[..digits].parse().ok().filter(|n: &u32| *n > 0).ok_or_else(|| self.wrong("expected a position from 1"))?;
        if step.position.is_some() {
            return Err(self.wrong("a step has one position"));
        }
        step.position = Some(number);
        self.rest = &self.rest[digits..];
        Ok(())
    }

    fn condition(&mut self, step: &mut Step) -> Result<(), String> {
        if step.position.is_some() {
            return Err(self.wrong("the position must be the last test of a step"));
        }
        let is_local = self.take("local-name");
        if !is_local && !self.take("namespace-uri") {
            return Err(self.wrong("expected local-name() or namespace-uri()"));
        }
        self.expect("(")?;
        self.blanks();
        self.take(".");
        self.expect(")")?;
        self.expect("=")?;
        self.blanks();
        let value = self.literal()?.to_owned();
        let slot = if is_local { &mut step.test.local } else { &mut step.test.namespace };
        if slot.as_ref().is_some_and(|old| *old != value) {
            return Err(self.wrong("a step tests the same name twice, with different values"));
        }
        *slot = Some(value);
        Ok(())
    }

    fn literal(&mut self) -> Result<&'a str, String> {
        let quote = self.rest.chars().next().filter(|q| matches!(q, '\'' | '"')).ok_or_else(|| self.wrong("expected a text in quotes"))?;
        let (value, rest) = self.rest[1..].split_once(quote).ok_or_else(|| self.wrong("a text in quotes has no end"))?;
        self.rest = rest;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(local: Option<&str>, namespace: Option<&str>) -> Test {
        Test { local: local.map(str::to_owned), namespace: namespace.map(str::to_owned) }
    }

    #[test]
    fn the_forms_that_schema_editors_write_are_read() {
        let path = parse(
            "/*[local-name()='A' and namespace-uri()='urn:a']/*[ namespace-uri () = \"\"  and local-name(.)='B' ]/@*[local-name()='c']",
        )
        .unwrap();
        assert_eq!(path.steps[0].test, test(Some("A"), Some("urn:a")));
        assert_eq!(path.steps[1].test, test(Some("B"), Some("")));
        assert_eq!(path.attribute, Some(test(Some("c"), None)));
        let path = parse(" /*/Name[2]/*[local-name()='C'][position()=1]/@id").unwrap();
        assert_eq!(path.steps[0], Step::default());
        assert_eq!(path.steps[1], Step { test: test(Some("Name"), Some("")), position: Some(2) });
        assert_eq!(path.steps[2].position, Some(1));
        assert_eq!(path.attribute, Some(test(Some("id"), Some(""))));
    }

    #[test]
    fn everything_else_is_refused_with_its_place() {
        for (text, want) in [
            ("", "start with"),
            ("a/b", "start with"),
            ("//a", "search the whole"),
            ("/a//b", "search the whole"),
            ("/a/text()", "text() is not supported"),
            ("/p:a", "prefix"),
            ("/a[@id='1']", "expected local-name()"),
            ("/a[b]", "expected local-name()"),
            ("/a[0]", "position from 1"),
            ("/a[1][local-name()='x']", "last test"),
            ("/a/@b/c", "follow an attribute"),
            ("/@b", "needs an element"),
            ("/a[local-name()='x", "no end"),
            ("/*[local-name()='x' or 1]", "expected \"and\""),
            ("/a/..", "expected a name"),
            ("/a/", "expected a name"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
        assert!(parse("/ä[1]/x y").unwrap_err().contains("character 9"));
    }
}
