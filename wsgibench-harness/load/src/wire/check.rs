//! Checks responses while they arrive.

use std::fmt::Write as _;

use super::{
    super::{
        body_check::{self, BodyCheck},
        excerpt::{SHOWN, excerpt},
        http1::{Head, HeadFacts, Sink, unfolded},
        request::Check,
    },
    PreparedRequest,
};

/// No check failed.
pub(crate) const NO_CHECK: u16 = u16::MAX;
/// Bytes of a failed response kept for its sample: enough for [`SHOWN`] characters.
const SAMPLE: usize = 4 * SHOWN;
/// The first bytes of a gzip body.
const GZIP: &[u8] = b"\x1f\x8b";
/// Maximum size of a cached head, bytes: comparing a longer one costs as much as parsing a common one.
const REMEMBERED_HEAD: usize = 4096;

/// The checks of one request. Each has a number that is unique in the mix.
#[derive(Debug)]
pub(crate) struct Checks {
    /// The expected status; `None`: 200 to 399.
    status: Option<u16>,
    status_id: u16,
    headers: Vec<(u16, String, String)>,
    body: Option<(u16, Vec<u8>)>,
    length: Option<(u16, u64)>,
    /// Checks of the content, which need the whole body.
    contents: Vec<(u16, BodyCheck)>,
}

/// The state of the checks of one response.
#[derive(Debug)]
pub(crate) struct CheckState {
    /// The first check that failed.
    pub(crate) failed: u16,
    /// Whether this response is kept as the sample of that check.
    sampling: bool,
    /// Body bytes so far.
    body_at: u64,
    /// The body so far, if its content is checked.
    body: Vec<u8>,
}

/// The last response head of a request, so that the same bytes are not parsed and checked again. Servers send the same head
/// for a whole second, until their date changes.
#[derive(Debug, Default)]
pub(crate) struct HeadCache {
    bytes: Vec<u8>,
    known: Option<(HeadFacts, u16)>,
}

/// Checks one response.
pub(crate) struct Judge<'a> {
    pub(crate) request: &'a PreparedRequest,
    pub(crate) state: &'a mut CheckState,
    pub(crate) cache: &'a mut HeadCache,
    /// One sample for each check of the mix: the first response that fails it.
    pub(crate) samples: &'a mut [Option<String>],
}

impl Checks {
    pub(super) fn new(checks: &[Check], names: &mut Vec<String>) -> Result<Self, String> {
        let mut id = |name: String| {
            names.push(name);
            u16::try_from(names.len() - 1).unwrap_or(NO_CHECK - 1)
        };
        let status = checks.iter().rev().find_map(|check| match check {
            Check::Status(status) => Some(*status),
            _ => None,
        });
        let status_id = id(status.map_or("status 200 to 399".into(), |status| format!("status {status}")));
        let mut this = Self {
            status,
            status_id,
            headers: Vec::new(),
            body: None,
            length: None,
            contents: Vec::new(),
        };
        for check in checks {
            match check {
                Check::Status(_) => {}
                Check::Header(name, value) => {
                    let number = id(format!("header {name}: {value}"));
                    this.headers.push((number, name.clone(), value.clone()));
                }
                Check::Body(body) => this.body = Some((id(body_name(body)), body.clone())),
                Check::BodyLength(length) => this.length = Some((id(format!("body length {length}")), *length)),
                Check::BodyContains(_) | Check::BodyMatches(_) | Check::Json(..) => {
                    if let Some(content) = BodyCheck::new(check)? {
                        this.contents.push((id(content.name()), content));
                    }
                }
            }
        }
        Ok(this)
    }

    /// Returns whether this is the status check, whose failures have a separate error kind.
    pub(crate) fn is_status(&self, id: u16) -> bool {
        id == self.status_id
    }

    /// Returns the part of a head that a failed check shows: the status line, or the values of the header.
    fn shown(&self, failed: u16, head: &Head<'_>) -> String {
        if failed == self.status_id {
            let line = head.raw.trim_ascii_start();
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return format!("{}\n", excerpt(line.trim_ascii_end()));
        }
        let Some((_, name, _)) = self.headers.iter().find(|(id, ..)| *id == failed) else {
            return String::new();
        };
        let values: Vec<String> = head
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| format!("{name}: {}\n", excerpt(&unfolded(header.value))))
            .collect();
        if values.is_empty() {
            return format!("no header {name}\n");
        }
        values.concat()
    }

    fn head(&self, head: &Head<'_>) -> u16 {
        let right = match self.status {
            Some(status) => head.status == status,
            None => (200..400).contains(&head.status),
        };
        if !right {
            return self.status_id;
        }
        for (id, name, value) in &self.headers {
            let found = head
                .headers
                .iter()
                .any(|header| header.name.eq_ignore_ascii_case(name) && *unfolded(header.value) == *value.as_bytes());
            if !found {
                return *id;
            }
        }
        NO_CHECK
    }
}

impl CheckState {
    pub(crate) const FRESH: Self = Self {
        failed: NO_CHECK,
        sampling: false,
        body_at: 0,
        body: Vec::new(),
    };

    /// Resets the state for the next response; keeps the buffer of the body.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.failed = NO_CHECK;
        self.sampling = false;
        self.body_at = 0;
        self.body.clear();
    }
}

impl HeadCache {
    /// Returns length, facts and failed check of the known head, if `bytes` begin with it.
    #[inline]
    pub(crate) fn lookup(&self, bytes: &[u8]) -> Option<(usize, HeadFacts, u16)> {
        let (facts, failed) = self.known?;
        bytes
            .starts_with(&self.bytes)
            .then_some((self.bytes.len(), facts, failed))
    }

    /// Returns the cached head.
    pub(crate) fn head(&self) -> &[u8] {
        if self.known.is_some() { &self.bytes } else { b"" }
    }

    fn remember(&mut self, raw: &[u8], facts: HeadFacts, failed: u16) {
        self.known = None;
        if raw.len() <= REMEMBERED_HEAD {
            self.bytes.clear();
            self.bytes.extend_from_slice(raw);
            self.known = Some((facts, failed));
        }
    }
}

impl Judge<'_> {
    /// Completes the checks of a response. Returns the failed check, or [`NO_CHECK`].
    #[inline]
    pub(crate) fn end(&mut self) -> u16 {
        if self.state.failed == NO_CHECK {
            let checks = &self.request.checks;
            if let Some((id, body)) = &checks.body
                && self.state.body_at != body.len() as u64
            {
                self.fail(*id, format!("a body of {} bytes", self.state.body_at).as_bytes());
            } else if let Some((id, length)) = checks.length
                && self.state.body_at != length
            {
                self.fail(id, format!("a body of {} bytes", self.state.body_at).as_bytes());
            } else if !checks.contents.is_empty() {
                self.contents();
            }
        }
        if self.state.sampling {
            self.finish_sample();
        }
        self.state.failed
    }

    /// Cuts the sample to the displayed length and adds the length of the body.
    #[cold]
    fn finish_sample(&mut self) {
        self.state.sampling = false;
        let Some(Some(sample)) = self.samples.get_mut(usize::from(self.state.failed)) else {
            return;
        };
        // The last character may be missing if the next one did not fit.
        let full = sample.len() + 4 > SAMPLE;
        if let Some((cut, _)) = sample.char_indices().nth(SHOWN) {
            sample.truncate(cut);
        } else if !full {
            return;
        }
        // Writing to a string cannot fail.
        let _ = write!(sample, "... (body of {} bytes)", self.state.body_at);
    }

    /// Checks the content of the whole body.
    fn contents(&mut self) {
        let body = std::mem::take(&mut self.state.body);
        let contents = &self.request.checks.contents;
        if let Some((id, _)) = contents.iter().find(|(_, content)| !content.holds(&body)) {
            self.fail(*id, if body.is_empty() { b"an empty body" } else { &body });
        }
        self.state.body = body;
    }

    /// Keeps a part of the body for the checks of its content, unless the body is too long.
    fn keep(&mut self, piece: &[u8]) {
        if let Some((id, _)) = self.request.checks.contents.first() {
            if self.state.body.len() + piece.len() > body_check::LARGEST {
                self.fail(*id, b"a body of more than 16 MiB, the most that can be checked");
            } else {
                self.state.body.extend_from_slice(piece);
            }
        }
    }

    #[cold]
    fn fail(&mut self, id: u16, shown: &[u8]) {
        self.state.failed = id;
        if let Some(sample) = self.samples.get_mut(usize::from(id))
            && sample.is_none()
        {
            *sample = Some(String::new());
            self.state.sampling = true;
        }
        self.show(shown);
    }

    /// Adds to the sample, if this response is sampled.
    fn show(&mut self, bytes: &[u8]) {
        if !self.state.sampling {
            return;
        }
        if let Some(Some(sample)) = self.samples.get_mut(usize::from(self.state.failed)) {
            let left = SAMPLE.saturating_sub(sample.len());
            let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(left)]).into_owned();
            while text.len() > left {
                text.pop();
            }
            sample.push_str(&text);
        }
    }
}

impl Sink for Judge<'_> {
    fn head(&mut self, head: &Head<'_>) {
        let failed = self.request.checks.head(head);
        if failed != NO_CHECK {
            let shown = self.request.checks.shown(failed, head);
            self.fail(failed, shown.as_bytes());
        }
        self.cache.remember(head.raw, head.facts, failed);
    }

    #[inline]
    fn body(&mut self, piece: &[u8]) {
        if self.state.failed == NO_CHECK
            && let Some((id, expected)) = &self.request.checks.body
        {
            let rest = usize::try_from(self.state.body_at)
                .ok()
                .and_then(|at| expected.get(at..));
            if !rest.is_some_and(|rest| rest.starts_with(piece)) {
                if self.state.body_at == 0 && piece.starts_with(GZIP) {
                    self.fail(
                        *id,
                        b"a body in gzip: declared requests compare bodies as they are sent",
                    );
                    self.state.sampling = false;
                } else {
                    if self.state.body_at > 0 {
                        self.fail(*id, b"...");
                    }
                    self.fail(*id, piece);
                }
            }
        } else if self.state.sampling {
            self.show(piece);
        }
        if self.state.failed == NO_CHECK {
            self.keep(piece);
        }
        self.state.body_at += piece.len() as u64;
    }
}

/// Returns the name of a body check. It contains a short expected text, so that a failure shows both sides.
fn body_name(body: &[u8]) -> String {
    const SHOWN: usize = 40;
    match std::str::from_utf8(body) {
        Ok(text) if body.len() <= SHOWN => format!("body {text:?}"),
        _ => format!("body of {} bytes", body.len()),
    }
}
