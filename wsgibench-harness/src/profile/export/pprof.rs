//! The format of pprof: a compressed message of protocol buffers (`profile.proto`).

use std::{
    collections::HashMap,
    io::{self, Write as _},
};

use flate2::{Compression, write::GzEncoder};

use super::{arms, nanoseconds};
use crate::profile::{Explanation, Frame};

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low & 127);
                return;
            }
            self.0.push(low | 128);
        }
    }

    fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3);
            self.varint(value);
        }
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint((field << 3) | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn numbers(&mut self, field: u64, values: &[u64]) {
        let mut packed = Self::default();
        for value in values {
            packed.varint(*value);
        }
        self.bytes(field, &packed.0);
    }

    fn message(&mut self, field: u64, build: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        build(&mut inner);
        self.bytes(field, &inner.0);
    }
}

/// Strings, each stored once. The first is empty.
struct Strings {
    list: Vec<String>,
    known: HashMap<String, u64>,
}

impl Strings {
    fn new() -> Self {
        Self {
            list: vec![String::new()],
            known: HashMap::from([(String::new(), 0)]),
        }
    }

    fn index(&mut self, text: &str) -> u64 {
        if let Some(index) = self.known.get(text) {
            return *index;
        }
        let index = self.list.len() as u64;
        self.list.push(text.to_owned());
        self.known.insert(text.to_owned(), index);
        index
    }
}

/// Returns the compressed profile: samples of `cpu` and `wait` in nanoseconds per request, labelled by case and arm.
///
/// # Errors
/// If the compression fails, which writing to memory does not.
pub fn pprof(explanation: &Explanation) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&message(explanation).0)?;
    encoder.finish()
}

fn message(explanation: &Explanation) -> Message {
    let mut profile = Message::default();
    let mut strings = Strings::new();
    let (cpu, wait, unit) = (
        strings.index("cpu"),
        strings.index("wait"),
        strings.index("nanoseconds"),
    );
    for kind in [cpu, wait] {
        profile.message(1, |value_type| {
            value_type.number(1, kind);
            value_type.number(2, unit);
        });
    }
    let (case_key, arm_key) = (strings.index("case"), strings.index("arm"));
    let mut locations: HashMap<Frame, u64> = HashMap::new();
    let mut functions: HashMap<(String, String), (u64, i32)> = HashMap::new();
    let mut listed: Vec<(u64, u64, i32)> = Vec::new();
    for (case, arm, arm_profile) in arms(explanation) {
        let (case, arm) = (strings.index(case), strings.index(arm));
        arm_profile.tree.stacks(|stack, node| {
            let stack: Vec<u64> = stack
                .iter()
                .rev()
                .map(|frame| {
                    let next = locations.len() as u64 + 1;
                    *locations.entry((*frame).clone()).or_insert_with(|| {
                        let next_function = functions.len() as u64 + 1;
                        let key = (frame.function.clone(), frame.file.clone());
                        let (function, _) = *functions.entry(key).or_insert((next_function, frame.first_line));
                        listed.push((next, function, frame.line));
                        next
                    })
                })
                .collect();
            profile.message(2, |sample| {
                sample.numbers(1, &stack);
                sample.numbers(2, &[nanoseconds(node.running), nanoseconds(node.waiting)]);
                for (key, value) in [(case_key, case), (arm_key, arm)] {
                    sample.message(3, |label| {
                        label.number(1, key);
                        label.number(2, value);
                    });
                }
            });
        });
    }
    let positive = |line: i32| u64::try_from(line).unwrap_or(0);
    for (location, function, line) in listed {
        profile.message(4, |message| {
            message.number(1, location);
            message.message(4, |of_line| {
                of_line.number(1, function);
                of_line.number(2, positive(line));
            });
        });
    }
    let mut functions: Vec<((String, String), (u64, i32))> = functions.into_iter().collect();
    functions.sort_by_key(|(_, (id, _))| *id);
    for ((name, file), (id, first_line)) in functions {
        let (name, file) = (strings.index(&name), strings.index(&file));
        profile.message(5, |function| {
            function.number(1, id);
            function.number(2, name);
            function.number(3, name);
            function.number(4, file);
            function.number(5, positive(first_line));
        });
    }
    profile.message(11, |period| {
        period.number(1, cpu);
        period.number(2, unit);
    });
    profile.number(12, 1);
    for text in &strings.list {
        profile.bytes(6, text.as_bytes());
    }
    profile
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Fields of a message: number, value, bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..64).step_by(7) {
                let (byte, rest) = bytes.split_first().expect("a whole number");
                *bytes = rest;
                value |= u64::from(byte & 127) << shift;
                if byte & 128 == 0 {
                    break;
                }
            }
            value
        }
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = varint(&mut bytes);
            let mut content = Vec::new();
            if key & 7 == 2 {
                let (own, rest) = bytes.split_at(usize::try_from(value).unwrap());
                content = own.to_vec();
                bytes = rest;
            } else {
                assert_eq!(key & 7, 0, "numbers and bytes only");
            }
            found.push((key >> 3, value, content));
        }
        found
    }

    #[test]
    fn samples_refer_to_locations_functions_and_strings() {
        let compressed = pprof(&super::super::samples::explanation()).unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&compressed[..])
            .read_to_end(&mut bytes)
            .unwrap();
        let profile = fields(&bytes);
        let of = |number: u64| {
            profile
                .iter()
                .filter(move |field| field.0 == number)
                .map(|field| field.2.clone())
        };
        let strings: Vec<String> = of(6).map(|text| String::from_utf8(text).unwrap()).collect();
        assert_eq!(strings[0], "");
        assert!(strings.contains(&"a;b\n\"<script>".to_owned()));
        assert_eq!(of(2).count(), 6);
        // The second sample of the candidate: leaf first.
        let sample = fields(&of(2).nth(4).unwrap());
        assert_eq!(sample[0].2, [2, 1]);
        // 7250 and 0.
        assert_eq!(sample[1].2, [0xd2, 0x38, 0]);
        let label = fields(&sample[3].2);
        assert_eq!(strings[usize::try_from(label[1].1).unwrap()], "candidate");
        let location = fields(&of(4).nth(1).unwrap());
        let line = fields(&location[1].2);
        assert_eq!((location[0].1, line[1].1), (2, 9));
        let function = fields(&of(5).nth(usize::try_from(line[0].1).unwrap() - 1).unwrap());
        assert_eq!(strings[usize::try_from(function[1].1).unwrap()], "a;b\n\"<script>");
        assert_eq!(strings[usize::try_from(function[3].1).unwrap()], "./app;x.py");
    }
}
