//! Requests that differ from one to the next: `{name}` replaced by a value, without an allocation once the
//! buffers have grown to their size.

use std::ops::Range;

use super::super::{LoadError, random, request::Values};

/// Buffers that rendering uses again and again.
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

/// A request with gaps.
#[derive(Debug)]
pub(crate) struct Template {
    text: Vec<u8>,
    parts: Vec<Part>,
    /// Parts from this one on are the body.
    body_from: usize,
    values: Vec<Values>,
}

impl Template {
    /// `length_at` is the place in `head` where the length of the rendered body goes.
    pub(super) fn new(head: &[u8], length_at: Option<usize>, body: &[u8], values: &[(String, Values)]) -> Self {
        let mut template = Self {
            text: Vec::new(),
            parts: Vec::new(),
            body_from: 0,
            values: values.iter().map(|(_, v)| v.clone()).collect(),
        };
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        let (before, after) = head.split_at(length_at.unwrap_or(0));
        template.compile(before, &names);
        if length_at.is_some() {
            template.parts.push(Part::BodyLength);
        }
        template.compile(after, &names);
        template.body_from = template.parts.len();
        template.compile(body, &names);
        template
    }

    fn compile(&mut self, text: &[u8], names: &[&str]) {
        let mut rest = text;
        while let Some((at, index, length)) = first_mention(rest, names) {
            self.literal(&rest[..at]);
            self.parts.push(Part::Value(index));
            rest = &rest[at + length..];
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
            // The whole range of 64 bits has no size that fits: every draw is in it.
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

/// Whether the text has a gap for one of these values.
pub(super) fn mentions(text: &[u8], names: &[&str]) -> bool {
    first_mention(text, names).is_some()
}

/// Place, value and length of the first `{name}`. Braces around anything else are text (JSON has many).
fn first_mention(text: &[u8], names: &[&str]) -> Option<(usize, usize, usize)> {
    let mut from = 0;
    while let Some(open) = memchr::memchr(b'{', &text[from..]).map(|at| at + from) {
        let inside = &text[open + 1..];
        for (index, name) in names.iter().enumerate() {
            if inside.starts_with(name.as_bytes()) && inside.get(name.len()) == Some(&b'}') {
                return Some((open, index, name.len() + 2));
            }
        }
        from = open + 1;
    }
    None
}

pub(super) fn validate(shown: &str, values: &[(String, Values)]) -> Result<(), LoadError> {
    for (index, (name, value)) in values.iter().enumerate() {
        let problem = match value {
            Values::Rows(rows) if rows.is_empty() => "has no rows",
            Values::Rows(rows) if rows.iter().any(|row| row.contains(['\r', '\n'])) => "has a row with a line break",
            Values::Random { low, high } if low > high => "draws from an empty range: its low is above its high",
            _ if name.is_empty() || name.contains(['{', '}']) => "needs a name without braces",
            _ if values[..index].iter().any(|(other, _)| other == name) => "is given twice",
            _ => continue,
        };
        return Err(LoadError::InvalidPlan(format!("{shown}: the value {name:?} {problem}")));
    }
    Ok(())
}
