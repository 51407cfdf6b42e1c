//! Responses and their checks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, response::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::{
    super::{body_check, excerpt::excerpt, result::ErrorKind},
    content::{self, Undecoded},
    exchange::{Ticket, surplus},
    request_error::RequestError,
    response_start::ResponseStart,
};

/// A complete response. Its request counts as done if no check had failed by the time it is dropped; without a check
/// of the status, 200 to 399 passes.
#[derive(Debug)]
pub struct Response {
    head: Parts,
    body: Bytes,
    ticket: Ticket,
}

impl Response {
    pub(super) fn new(head: Parts, body: Bytes, ticket: Ticket) -> Self {
        Self { head, body, ticket }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Returns all headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Returns the value of a header, if it is present and text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Returns the raw body, without decoding its `Content-Encoding`.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body as text, decoded from gzip or deflate; bytes that are not UTF-8 are replaced. For another
    /// `Content-Encoding` it returns a message that names it.
    #[must_use]
    pub fn text(&self) -> String {
        match self.decoded() {
            Ok(body) => String::from_utf8_lossy(&body).into_owned(),
            Err(undecoded) => format!("({undecoded})"),
        }
    }

    /// Deserializes the body from JSON, decoded from gzip or deflate.
    ///
    /// # Errors
    /// Returns an error if the body is not JSON of this form, or has an unsupported `Content-Encoding`; counted as the failed
    /// check `json`.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, RequestError> {
        let read = match self.decoded() {
            Ok(body) => serde_json::from_slice(&body).map_err(|error| format!("{error} in {}", self.sample())),
            Err(undecoded) => Err(undecoded.to_string()),
        };
        match read {
            Ok(value) => Ok(value),
            Err(sample) => Err(self.ticket.fails_check(ErrorKind::CheckFailed, "json".into(), sample)),
        }
    }

    /// Expects this status.
    ///
    /// # Errors
    /// Returns an error for another status; counted as the failed check `status N`.
    pub fn expect_status(self, status: u16) -> Result<Self, RequestError> {
        if self.head.status == status {
            self.ticket.passes();
            return Ok(self);
        }
        self.fail(ErrorKind::Status, format!("status {status}"))
    }

    /// Accepts any status; the script checks it itself.
    #[must_use]
    pub fn any_status(self) -> Self {
        self.ticket.passes();
        self
    }

    /// Expects exactly this body, decoded from gzip or deflate.
    ///
    /// # Errors
    /// Returns an error for another body; counted as the failed check `body`.
    pub fn expect_body(self, body: impl AsRef<[u8]>) -> Result<Self, RequestError> {
        let holds = self.decoded().is_ok_and(|decoded| decoded == body.as_ref());
        self.expect("body", holds)
    }

    /// Expects this text anywhere in the body, decoded from gzip or deflate.
    ///
    /// # Errors
    /// Returns an error if the body does not contain it; counted as the failed check `body contains "TEXT"`, long texts cut.
    pub fn expect_body_contains(self, text: &str) -> Result<Self, RequestError> {
        let holds = self
            .decoded()
            .is_ok_and(|decoded: Bytes| memchr::memmem::find(&decoded, text.as_bytes()).is_some());
        if holds {
            return Ok(self);
        }
        self.fail(ErrorKind::CheckFailed, body_check::contains_name(text))
    }

    /// Expects a match of a regular expression anywhere in the body, decoded from gzip or deflate (syntax of the crate
    /// `regex`). The pattern is compiled at its first use.
    ///
    /// ```
    /// use wsgibench_harness::prelude::*;
    ///
    /// async fn search(user: &mut User) -> Result<()> {
    ///     let found = user.get("/books?subject=music").await?.expect_status(200)?;
    ///     found.expect_body_matches(r"<b>\d+</b> books")?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns an error if nothing matches or the pattern is invalid; counted as the failed check `body matches PATTERN`, long
    /// patterns cut.
    pub fn expect_body_matches(self, pattern: &str) -> Result<Self, RequestError> {
        let holds = match self.decoded() {
            Ok(body) => body_check::is_match(pattern, &body),
            Err(_) => Ok(false),
        };
        match holds {
            Ok(true) => Ok(self),
            Ok(false) => self.fail(ErrorKind::CheckFailed, body_check::matches_name(pattern)),
            Err(problem) => {
                let name = body_check::matches_name(pattern);
                Err(self.ticket.fails_check(ErrorKind::CheckFailed, name, problem))
            }
        }
    }

    /// Expects a JSON body, decoded from gzip or deflate, with this value at a JSON pointer (RFC 6901), e.g. `/items/0/id`.
    ///
    /// # Errors
    /// Returns an error if the body is not JSON or has another value; counted as the failed check `json POINTER = VALUE`.
    pub fn expect_json(self, pointer: &str, value: impl Into<serde_json::Value>) -> Result<Self, RequestError> {
        let expected = value.into();
        let holds = self.decoded().is_ok_and(|body| {
            serde_json::from_slice::<serde_json::Value>(&body)
                .is_ok_and(|document| document.pointer(pointer) == Some(&expected))
        });
        if holds {
            return Ok(self);
        }
        self.fail(ErrorKind::CheckFailed, body_check::json_name(pointer, &expected))
    }

    /// Expects a header with this value.
    ///
    /// # Errors
    /// Returns an error if it is missing or different; counted as the failed check `header NAME`.
    pub fn expect_header(self, name: &str, value: &str) -> Result<Self, RequestError> {
        let holds = self.head.headers.get_all(name).iter().any(|v| v == value);
        if holds {
            return Ok(self);
        }
        self.fail(ErrorKind::CheckFailed, format!("header {name}"))
    }

    /// Adds a custom check, counted under `name`.
    ///
    /// # Errors
    /// Returns an error unless it holds.
    pub fn expect(self, name: &str, holds: bool) -> Result<Self, RequestError> {
        if holds {
            return Ok(self);
        }
        self.fail(ErrorKind::CheckFailed, name.to_owned())
    }

    fn fail(self, kind: ErrorKind, name: String) -> Result<Self, RequestError> {
        let sample = self.sample();
        Err(self.ticket.fails_check(kind, name, sample))
    }

    fn sample(&self) -> String {
        if self.body.is_empty() {
            return format!("{} without a body", self.head.status);
        }
        let shown = match self.decoded() {
            Ok(body) => excerpt(&body),
            Err(undecoded) => format!("({undecoded})"),
        };
        format!("{}: {shown}", self.head.status)
    }

    fn decoded(&self) -> Result<Bytes, Undecoded> {
        content::decode(&self.head.headers, &self.body)
    }
}

/// A response whose body has not been read. Read it to the end: a request with an incomplete response is censored.
#[derive(Debug)]
pub struct Streaming {
    head: Parts,
    body: Incoming,
    /// Its first bytes; `None` over HTTP/2.
    start: Option<Arc<ResponseStart>>,
    ticket: Option<Ticket>,
    /// Timeout of each chunk.
    timeout: Duration,
}

impl Streaming {
    pub(super) fn new(
        response: http::Response<Incoming>,
        start: Option<Arc<ResponseStart>>,
        ticket: Ticket,
        timeout: Duration,
    ) -> Self {
        let (head, body) = response.into_parts();
        Self {
            head,
            body,
            start,
            ticket: Some(ticket),
            timeout,
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Returns all headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Reads the next chunk; `None` at the end of the body.
    ///
    /// # Errors
    /// Returns an error if the connection is lost, or no chunk arrives within the timeout.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RequestError> {
        loop {
            let frame = tokio::time::timeout(self.timeout, self.body.frame()).await;
            let failure = match frame {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_trailers) => continue,
                },
                Ok(None) => {
                    let Some(ticket) = &mut self.ticket else {
                        return Ok(None);
                    };
                    let Some(failure) = surplus(&self.head, self.start.as_deref()) else {
                        ticket.is_answered(self.head.status);
                        return Ok(None);
                    };
                    self.fail(|ticket| ticket.fails(failure))
                }
                Ok(Some(Err(error))) => {
                    let failure = RequestError::talking(&error, self.start.as_deref());
                    self.fail(|ticket| ticket.fails(failure))
                }
                Err(_) => {
                    let timeout = self.timeout;
                    self.fail(|ticket| ticket.times_out(timeout))
                }
            };
            return Err(failure);
        }
    }

    /// Reads and discards the rest of the body; returns the response without its body, and the length in bytes.
    ///
    /// # Errors
    /// Returns the errors of [`chunk`](Self::chunk).
    pub async fn drain(mut self) -> Result<(Response, u64), RequestError> {
        let mut length = 0;
        while let Some(piece) = self.chunk().await? {
            length += piece.len() as u64;
        }
        match self.ticket.take() {
            Some(ticket) => Ok((Response::new(self.head, Bytes::new(), ticket), length)),
            None => Err(broken()),
        }
    }

    fn fail(&mut self, how: impl FnOnce(Ticket) -> RequestError) -> RequestError {
        self.ticket.take().map_or_else(broken, how)
    }
}

fn broken() -> RequestError {
    RequestError::new(ErrorKind::PrematureEnd, "the response had ended early")
}
