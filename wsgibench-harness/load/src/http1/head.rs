//! Response heads: their end, the framing of the body, and connection persistence.

use std::{borrow::Cow, mem::MaybeUninit};

use super::{HEAD_LIMIT, Malformed};

/// Number of headers parsed in the first pass; a head with more is parsed again with space for [`MANY_HEADERS`].
const USUAL_HEADERS: usize = 64;
/// Maximum number of headers of a response.
pub(crate) const MANY_HEADERS: usize = 4096;

/// The head of a response.
#[derive(Debug)]
pub struct Head<'a> {
    /// Status code, 100 to 999.
    pub status: u16,
    /// HTTP minor version: 0 or 1.
    pub minor_version: u8,
    /// Header names as sent, with raw values.
    pub headers: &'a [httparse::Header<'a>],
    /// The raw bytes of the head, including the final empty line.
    pub raw: &'a [u8],
    /// Body framing and persistence.
    pub facts: HeadFacts,
}

/// Returns a header value without surrounding blanks, and with each fold (an obsolete line break in a value) as one space, as
/// hyper has it.
pub fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr::memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let lines: Vec<&[u8]> = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    Cow::Owned(lines.join(&b' '))
}

/// The framing of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body (HEAD, 204, 304).
    None,
    /// A body of this many bytes.
    Sized(u64),
    /// Chunked transfer coding.
    Chunked,
    /// A body delimited by the close of the connection.
    UntilClose,
}

/// The facts of a head that determine the rest of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadFacts {
    /// The body's framing.
    pub framing: Framing,
    /// The connection stays open after the response.
    pub keep_alive: bool,
}

/// Returns the index after the empty line that ends a head, searching from `from`.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    // Empty lines before the status line are skipped, as hyper does: they do not end the head.
    let first = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
    let mut at = from.max(first);
    loop {
        let lf = at + memchr::memchr(b'\n', &bytes[at..])?;
        let line = &bytes[first..lf];
        if line.ends_with(b"\n\r") || line.ends_with(b"\n") {
            return Some(lf + 1);
        }
        at = lf + 1;
    }
}

/// Returns the length of the head of the final response, with the interim heads (1xx) before it.
pub(crate) fn final_head_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let head = &bytes[at..];
        let first = head.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
        let interim = head.get(first + b"HTTP/1.1 ".len()) == Some(&b'1');
        at += end(head, 0)?;
        if !interim {
            return Some(at);
        }
    }
}

/// Checks that an incomplete head begins like a status line and does not exceed the limit.
pub(super) fn plausible(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.len() > HEAD_LIMIT {
        return Err(Malformed("the head is longer than 64 KiB"));
    }
    let first = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    let start = &bytes[first..];
    let wanted = b"HTTP/1.";
    let common = start.len().min(wanted.len());
    if start[..common] == wanted[..common] {
        Ok(())
    } else {
        Err(Malformed("it does not begin with HTTP/1."))
    }
}

/// Parses a complete head and passes it to `see`. Returns `None` for an interim response (1xx), which is skipped.
pub(super) fn parse(bytes: &[u8], to_head: bool, see: impl FnOnce(&Head<'_>)) -> Result<Option<HeadFacts>, Malformed> {
    if bytes.len() > HEAD_LIMIT {
        return Err(Malformed("the head is longer than 64 KiB"));
    }
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    // A client accepts them (RFC 9112, 5.2).
    config.allow_obsolete_multiline_headers_in_responses(true);
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut usual) {
        Ok(status) => {
            whole(status, bytes.len())?;
            judge(&response, bytes, to_head, see)
        }
        Err(httparse::Error::TooManyHeaders) => {
            let mut many = vec![httparse::EMPTY_HEADER; MANY_HEADERS];
            let mut response = httparse::Response::new(&mut many);
            let status = config.parse_response(&mut response, bytes).map_err(reason)?;
            whole(status, bytes.len())?;
            judge(&response, bytes, to_head, see)
        }
        Err(error) => Err(reason(error)),
    }
}

/// Checks that `httparse` finds the end of the head at the same position.
fn whole(status: httparse::Status<usize>, length: usize) -> Result<(), Malformed> {
    match status {
        httparse::Status::Complete(n) if n == length => Ok(()),
        _ => Err(Malformed("the head does not end with an empty line")),
    }
}

fn reason(error: httparse::Error) -> Malformed {
    Malformed(match error {
        httparse::Error::HeaderName => "a header name has a byte that is not allowed, such as a space before the colon",
        httparse::Error::HeaderValue => "a header value has a byte that is not allowed",
        httparse::Error::NewLine => "a line ends wrongly",
        httparse::Error::Status => "the status is not a number of three digits",
        httparse::Error::Token => "the status line has a byte that is not allowed",
        httparse::Error::TooManyHeaders => "more than 4096 headers",
        httparse::Error::Version => "it is not HTTP/1.0 or HTTP/1.1",
    })
}

fn judge(
    response: &httparse::Response<'_, '_>,
    raw: &[u8],
    to_head: bool,
    see: impl FnOnce(&Head<'_>),
) -> Result<Option<HeadFacts>, Malformed> {
    let (Some(status), Some(minor_version)) = (response.code, response.version) else {
        return Err(Malformed("the head ends before the status line does"));
    };
    // httparse accepts any three digits.
    if status < 100 {
        return Err(Malformed("the status is below 100"));
    }
    // An unsolicited upgrade ends the HTTP exchange on this connection; other 1xx responses precede the final one.
    if (100..200).contains(&status) && status != 101 {
        return Ok(None);
    }
    let facts = facts(status, minor_version, response.headers, to_head)?;
    see(&Head {
        status,
        minor_version,
        headers: response.headers,
        raw,
        facts,
    });
    Ok(Some(facts))
}

/// RFC 9112, 6.3 (the length of a message body) and 9.3 (persistence), as hyper reads them.
fn facts(
    status: u16,
    minor_version: u8,
    headers: &[httparse::Header<'_>],
    to_head: bool,
) -> Result<HeadFacts, Malformed> {
    let mut close = false;
    let mut keep = false;
    let mut length = None;
    let mut bad_length = false;
    let mut coded = false;
    let mut chunked_last = false;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            match (parse_length(header.value), length) {
                (Some(n), None) => length = Some(n),
                (Some(n), Some(known)) if n == known => {}
                _ => bad_length = true,
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            coded = true;
            chunked_last = tokens(header.value)
                .last()
                .is_some_and(|t| t.eq_ignore_ascii_case(b"chunked"));
        } else if header.name.eq_ignore_ascii_case("connection") {
            for token in tokens(header.value) {
                close |= token.eq_ignore_ascii_case(b"close");
                keep |= token.eq_ignore_ascii_case(b"keep-alive");
            }
        }
    }
    let persistent = !close && (minor_version == 1 || keep);
    let framing = if to_head || status == 204 || status == 304 || status == 101 {
        Framing::None
    } else if coded {
        if minor_version == 0 {
            return Err(Malformed("HTTP/1.0 has no transfer-encoding"));
        }
        if chunked_last {
            Framing::Chunked
        } else {
            Framing::UntilClose
        }
    } else if bad_length {
        return Err(Malformed(
            "content-length is not one number: its values differ or are not digits",
        ));
    } else if let Some(length) = length {
        Framing::Sized(length)
    } else {
        Framing::UntilClose
    };
    Ok(HeadFacts {
        framing,
        keep_alive: persistent && framing != Framing::UntilClose && status != 101,
    })
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|t| !t.is_empty())
}

/// Parses one number, or a list that repeats the same number.
fn parse_length(value: &[u8]) -> Option<u64> {
    let mut found = None;
    for part in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        if part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let n: u64 = std::str::from_utf8(part).ok()?.parse().ok()?;
        if *found.get_or_insert(n) != n {
            return None;
        }
    }
    found
}
