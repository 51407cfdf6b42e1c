//! Keeps the first bytes of a response, to explain why hyper rejects it.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{StatusCode, header, response::Parts};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::{
    excerpt::first_line,
    http1::{self, Head, Parser, Sink},
};

/// Maximum number of bytes that are kept of a response: most heads, and the first chunks of a body.
const KEPT: usize = 8 * 1024;

/// The first bytes of the response that a connection reads.
#[derive(Debug, Default)]
pub(super) struct ResponseStart(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Number of bytes read, also of those that are not kept.
    read: u64,
    /// The request was HEAD.
    to_head: bool,
}

impl Kept {
    fn surplus(&self, head: &Parts) -> Option<u64> {
        let bodiless = self.to_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = match head.headers.get(header::CONTENT_LENGTH) {
            _ if bodiless => 0,
            Some(length) if !head.headers.contains_key(header::TRANSFER_ENCODING) => {
                length.to_str().ok()?.trim().parse::<u64>().ok()?
            }
            // The end of a chunked body is found by decoding it; a body without either ends with the connection.
            _ if self.bytes.len() < KEPT => {
                let fed = Parser::new(self.to_head).feed(&self.bytes, &mut Ignored).ok()?;
                let surplus = self.bytes.len() - fed.consumed;
                return (fed.complete && surplus > 0).then_some(surplus as u64);
            }
            _ => return None,
        };
        // Fast path: the shortest head that a response can have.
        if self.read <= length {
            return None;
        }
        let end = http1::final_head_end(&self.bytes)? as u64;
        self.read.checked_sub(end + length).filter(|surplus| *surplus > 0)
    }
}

/// Ignores a response.
struct Ignored;

impl Sink for Ignored {
    fn head(&mut self, _: &Head<'_>) {}
    fn body(&mut self, _: &[u8]) {}
}

impl ResponseStart {
    /// Forgets the previous response.
    pub(super) fn begin(&self, to_head: bool) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes.clear();
        kept.read = 0;
        kept.to_head = to_head;
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.read += bytes.len() as u64;
        let left = KEPT - kept.bytes.len();
        if left > 0 {
            kept.bytes.extend_from_slice(&bytes[..bytes.len().min(left)]);
        }
    }

    /// Returns the rule that the response breaks, as declared loads report it; otherwise `unknown`, hyper's own words.
    pub(super) fn explain_malformed(&self, unknown: impl FnOnce() -> String) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = match Parser::new(kept.to_head).feed(&kept.bytes, &mut Ignored) {
            Err(malformed) => malformed.0.to_owned(),
            Ok(fed) if fed.complete && fed.consumed < kept.bytes.len() && kept.bytes.len() < KEPT => {
                surplus_text((kept.bytes.len() - fed.consumed) as u64)
            }
            Ok(_) => unknown(),
        };
        with_first_line(rule, &kept.bytes)
    }

    /// Describes the bytes that were read after a complete response; `None` if there are none. Of a chunked body longer than
    /// the kept bytes it is not known.
    pub(super) fn explain_surplus(&self, head: &Parts) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let surplus = kept.surplus(head)?;
        Some(with_first_line(surplus_text(surplus), &kept.bytes))
    }

    /// Returns what is missing at the end of the connection; `None` if nothing was received or it is not known.
    pub(super) fn explain_end(&self) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes.is_empty() || kept.bytes.len() == KEPT {
            return None;
        }
        let mut parser = Parser::new(kept.to_head);
        let fed = parser.feed(&kept.bytes, &mut Ignored).ok()?;
        (!fed.complete).then(|| with_first_line(parser.missing(), &kept.bytes))
    }
}

fn surplus_text(surplus: u64) -> String {
    format!("{surplus} bytes follow the end that the response declares")
}

fn with_first_line(what: String, response: &[u8]) -> String {
    if response.is_empty() {
        return what;
    }
    format!("{what}; its first line is {}", first_line(response))
}

/// A stream that keeps the start of each response.
#[derive(Debug)]
pub(super) struct Observed<S> {
    pub(super) stream: S,
    pub(super) start: Arc<ResponseStart>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.start.keep(&buffer.filled()[before..]);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
