//! Renders requests with `{name}` placeholders, without allocations once the buffers have grown.
//!
//! In the request target a value is percent-encoded, so that a space, `&` or `%` is part of the value; `{+name}` inserts it
//! raw. In headers and bodies both forms insert it raw.

use std::{fmt::Write as _, ops::Range};

use super::super::{
    LoadError,
    excerpt::excerpt,
    random,
    request::{Body, Request, Values},
};

/// Reusable buffers of the renderer.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The rendered request.
    pub(crate) out: Vec<u8>,
    values: Vec<u8>,
    ends: Vec<usize>,
}

#[derive(Debug, PartialEq)]
enum Part {
    Literal(Range<usize>),
    Value(usize),
    BodyLength,
}

/// A request with placeholders.
#[derive(Debug)]
pub(crate) struct Template {
    text: Vec<u8>,
    parts: Vec<Part>,
    /// Index of the first part of the body.
    body_from: usize,
    values: Vec<Values>,
}

impl Template {
    /// Compiles the parts of a request. `length_at` is the place in `fields` where the length of the rendered body goes.
    pub(super) fn new(
        line: &[u8],
        fields: &[u8],
        length_at: Option<usize>,
        body: &[u8],
        values: &[(String, Values)],
    ) -> Self {
        let mut template = Self {
            text: Vec::new(),
            parts: Vec::new(),
            body_from: 0,
            values: values.iter().map(|(_, v)| v.clone()).collect(),
        };
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        template.compile_target(line, &names);
        let (before, after) = fields.split_at(length_at.unwrap_or(0));
        template.compile(before, &names);
        if length_at.is_some() {
            template.parts.push(Part::BodyLength);
        }
        template.compile(after, &names);
        template.body_from = template.parts.len();
        template.compile(body, &names);
        template
    }

    /// Compiles the request line: rows are encoded here, once, and rendered from a second list of values.
    fn compile_target(&mut self, text: &[u8], names: &[&str]) {
        let mut encoded = vec![None; names.len()];
        let mut rest = text;
        while let Some(found) = placeholder_in_target(rest, names) {
            self.literal(&rest[..found.at]);
            let index = match (&self.values[found.value], found.raw, encoded[found.value]) {
                (Values::Rows(_), false, Some(known)) => known,
                (Values::Rows(rows), false, None) => {
                    let rows = rows.iter().map(|row| percent_encode(row)).collect();
                    self.values.push(Values::Rows(rows));
                    let index = self.values.len() - 1;
                    encoded[found.value] = Some(index);
                    index
                }
                _ => found.value,
            };
            self.parts.push(Part::Value(index));
            rest = &rest[found.at + found.length..];
        }
        self.literal(rest);
    }

    fn compile(&mut self, text: &[u8], names: &[&str]) {
        let mut rest = text;
        while let Some(found) = placeholder(rest, names) {
            self.literal(&rest[..found.at]);
            self.parts.push(Part::Value(found.value));
            rest = &rest[found.at + found.length..];
        }
        self.literal(rest);
    }

    fn literal(&mut self, text: &[u8]) {
        if !text.is_empty() {
            let start = self.text.len();
            self.text.extend_from_slice(text);
            self.parts.push(Part::Literal(start..self.text.len()));
        }
    }

    /// Writes request number `sequence` into `scratch.out`.
    pub(super) fn render(&self, seed: u64, sequence: u64, scratch: &mut Scratch) {
        let Scratch { out, values, ends } = scratch;
        out.clear();
        values.clear();
        ends.clear();
        ends.push(0);
        for (index, value) in self.values.iter().enumerate() {
            write_value(value, seed, sequence, index as u64, values);
            ends.push(values.len());
        }
        let value = |index: usize| &values[ends[index]..ends[index + 1]];
        for part in &self.parts {
            match part {
                Part::Literal(range) => out.extend_from_slice(&self.text[range.clone()]),
                Part::Value(index) => out.extend_from_slice(value(*index)),
                Part::BodyLength => {
                    let length = self.parts[self.body_from..].iter().map(|part| match part {
                        Part::Literal(range) => range.len(),
                        Part::Value(index) => value(*index).len(),
                        Part::BodyLength => 0,
                    });
                    write_number(length.sum::<usize>() as u64, out);
                }
            }
        }
    }
}

fn write_value(value: &Values, seed: u64, sequence: u64, index: u64, out: &mut Vec<u8>) {
    match value {
        Values::Counter => write_number(sequence, out),
        Values::Random { low, high } => {
            let draw = random::bits(seed ^ random::bits(0x5eed, index), sequence);
            // The size of the full 64-bit range overflows; every draw is in range.
            let number = match (high - low).checked_add(1) {
                Some(span) => low + random::below(span, draw),
                None => draw,
            };
            write_number(number, out);
        }
        Values::Rows(rows) => {
            let row = usize::try_from(sequence % rows.len() as u64).unwrap_or(0);
            out.extend_from_slice(rows[row].as_bytes());
        }
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Percent-encodes all but the unreserved characters (RFC 3986, 2.3).
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A `{name}` or `{+name}` in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placeholder {
    at: usize,
    /// Length in the text, bytes.
    length: usize,
    /// Index of the value.
    value: usize,
    /// Whether it has the form `{+name}`.
    raw: bool,
}

/// Returns whether the text has a `{name}` of one of these values.
pub(super) fn mentions(text: &[u8], names: &[&str]) -> bool {
    placeholder(text, names).is_some()
}

/// Returns whether the request line has a `{name}` or `{+name}` of one of these values.
pub(super) fn mentions_in_target(text: &[u8], names: &[&str]) -> bool {
    placeholder_in_target(text, names).is_some()
}

/// Finds the first `{name}`. Braces around anything else are text (JSON has many).
fn placeholder(text: &[u8], names: &[&str]) -> Option<Placeholder> {
    find(text, names, false)
}

/// Finds the first `{name}` or `{+name}`.
fn placeholder_in_target(text: &[u8], names: &[&str]) -> Option<Placeholder> {
    find(text, names, true)
}

fn find(text: &[u8], names: &[&str], raw_form: bool) -> Option<Placeholder> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'{', &text[from..]).map(|at| at + from) {
        let inside = &text[at + 1..];
        let plain = names.iter().position(|name| is_closed(inside, name));
        let raw = inside.strip_prefix(b"+").filter(|_| raw_form);
        let raw = raw.and_then(|inside| names.iter().position(|name| is_closed(inside, name)));
        if let Some(value) = plain.or(raw) {
            let raw = plain.is_none();
            return Some(Placeholder {
                at,
                length: names[value].len() + 2 + usize::from(raw),
                value,
                raw,
            });
        }
        from = at + 1;
    }
    None
}

/// Returns whether the text begins with the name and a closing brace.
fn is_closed(text: &[u8], name: &str) -> bool {
    text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&b'}')
}

pub(super) fn validate(shown: &str, request: &Request) -> Result<(), LoadError> {
    let values = &request.values;
    for (index, (name, value)) in values.iter().enumerate() {
        let problem = match value {
            Values::Rows(rows) if rows.is_empty() => "has no rows",
            Values::Random { low, high } if low > high => "draws from an empty range: its low is above its high",
            _ if name.is_empty() || name.contains(['{', '}']) => "needs a name without braces",
            _ if values[..index].iter().any(|(other, _)| other == name) => "is given twice",
            _ => continue,
        };
        return Err(LoadError::InvalidPlan(format!("{shown}: the value {name:?} {problem}")));
    }
    let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    let raw_in_target = |text: &str| {
        let mut rest = text.as_bytes();
        let mut found = Vec::new();
        while let Some(placeholder) = placeholder_in_target(rest, &names) {
            found.push(placeholder);
            rest = &rest[placeholder.at + placeholder.length..];
        }
        found
    };
    let in_path = raw_in_target(&request.path);
    for (index, (name, value)) in values.iter().enumerate() {
        let Values::Rows(rows) = value else { continue };
        let only = [name.as_str()];
        let in_header = request
            .headers
            .iter()
            .any(|(_, header)| mentions(header.as_bytes(), &only));
        let in_path_raw = in_path.iter().any(|found| found.value == index && found.raw);
        let in_path = in_path.iter().any(|found| found.value == index);
        let body = matches!(&request.body, Body::Bytes(body) if mentions(body, &only));
        // A row may contain line breaks only if it is used in bodies alone.
        let one_line = in_path || in_header || !body;
        for (row, text) in rows.iter().enumerate() {
            let problem = if one_line && text.contains(['\r', '\n', '\0']) {
                "has a line break, which a path, query or header cannot carry; remove it from the row"
            } else if in_path_raw && text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
                "has a space or control character, and {+name} inserts it raw; write {name} to percent-encode it"
            } else {
                continue;
            };
            return Err(LoadError::InvalidPlan(format!(
                "{shown}: row {} of column {name:?} ({:?}) {problem}",
                row + 1,
                excerpt(text.as_bytes()),
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_among_other_braces() {
        let found = |text: &str| find(text.as_bytes(), &["a", "ab"], true).map(|p| (p.at, p.length, p.value, p.raw));
        assert_eq!(found("{\"x\":{ab}}"), Some((5, 4, 1, false)));
        assert_eq!(found("/{+a}"), Some((1, 4, 0, true)));
        assert_eq!(found("{+b}{a"), None);
        assert_eq!(placeholder(b"{+a}", &["a"]), None);
    }
}
