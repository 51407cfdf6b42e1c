//! Fuzz targets of the response parser and of CSV rows.

use std::io::{self, Read};

use super::{
    Load, Target, Values, get,
    http1::{Fed, Head, HeadFacts, Malformed, Parser, Sink},
    wire::{Mix, Scratch},
};

/// The parts of a response that a [`Parser`] has passed on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parsed {
    status: u16,
    head: Vec<u8>,
    facts: Option<HeadFacts>,
    body: Vec<u8>,
}

impl Sink for Parsed {
    fn head(&mut self, head: &Head<'_>) {
        assert!(self.facts.is_none(), "two final heads in one response");
        assert!((100..=999).contains(&head.status), "status {}", head.status);
        self.status = head.status;
        self.head = head.raw.to_vec();
        self.facts = Some(head.facts);
    }

    fn body(&mut self, piece: &[u8]) {
        assert!(self.facts.is_some(), "a body before the head");
        assert!(!piece.is_empty(), "an empty piece of a body");
        self.body.extend_from_slice(piece);
    }
}

/// The outcome of a response; equal however its bytes were split.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// With the number of bytes after the response.
    Complete {
        keep_alive: bool,
        rest: usize,
    },
    Incomplete,
    Malformed,
}

/// Splits `data` at places that depend on `seed` alone.
fn pieces(data: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) | 0x100;
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // One byte at a time for some seeds: all states are left and entered again.
        let length = if seed.is_multiple_of(4) {
            1
        } else {
            1 + (state >> 24) as usize % 61
        };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        Some(piece)
    })
}

/// Feeds the pieces to a parser and ends the connection.
fn parse<'a>(mut parser: Parser, mut parsed: Parsed, pieces: impl Iterator<Item = &'a [u8]>) -> (Outcome, Parsed) {
    let mut rest = 0;
    for piece in pieces {
        match parser.feed(piece, &mut parsed) {
            Ok(Fed { consumed, complete }) => {
                assert!(consumed <= piece.len(), "more bytes consumed than fed");
                assert!(complete || consumed == piece.len(), "bytes left before the end");
                rest += piece.len() - consumed;
            }
            Err(Malformed(reason)) => {
                assert!(!reason.is_empty());
                return (Outcome::Malformed, parsed);
            }
        }
    }
    let complete = parser.finish();
    assert_eq!(complete, parser.is_complete());
    let outcome = if complete {
        Outcome::Complete {
            keep_alive: parser.keep_alive(),
            rest,
        }
    } else {
        assert!(!parser.missing().is_empty());
        Outcome::Incomplete
    };
    (outcome, parsed)
}

/// Parses a response as a whole, in pieces, and with its head taken from the cache.
fn parse_each_way(data: &[u8], to_head: bool, seed: u8) -> (Outcome, Parsed) {
    let whole = parse(Parser::new(to_head), Parsed::default(), std::iter::once(data));
    let split = parse(Parser::new(to_head), Parsed::default(), pieces(data, seed));
    assert_eq!(whole, split, "whole and in pieces");
    let (_, parsed) = &whole;
    if let (Some(facts), Some(body)) = (parsed.facts, data.strip_prefix(&*parsed.head)) {
        let mut parser = Parser::new(to_head);
        parser.assume_head(facts);
        let head = Parsed {
            status: parsed.status,
            head: parsed.head.clone(),
            facts: parsed.facts,
            body: Vec::new(),
        };
        let cached = parse(parser, head, pieces(body, seed));
        assert_eq!(whole, cached, "with a parsed and a cached head");
    }
    whole
}

/// The response parser. The first byte of `data` chooses the method and the pieces.
///
/// # Panics
/// If the outcome depends on how the bytes are split.
pub fn response(data: &[u8]) {
    let Some((seed, data)) = data.split_first() else {
        return;
    };
    let to_head = seed & 0x80 != 0;
    let (outcome, parsed) = parse_each_way(data, to_head, *seed);
    assert!(parsed.body.len() <= data.len());
    if to_head {
        assert!(parsed.body.is_empty(), "a response to HEAD has no body");
    }
    if let Outcome::Complete { rest, .. } = outcome {
        assert!(parsed.head.len() + parsed.body.len() + rest <= data.len());
    }
}

/// The chunked decoder: `data` after its first byte once as a chunked body, and once as the content of one.
///
/// # Panics
/// If the outcome depends on how the bytes are split, or content is not decoded to itself.
pub fn chunked(data: &[u8]) {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let Some((seed, data)) = data.split_first() else {
        return;
    };
    let (outcome, parsed) = parse_each_way(&[HEAD, data].concat(), false, *seed);
    if let Outcome::Complete { keep_alive, rest } = outcome {
        assert!(keep_alive);
        // The shortest framing is that of an empty body: `0`, CR, LF, CR, LF.
        assert!(parsed.body.len() + rest + 5 <= data.len(), "more content than bytes");
    }

    let mut encoded = HEAD.to_vec();
    for piece in pieces(data, seed.rotate_left(3)) {
        encoded.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        encoded.extend_from_slice(piece);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(b"0\r\n\r\nrest");
    let (outcome, parsed) = parse_each_way(&encoded, false, *seed);
    assert_eq!(
        outcome,
        Outcome::Complete {
            keep_alive: true,
            rest: 4
        }
    );
    assert_eq!(parsed.body, data, "content is decoded to itself");
}

/// A file that is read in pieces.
struct InPieces<'a, I> {
    pieces: I,
    rest: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Read for InPieces<'a, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.pieces.next().unwrap_or_default();
        }
        self.rest.read(buffer)
    }
}

/// Rows of a CSV file: the column `c`, then as values of a request. The first byte of `data` chooses the pieces.
///
/// # Panics
/// If the rows depend on how the file is read, or a row changes the framing of its request.
pub fn csv_rows(data: &[u8]) {
    let Some((seed, data)) = data.split_first() else {
        return;
    };
    let rows = Values::column(data, "c");
    let in_pieces = InPieces {
        pieces: pieces(data, *seed),
        rest: &[],
    };
    assert_eq!(rows, Values::column(in_pieces, "c"), "whole and in pieces");
    let values = match rows {
        Ok(values) => values,
        Err(problem) => {
            assert!(!problem.is_empty());
            return;
        }
    };
    let Values::Rows(rows) = &values else {
        panic!("a column is rows");
    };
    assert!(!rows.is_empty(), "a column without rows is an error");
    assert!(rows.len() < data.len(), "more rows than bytes");

    let target = Target {
        address: ([127, 0, 0, 1], 80).into(),
        host: "shop.test".into(),
        tls: None,
    };
    let request = get("/p/{c}?q={c}").header("X-Row", "{c}").values("c", values.clone());
    let Ok(mix) = Mix::new(&Load::closed(1).request(request), &target, 0) else {
        assert!(
            rows.iter().any(|row| row.contains(['\r', '\n', '\0'])),
            "only rows with line breaks are refused"
        );
        return;
    };
    let mut scratch = Scratch::default();
    for (sequence, row) in (0..).zip(rows).take(16) {
        mix.render(0, false, sequence, &mut scratch);
        let text = std::str::from_utf8(&scratch.out).expect("a request of UTF-8 parts is UTF-8");
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines.len(), 5, "a row adds no line: {text:?}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "{text:?}");
        let target = lines[0]
            .strip_prefix("GET ")
            .and_then(|line| line.strip_suffix(" HTTP/1.1"))
            .expect("a request line");
        assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target:?}");
        let url = url::Url::parse(&format!("http://shop.test{target}")).expect("a URL");
        let query: Vec<(String, String)> =
            serde_urlencoded::from_str(url.query().unwrap_or_default()).expect("a query");
        assert_eq!(
            query,
            [("q".to_owned(), row.clone())],
            "the server reads the row itself"
        );
        assert!(lines.contains(&format!("X-Row: {row}").as_str()), "{text:?}");
    }
}
