//! From a path in a JSON document to the line and column where its key was typed.
//!
//! serde_json knows where it stopped reading, which is the end of what is wrong or later. This
//! scans a text that serde_json has already found well-formed, and remembers where each key (in
//! arrays: each element) and each value begins.

use super::json_path::{JsonPath, Step};

/// A place in a text, both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within it.
    pub column: usize,
}

/// Knows where everything in one document was typed.
pub(in crate::control) struct Locator<'t> {
    text: &'t str,
    root: Node,
}

struct Node {
    /// Where the key begins, or the element, or the document.
    typed_at: usize,
    /// The text of the value.
    value: std::ops::Range<usize>,
    children: Vec<(Step, Node)>,
}

impl<'t> Locator<'t> {
    /// Scans a well-formed document.
    pub(in crate::control) fn new(text: &'t str) -> Self {
        let mut scanner = Scanner { text, at: 0 };
        scanner.skip_space();
        let start = scanner.at;
        Self { text, root: scanner.value(start) }
    }

    /// Where the path's last step was typed, or that of the nearest step that exists.
    pub(in crate::control) fn position(&self, path: &JsonPath) -> Position {
        self.at(self.nearest(path).0.typed_at)
    }

    /// The value at a path as it was typed.
    pub(in crate::control) fn typed(&self, path: &JsonPath) -> Option<&'t str> {
        let (node, exists) = self.nearest(path);
        exists.then(|| &self.text[node.value.clone()])
    }

    /// Every key that stands in its object a second time.
    pub(in crate::control) fn duplicates(&self) -> Vec<(JsonPath, Position)> {
        let mut found = Vec::new();
        self.collect_duplicates(&self.root, &JsonPath::default(), &mut found);
        found
    }

    fn collect_duplicates(
        &self,
        node: &Node,
        path: &JsonPath,
        found: &mut Vec<(JsonPath, Position)>,
    ) {
        let mut seen = std::collections::HashSet::new();
        for (step, child) in &node.children {
            let child_path = path.join(step.clone());
            if !seen.insert(step) {
                found.push((child_path.clone(), self.at(child.typed_at)));
            }
            self.collect_duplicates(child, &child_path, found);
        }
    }

    fn nearest(&self, path: &JsonPath) -> (&Node, bool) {
        let mut node = &self.root;
        for step in path.steps() {
            // The last of several equal keys is the one that serde_json keeps.
            match node.children.iter().rfind(|(s, _)| s == step) {
                Some((_, child)) => node = child,
                None => return (node, false),
            }
        }
        (node, true)
    }

    fn at(&self, offset: usize) -> Position {
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Steps over a punctuation mark and the space after it.
    fn skip_mark(&mut self) {
        self.at += 1;
        self.skip_space();
    }

    fn value(&mut self, typed_at: usize) -> Node {
        let start = self.at;
        let mut children = Vec::new();
        match self.peek() {
            b'{' => {
                self.skip_mark();
                while !matches!(self.peek(), b'}' | 0) {
                    let key_at = self.at;
                    self.skip_string();
                    let key = serde_json::from_str(&self.text[key_at..self.at]);
                    self.skip_space();
                    self.skip_mark();
                    let child = self.value(key_at);
                    children.push((Step::Key(key.unwrap_or_default()), child));
                    self.skip_separator();
                }
                self.at += 1;
            }
            b'[' => {
                self.skip_mark();
                while !matches!(self.peek(), b']' | 0) {
                    let child = self.value(self.at);
                    children.push((Step::Index(children.len()), child));
                    self.skip_separator();
                }
                self.at += 1;
            }
            b'"' => self.skip_string(),
            _ => {
                while !matches!(self.peek(), b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' | 0)
                {
                    self.at += 1;
                }
            }
        }
        Node { typed_at, value: start..self.at.min(self.text.len()), children }
    }

    fn skip_separator(&mut self) {
        self.skip_space();
        if self.peek() == b',' {
            self.skip_mark();
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while !matches!(self.peek(), b'"' | 0) {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "{\n  \"é\": 1, \"a.b\": {\"c\": [10, {\"d\\\"\": -1.50e3}]},\n  \"e\":\"x\"\n}";

    fn position(path: &JsonPath) -> (usize, usize) {
        let position = Locator::new(TEXT).position(path);
        (position.line, position.column)
    }

    #[test]
    fn a_key_is_where_its_quote_is_and_columns_count_characters() {
        assert_eq!(position(&JsonPath::default()), (1, 1));
        assert_eq!(position(&["é"].into()), (2, 3));
        assert_eq!(position(&["a.b"].into()), (2, 11));
        assert_eq!(position(&["e"].into()), (3, 3));
    }

    #[test]
    fn an_element_is_where_its_value_is() {
        let list = JsonPath::from(["a.b", "c"]);
        assert_eq!(position(&list.join(0)), (2, 25));
        assert_eq!(position(&list.join(1).join("d\"")), (2, 30));
    }

    #[test]
    fn what_is_not_there_is_where_its_nearest_parent_is() {
        assert_eq!(position(&["a.b", "x", "y"].into()), (2, 11));
    }

    #[test]
    fn a_value_comes_back_as_typed() {
        let locator = Locator::new(TEXT);
        let number = JsonPath::from(["a.b", "c"]).join(1).join("d\"");
        assert_eq!(locator.typed(&number), Some("-1.50e3"));
        assert_eq!(locator.typed(&["a", "b"].into()), None);
    }

    #[test]
    fn a_second_equal_key_is_found_after_unescaping() {
        let locator = Locator::new(r#"{"a": 1, "b": [{"\u0078": 1, "x": 2}], "a": 3}"#);
        let found = locator.duplicates();
        let paths: Vec<_> = found.iter().map(|(path, p)| (path.to_string(), p.column)).collect();
        assert_eq!(paths, [("b[0].x".to_owned(), 30), ("a".to_owned(), 40)]);
    }
}
