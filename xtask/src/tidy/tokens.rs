//! A Rust file as a flat list of tokens with their lines; comments and text in literals are not
//! among them.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a check can tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Ident(String),
    Punct(char),
    Open(Delimiter),
    Close(Delimiter),
    Literal,
}

/// A token and the line it stands on, from 1.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is_ident(&self, name: &str) -> bool {
        self.ident() == Some(name)
    }

    pub(super) fn ident(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ident(name) => Some(name),
            _ => None,
        }
    }
}

/// Cuts the text; the error is the line where it stops being Rust.
pub(super) fn cut(text: &str) -> Result<Vec<Token>, usize> {
    let stream: TokenStream =
        text.parse().map_err(|error: proc_macro2::LexError| error.span().start().line)?;
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    Ok(tokens)
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let kind = match tree {
            TokenTree::Group(group) => {
                tokens.push(Token { kind: Kind::Open(group.delimiter()), line });
                flatten(group.stream(), tokens);
                let line = group.span_close().end().line;
                tokens.push(Token { kind: Kind::Close(group.delimiter()), line });
                continue;
            }
            TokenTree::Ident(ident) => Kind::Ident(ident.to_string()),
            TokenTree::Punct(punct) => Kind::Punct(punct.as_char()),
            TokenTree::Literal(_) => Kind::Literal,
        };
        tokens.push(Token { kind, line });
    }
}

/// Whether `::` stands at this place.
pub(super) fn is_path_separator(tokens: &[Token], at: usize) -> bool {
    let colon = |at: usize| tokens.get(at).is_some_and(|t| t.kind == Kind::Punct(':'));
    colon(at) && colon(at + 1)
}

/// The place of the delimiter that closes the one at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::{Kind, closing, cut};

    #[test]
    fn comments_and_strings_hold_no_tokens() {
        let tokens = cut("// unsafe\nlet a = \"unsafe\"; /* mod x */\n").expect("Rust");
        let idents: Vec<&str> = tokens.iter().filter_map(|token| token.ident()).collect();
        assert_eq!(idents, ["let", "a"]);
        assert_eq!(tokens[3].kind, Kind::Literal);
        assert_eq!(tokens[3].line, 2);
    }

    #[test]
    fn a_group_closes_at_its_own_delimiter() {
        let tokens = cut("f((a), [b]) c").expect("Rust");
        assert_eq!(tokens[closing(&tokens, 1) + 1].ident(), Some("c"));
    }

    #[test]
    fn what_is_not_rust_names_its_line() {
        assert_eq!(cut("fn a() {}\n)").err(), Some(2));
    }
}
