//! Errors of requests, which have already been counted.

use std::{error::Error, fmt, io};

use super::super::{
    result::ErrorKind,
    tls::{Connector, tls_error},
};
use super::response_start::ResponseStart;

/// A failed request or check. It has already been counted: a script may return it or continue.
#[derive(Debug)]
pub struct RequestError {
    kind: ErrorKind,
    /// Subject of the message, before the explanation.
    subject: &'static str,
    what: String,
}

impl RequestError {
    pub(super) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            subject: "",
            what: what.into(),
        }
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Creates the error of a failed connection attempt.
    pub(super) fn connecting(error: &io::Error) -> Self {
        use rustix::io::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        let kind = match errno {
            Some(Errno::CONNREFUSED) => ErrorKind::Refused,
            Some(Errno::TIMEDOUT) => ErrorKind::ConnectTimeout,
            Some(Errno::ADDRNOTAVAIL) => ErrorKind::NoPorts,
            Some(Errno::MFILE | Errno::NFILE) => ErrorKind::NoDescriptors,
            _ => ErrorKind::ConnectReset,
        };
        Self::new(kind, format!("failed to connect: {error}"))
    }

    /// Creates the error of a failed TLS handshake.
    pub(super) fn shaking_hands(error: &io::Error, connector: &Connector) -> Self {
        let kind = if error.kind() == io::ErrorKind::UnexpectedEof || tls_error(error).is_some() {
            ErrorKind::Tls
        } else {
            ErrorKind::ConnectReset
        };
        Self::new(kind, connector.explain_io(error))
    }

    /// Creates the error of a lost connection or an invalid response, of which `start` has the first bytes; `None` over HTTP/2.
    pub(super) fn talking(error: &hyper::Error, start: Option<&ResponseStart>) -> Self {
        let kind = kind_of(error);
        let explained = start.and_then(|start| match kind {
            ErrorKind::Malformed => Some(("malformed response: ", start.explain_malformed(|| rule(error)))),
            ErrorKind::PrematureEnd => Some(("incomplete response: ", start.explain_end()?)),
            _ => None,
        });
        match explained {
            Some((subject, what)) => Self { kind, subject, what },
            None => Self::new(kind, describe(error)),
        }
    }

    /// Creates the error of a response whose connection has bytes after its declared end, described by `what`.
    pub(super) fn surplus(what: String) -> Self {
        Self {
            kind: ErrorKind::Malformed,
            subject: "malformed response: ",
            what,
        }
    }

    /// Returns the explanation without its subject, for the samples of a kind.
    pub(super) fn explanation(&self) -> &str {
        &self.what
    }
}

/// Returns the rule that a response breaks, where only hyper found that it does.
fn rule(error: &hyper::Error) -> String {
    // `is_parse_too_large` would need hyper's server.
    if error.is_parse() && error.to_string().contains("too large") {
        "the head is too long or has more than 4096 headers".to_owned()
    } else if error.is_parse_status() {
        "the status is not a number of three digits".to_owned()
    } else if error.is_parse() {
        format!("the head breaks a rule ({})", describe(error))
    } else {
        format!("the body breaks a rule ({})", describe(error))
    }
}

fn kind_of(error: &hyper::Error) -> ErrorKind {
    if error.is_user() || error.is_body_write_aborted() {
        // The script's own body stream failed.
        return ErrorKind::Script;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return ErrorKind::PrematureEnd;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            if tls_error(io).is_some() {
                return ErrorKind::Tls;
            }
            return match io.kind() {
                io::ErrorKind::BrokenPipe => ErrorKind::WriteReset,
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => ErrorKind::ReadReset,
                io::ErrorKind::UnexpectedEof => ErrorKind::PrematureEnd,
                _ => ErrorKind::Malformed,
            };
        }
        source = cause.source();
    }
    ErrorKind::Malformed
}

/// Formats an error with its cause, which hyper's own messages omit.
fn describe(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.subject, self.what)
    }
}

impl Error for RequestError {}
