//! Prepares requests before the load starts: bytes, checks and placeholders.

mod check;
mod template;

use std::fmt::Write as _;

use check::Checks;
pub(crate) use check::{CheckState, HeadCache, Judge, NO_CHECK};
pub(crate) use template::Scratch;
use template::Template;

use super::{
    LoadError,
    body_check::BodyCheck,
    clock::{Nanos, nanos},
    model::Load,
    plan::Target,
    random::{self, Stream as RandomStream},
    request::{Body, Check, Request},
    result::RoundResult,
    retry,
};

/// Block size of streamed bodies, bytes.
const BLOCK: usize = 64 * 1024;
/// Data bytes of one chunk of a chunked body.
const CHUNK: usize = 16 * 1024;

/// The requests of a load, each in two forms: with and without `Connection: close`.
#[derive(Debug)]
pub(crate) struct Mix {
    requests: Vec<PreparedRequest>,
    /// Running sums of the weights.
    weights: Vec<u64>,
    /// Seeds of the choice of a request, and of the values in it.
    choice_seed: u64,
    value_seed: u64,
    check_names: Vec<String>,
    /// Empty where requests are not recorded one by one.
    request_names: Vec<String>,
}

/// One request of the mix.
#[derive(Debug)]
pub(crate) struct PreparedRequest {
    keep: Head,
    close: Head,
    stream: Stream,
    pub(crate) to_head: bool,
    /// Whether the method is idempotent (RFC 9110, 9.2.2).
    pub(crate) idempotent: bool,
    pub(crate) checks: Checks,
    /// The request's own timeout, nanoseconds.
    pub(crate) timeout: Option<Nanos>,
}

/// The bytes up to the streamed part of the body.
#[derive(Debug)]
enum Head {
    Fixed(Vec<u8>),
    Template(Template),
}

/// A body that is not held in memory: a repeated block and a tail.
#[derive(Debug, Default)]
struct Stream {
    block: Vec<u8>,
    blocks: u64,
    tail: Vec<u8>,
}

impl Mix {
    pub(crate) fn new(load: &Load, target: &Target, seed: u64) -> Result<Self, LoadError> {
        if load.requests.is_empty() {
            return Err(invalid(
                "the load has no request: add one, e.g. `.request(get(\"/\"))`".into(),
            ));
        }
        let mut sum = 0;
        let mut weights = Vec::new();
        let mut check_names = Vec::new();
        let mut requests = Vec::new();
        for request in &load.requests {
            sum += u64::from(request.weight);
            weights.push(sum);
            requests.push(PreparedRequest::new(request, target, &mut check_names)?);
        }
        if sum == 0 {
            return Err(invalid(
                "every request of the mix has weight 0: give at least one a weight above 0".into(),
            ));
        }
        Ok(Self {
            requests,
            weights,
            choice_seed: random::stream(seed, RandomStream::Choice),
            value_seed: random::stream(seed, RandomStream::Values),
            check_names,
            request_names: request_names(&load.requests),
        })
    }

    /// Returns the index of request number `sequence` in the mix.
    #[inline]
    pub(crate) fn choose(&self, sequence: u64) -> u32 {
        if self.requests.len() == 1 {
            return 0;
        }
        let total = self.weights.last().copied().unwrap_or(0);
        let ticket = random::below(total, random::bits(self.choice_seed, sequence));
        let index = self.weights.partition_point(|sum| *sum <= ticket);
        u32::try_from(index).unwrap_or(0)
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> &PreparedRequest {
        &self.requests[index as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn check_names(&self) -> &[String] {
        &self.check_names
    }

    /// Returns the names of the requests that are recorded one by one, by index in the mix.
    pub(crate) fn request_names(&self) -> &[String] {
        &self.request_names
    }

    /// Renders request number `sequence` into `scratch` if it has placeholders.
    #[inline]
    pub(crate) fn render(&self, index: u32, close: bool, sequence: u64, scratch: &mut Scratch) {
        if let Head::Template(template) = self.get(index).head(close) {
            template.render(self.value_seed, sequence, scratch);
        }
    }
}

impl PreparedRequest {
    fn new(request: &Request, target: &Target, check_names: &mut Vec<String>) -> Result<Self, LoadError> {
        validate(request)?;
        let stream = match request.body {
            Body::Empty | Body::Bytes(_) => Stream::default(),
            Body::Streamed(length) => Stream::plain(length),
            Body::Chunked(length) => Stream::chunked(length),
        };
        Ok(Self {
            keep: Head::new(request, target, false),
            close: Head::new(request, target, true),
            stream,
            to_head: request.method == "HEAD",
            idempotent: retry::is_idempotent(&request.method),
            checks: Checks::new(&request.checks, check_names)
                .map_err(|problem| invalid(format!("{}: {problem}", shown(request))))?,
            timeout: request.timeout.map(nanos),
        })
    }

    fn head(&self, close: bool) -> &Head {
        if close { &self.close } else { &self.keep }
    }

    /// Returns whether the head has placeholders and must be rendered for each request.
    #[inline]
    pub(crate) fn is_template(&self) -> bool {
        matches!(self.keep, Head::Template(_))
    }

    /// Returns the longest contiguous run of bytes from `offset` on; empty at the end. `rendered` is the head of a template.
    #[inline]
    pub(crate) fn piece<'a>(&'a self, close: bool, rendered: &'a [u8], offset: u64) -> &'a [u8] {
        let head: &[u8] = match self.head(close) {
            Head::Fixed(bytes) => bytes,
            Head::Template(_) => rendered,
        };
        let length = head.len() as u64;
        if offset < length {
            &head[usize::try_from(offset).unwrap_or(0)..]
        } else {
            self.stream.piece(offset - length)
        }
    }

    /// Returns the length of head and body, bytes.
    #[inline]
    pub(crate) fn length(&self, close: bool, rendered: &[u8]) -> u64 {
        let head = match self.head(close) {
            Head::Fixed(bytes) => bytes.len(),
            Head::Template(_) => rendered.len(),
        };
        head as u64 + self.stream.length()
    }
}

impl Head {
    fn new(request: &Request, target: &Target, close: bool) -> Self {
        let text_body: &[u8] = match &request.body {
            Body::Bytes(bytes) => bytes,
            _ => b"",
        };
        let names: Vec<&str> = request.values.iter().map(|(name, _)| name.as_str()).collect();
        let body_varies = template::mentions(text_body, &names);
        let line = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
        let line_varies = template::mentions_in_target(line.as_bytes(), &names);
        let mut head = String::new();
        let given = |name: &str| request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !given("host") {
            field(&mut head, format_args!("Host: {}", target.host));
        }
        for (name, value) in &request.headers {
            if !(close && name.eq_ignore_ascii_case("connection")) {
                field(&mut head, format_args!("{name}: {value}"));
            }
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        let mut length_at = None;
        match &request.body {
            Body::Empty if matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") => {
                head.push_str("Content-Length: 0\r\n");
            }
            Body::Empty => {}
            Body::Bytes(_) if body_varies => {
                head.push_str("Content-Length: ");
                length_at = Some(head.len());
                head.push_str("\r\n");
            }
            Body::Bytes(bytes) => field(&mut head, format_args!("Content-Length: {}", bytes.len())),
            Body::Streamed(length) => field(&mut head, format_args!("Content-Length: {length}")),
            Body::Chunked(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
        }
        head.push_str("\r\n");
        if line_varies || template::mentions(head.as_bytes(), &names) || body_varies {
            return Self::Template(Template::new(
                line.as_bytes(),
                head.as_bytes(),
                length_at,
                text_body,
                &request.values,
            ));
        }
        let mut bytes = line.into_bytes();
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(text_body);
        Self::Fixed(bytes)
    }
}

impl Stream {
    fn plain(length: u64) -> Self {
        let blocks = length / BLOCK as u64;
        let rest = usize::try_from(length % BLOCK as u64).unwrap_or(0);
        Self {
            block: if blocks > 0 { pattern(BLOCK) } else { Vec::new() },
            blocks,
            tail: pattern(rest),
        }
    }

    fn chunked(length: u64) -> Self {
        let chunk = |size: usize| {
            let mut bytes = format!("{size:x}\r\n").into_bytes();
            bytes.extend_from_slice(&pattern(size));
            bytes.extend_from_slice(b"\r\n");
            bytes
        };
        let blocks = length / CHUNK as u64;
        let rest = usize::try_from(length % CHUNK as u64).unwrap_or(0);
        let mut tail = if rest > 0 { chunk(rest) } else { Vec::new() };
        tail.extend_from_slice(b"0\r\n\r\n");
        Self {
            block: if blocks > 0 { chunk(CHUNK) } else { Vec::new() },
            blocks,
            tail,
        }
    }

    fn length(&self) -> u64 {
        self.blocks * self.block.len() as u64 + self.tail.len() as u64
    }

    fn piece(&self, offset: u64) -> &[u8] {
        let block = self.block.len() as u64;
        let streamed = self.blocks * block;
        let (part, at) = if offset < streamed {
            (&self.block, offset % block)
        } else {
            (&self.tail, offset - streamed)
        };
        usize::try_from(at).ok().and_then(|at| part.get(at..)).unwrap_or(b"")
    }
}

fn field(head: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(head, "{text}\r\n");
}

/// The fixed pattern of streamed bodies.
fn pattern(length: usize) -> Vec<u8> {
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

fn invalid(text: String) -> LoadError {
    LoadError::InvalidPlan(text)
}

/// Names the requests of a mix: method and path, numbered where requests share both. Returns none for a single request,
/// whose figures are those of the round, and for a mix too large to record each.
#[must_use]
pub fn request_names(requests: &[Request]) -> Vec<String> {
    let sent = requests.iter().filter(|request| request.weight > 0).count();
    if sent < 2 || requests.len() > RoundResult::MOST_RECORDED {
        return Vec::new();
    }
    let mut names: Vec<String> = Vec::new();
    for request in requests {
        let name = format!("{} {}", request.method, request.path);
        let mut free = name.clone();
        let mut number = 1;
        while names.contains(&free) {
            number += 1;
            free = format!("{name} ({number})");
        }
        names.push(free);
    }
    names
}

fn shown(request: &Request) -> String {
    format!("request {} {}", request.method, request.path)
}

/// Checks that a request can be sent as it is declared, and that each of its settings has an effect.
///
/// # Errors
/// [`LoadError::InvalidPlan`] that names the request, the problem and the remedy.
pub(crate) fn validate(request: &Request) -> Result<(), LoadError> {
    let shown = shown(request);
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    if !token(&request.method) {
        return Err(invalid(format!("{shown}: the method is not a token such as GET")));
    }
    if !(request.path.starts_with('/') || request.path == "*") {
        return Err(invalid(format!("{shown}: the path must begin with /")));
    }
    if request.path.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(invalid(format!(
            "{shown}: the path has a space or control character; write it percent-encoded, a space as %20"
        )));
    }
    for (name, value) in &request.headers {
        if !token(name) {
            return Err(invalid(format!("{shown}: {name:?} is not a header name")));
        }
        if value.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(invalid(format!("{shown}: the value of header {name} has a line break")));
        }
        let framing = ["content-length", "transfer-encoding"];
        if framing.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
            return Err(invalid(format!(
                "{shown}: {name} follows from the body; use `.body`, `.streamed_body` or `.chunked_body`"
            )));
        }
    }
    template::validate(&shown, request)?;
    if request.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(invalid(format!(
            "{shown}: a timeout of 0 would fail every request; make it longer"
        )));
    }
    for (name, _) in &request.values {
        let raw = format!("+{name}");
        let mentioned = |text: &[u8]| template::mentions(text, &[name]);
        let in_body = matches!(&request.body, Body::Bytes(bytes) if mentioned(bytes));
        if !(in_body
            || template::mentions(request.path.as_bytes(), &[name, &raw])
            || request.headers.iter().any(|(_, value)| mentioned(value.as_bytes())))
        {
            return Err(invalid(format!(
                "{shown}: the value {name:?} is not used; write {{{name}}} in the path, a header or the body"
            )));
        }
    }
    validate_checks(&shown, &request.checks)
}

/// Rejects invalid and duplicate checks.
fn validate_checks(shown: &str, checks: &[Check]) -> Result<(), LoadError> {
    let twice = |what: &str, is: fn(&Check) -> bool| {
        (checks.iter().filter(|check| is(check)).count() > 1)
            .then(|| invalid(format!("{shown}: {what} is checked twice; leave one check")))
    };
    let problem = twice("the status", |check| matches!(check, Check::Status(_)))
        .or_else(|| twice("the whole body", |check| matches!(check, Check::Body(_))))
        .or_else(|| twice("the length of the body", |check| matches!(check, Check::BodyLength(_))));
    if let Some(problem) = problem {
        return Err(problem);
    }
    for check in checks {
        BodyCheck::new(check).map_err(|problem| invalid(format!("{shown}: {problem}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
