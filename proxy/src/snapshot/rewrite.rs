//! The path that an upstream sees in place of the one that the client asked for.

use regex_automata::meta::{BuildError, Cache, Config, Regex};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// What a route writes in place of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// Another beginning.
    Prefix(PrefixRewrite),
    /// Another path, made of parts of the old one.
    Pattern(PatternRewrite),
}

/// Another beginning in place of the segments that the route names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRewrite {
    /// How many segments the route's pattern has.
    segments: usize,
    /// A path in normal form.
    to: Box<str>,
}

impl PrefixRewrite {
    /// Puts `to`, a path in normal form, in place of so many segments.
    #[must_use]
    pub fn new(segments: usize, to: &str) -> Self {
        Self { segments, to: to.into() }
    }

    /// As it stands in the configuration.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }

    /// The path for one that the route takes. One in normal form stays in it: what is joined is
    /// joined at a slash.
    #[must_use]
    pub fn apply(&self, path: &str) -> String {
        let rest = behind_segments(path, self.segments);
        match rest {
            "" => self.to.to_string(),
            rest => format!("{}{rest}", self.to.strip_suffix('/').unwrap_or(&self.to)),
        }
    }
}

/// What follows the first segments: nothing, or from the next slash on. Segments without a name are
/// not counted, as for the choice of a route.
fn behind_segments(path: &str, mut segments: usize) -> &str {
    let mut rest = path;
    while segments > 0 {
        let Some(behind) = rest.strip_prefix('/') else { return "" };
        let end = behind.find('/').unwrap_or(behind.len());
        let (segment, after) = behind.split_at(end);
        if !segment.is_empty() && !segment.starts_with(';') {
            segments -= 1;
        }
        rest = after;
    }
    rest
}

/// The longest pattern and the longest template.
pub const REWRITE_BYTES_MAX: usize = 1024;
/// What a compiled pattern may take, on top of which each worker needs about as much to run it.
const PROGRAM_BYTES_MAX: usize = 64 * 1024;

/// Another path in place of one that a pattern takes as a whole.
#[derive(Debug, Clone)]
pub struct PatternRewrite {
    regex: Regex,
    pattern: Box<str>,
    template: Box<str>,
    to: Vec<Piece>,
}

impl PartialEq for PatternRewrite {
    fn eq(&self, other: &Self) -> bool {
        (&self.pattern, &self.template) == (&other.pattern, &other.template)
    }
}

impl Eq for PatternRewrite {}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    /// What this group of the pattern took.
    Group(usize),
}

/// What one pattern needs to run; each worker has its own.
pub type Scratch = Cache;

/// Why a pattern and a template are no rewrite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The pattern is over [`REWRITE_BYTES_MAX`].
    #[error("is longer than {REWRITE_BYTES_MAX} bytes")]
    PatternLong,
    /// The pattern cannot be read.
    #[error("is no pattern: {0}")]
    Pattern(Box<str>),
    /// It would take more memory than it may.
    #[error("takes too much memory to be run")]
    PatternLarge,
    /// `#`, which no path has.
    #[error("has a #, which no path has")]
    PatternComment,
    /// The template is over [`REWRITE_BYTES_MAX`].
    #[error("is longer than {REWRITE_BYTES_MAX} bytes")]
    TemplateLong,
    /// A `$` before something else than a number, a name in braces or another `$`.
    #[error("has a $ that names no group")]
    Reference,
    /// The name or number of no group of the pattern.
    #[error("names {0:?}, and the pattern has no such group")]
    Group(Box<str>),
}

impl RewriteError {
    /// Whether it is about the pattern, not the template.
    #[must_use]
    pub fn is_of_pattern(&self) -> bool {
        match self {
            Self::PatternLong | Self::Pattern(_) | Self::PatternLarge | Self::PatternComment => {
                true
            }
            Self::TemplateLong | Self::Reference | Self::Group(_) => false,
        }
    }
}

impl PatternRewrite {
    /// Reads a regular expression, which must take a path as a whole, and what is written in its
    /// place: text with `$1`, `${name}` and `$$`.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not fit each other.
    pub fn parse(pattern: &str, template: &str) -> Result<Self, RewriteError> {
        if pattern.len() > REWRITE_BYTES_MAX {
            return Err(RewriteError::PatternLong);
        }
        // In the mode that has comments, one could hide what is put around the pattern.
        if pattern.contains('#') {
            return Err(RewriteError::PatternComment);
        }
        // By itself first: it must not close a group that is put around it.
        compile(pattern)?;
        let regex = compile(&format!(r"\A(?:{pattern})\z"))?;
        if template.len() > REWRITE_BYTES_MAX {
            return Err(RewriteError::TemplateLong);
        }
        let to = pieces(template, &regex)?;
        Ok(Self { regex, pattern: pattern.into(), template: template.into(), to })
    }

    /// As it stands in the configuration.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// As it stands in the configuration.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The text of the template between its groups.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.to.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(&**text),
            Piece::Group(_) => None,
        })
    }

    /// What is written in place of a path, if the pattern takes it. That need not be a path: who
    /// sends it looks first. Takes time that grows with the path alone.
    pub fn apply(&self, path: &str, scratch: &mut Option<Scratch>) -> Option<String> {
        let scratch = scratch.get_or_insert_with(|| self.regex.create_cache());
        let mut captures = self.regex.create_captures();
        let input = Input::new(path).anchored(Anchored::Yes);
        self.regex.search_captures_with(scratch, &input, &mut captures);
        if !captures.is_match() {
            return None;
        }
        let mut out = String::with_capacity(path.len());
        for piece in &self.to {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Group(group) => {
                    let taken = captures.get_group(*group).and_then(|at| path.get(at.range()));
                    out.push_str(taken.unwrap_or_default());
                }
            }
        }
        Some(out)
    }
}

/// Paths are ASCII, so a pattern speaks of bytes; and the engines with tables that grow while they
/// run are left out, so that what a pattern takes is known when it is read.
fn compile(pattern: &str) -> Result<Regex, RewriteError> {
    let config = Config::new()
        .nfa_size_limit(Some(PROGRAM_BYTES_MAX))
        .onepass_size_limit(Some(PROGRAM_BYTES_MAX))
        .hybrid(false)
        .dfa(false);
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    let built = Regex::builder().configure(config).syntax(syntax).build(pattern);
    built.map_err(|error: BuildError| match error.syntax_error() {
        Some(error) => RewriteError::Pattern(reason_line(&error.to_string()).into()),
        None => RewriteError::PatternLarge,
    })
}

/// The last line of a syntax error says what is wrong; those before it draw the place.
fn reason_line(text: &str) -> &str {
    let last = text.lines().next_back().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last)
}

fn pieces(template: &str, regex: &Regex) -> Result<Vec<Piece>, RewriteError> {
    let mut found = Vec::new();
    let mut literal = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            literal.push('$');
            rest = after;
            continue;
        }
        let (name, after) = reference(after).ok_or(RewriteError::Reference)?;
        let group = group(name, regex).ok_or_else(|| RewriteError::Group(name.into()))?;
        if !literal.is_empty() {
            found.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        found.push(Piece::Group(group));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        found.push(Piece::Literal(literal.into()));
    }
    Ok(found)
}

/// The name or number of a group behind a `$`, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    if let Some(inner) = text.strip_prefix('{') {
        return inner.split_once('}').filter(|(name, _)| !name.is_empty());
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn group(name: &str, regex: &Regex) -> Option<usize> {
    let info = regex.group_info();
    let pattern = regex_automata::PatternID::ZERO;
    match name.parse::<usize>() {
        Ok(number) => (number < regex.captures_len()).then_some(number),
        Err(_) => info.to_index(pattern, name),
    }
}

#[cfg(test)]
mod tests;
