//! Keeps the first bytes of a response, to explain why hyper rejects it.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::{
    excerpt::first_line,
    http1::{Head, Parser, Sink},
};

/// Maximum number of bytes that are kept of a response: most heads, and the first chunks of a body.
const KEPT: usize = 8 * 1024;

/// The first bytes of the response that a connection reads.
#[derive(Debug, Default)]
pub(super) struct ResponseStart(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// The request was HEAD.
    to_head: bool,
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
        kept.to_head = to_head;
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
                let surplus = kept.bytes.len() - fed.consumed;
                format!("{surplus} bytes follow the end that the response declares")
            }
            Ok(_) => unknown(),
        };
        with_first_line(rule, &kept.bytes)
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
