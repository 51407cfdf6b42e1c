//! An incremental parser of HTTP/1.x responses, without sockets or a clock.
//!
//! Input may be split at any byte. `httparse` parses each head once it is complete; body chunks are passed to the [`Sink`]
//! and never buffered. The parser allocates only if a head arrives in several reads.

mod chunked;
mod head;

use chunked::Chunked;
pub use head::{Framing, Head, HeadFacts, unfolded};
pub(super) use head::{MANY_HEADERS, final_head_end};

/// Maximum head size in bytes; a longer head is [`Malformed`].
pub const HEAD_LIMIT: usize = 64 * 1024;

/// Maximum size in bytes of the partial-head buffer kept for the next response.
const KEPT_BUFFER: usize = 4096;

/// The bytes are not an HTTP/1.x response; the text gives the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed response: {0}")]
pub struct Malformed(pub &'static str);

/// Receives the parsed parts of a response.
pub trait Sink {
    /// Receives the head of the final response (interim 1xx heads are skipped).
    fn head(&mut self, head: &Head<'_>);
    /// Receives the next part of the body, with the transfer coding removed.
    fn body(&mut self, piece: &[u8]);
}

/// The result of [`Parser::feed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Number of input bytes that belong to this response.
    pub consumed: usize,
    /// The response is complete.
    pub complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Sized(u64),
    Chunked(Chunked),
    UntilClose,
    Complete,
}

/// The parser state of one response.
#[derive(Debug)]
pub struct Parser {
    state: State,
    /// The request was HEAD: the response has no body, whatever its head declares.
    to_head: bool,
    keep_alive: bool,
    /// The received part of an incomplete head; empty and unallocated otherwise.
    partial: Vec<u8>,
}

impl Parser {
    /// Creates a parser for one response; `to_head` is true for a HEAD request.
    #[must_use]
    pub fn new(to_head: bool) -> Self {
        Self {
            state: State::Head,
            to_head,
            keep_alive: false,
            partial: Vec::new(),
        }
    }

    /// Resets the parser for the next response.
    #[inline]
    pub fn reset(&mut self, to_head: bool) {
        self.state = State::Head;
        self.to_head = to_head;
        self.keep_alive = false;
        self.partial.clear();
    }

    /// Returns whether the connection can be reused. Valid once the response is complete.
    #[inline]
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Returns whether no byte of the response has been consumed yet.
    #[inline]
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.state == State::Head && self.partial.is_empty()
    }

    /// Applies the facts of a previously parsed identical head, to avoid parsing it again. The caller has compared the bytes.
    #[inline]
    pub fn assume_head(&mut self, facts: HeadFacts) {
        self.keep_alive = facts.keep_alive;
        self.state = match facts.framing {
            Framing::None | Framing::Sized(0) => State::Complete,
            Framing::Sized(n) => State::Sized(n),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose => State::UntilClose,
        };
    }

    /// Parses the next bytes.
    ///
    /// # Errors
    /// Returns [`Malformed`] if the bytes cannot be part of an HTTP/1.x response; the connection is then unusable.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<Fed, Malformed> {
        let mut at = 0;
        while self.state == State::Head && at < bytes.len() {
            at += self.feed_head(&bytes[at..], sink)?;
        }
        at += self.feed_body(&bytes[at..], sink)?;
        Ok(Fed {
            consumed: at,
            complete: self.state == State::Complete,
        })
    }

    /// Handles the peer's close; returns whether it completes the response (a body delimited by the close).
    #[must_use]
    pub fn finish(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Complete;
        }
        self.state == State::Complete
    }

    /// Parses body bytes for [`feed`](Self::feed); returns the number of bytes consumed.
    #[inline]
    fn feed_body(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Malformed> {
        match &mut self.state {
            State::Head | State::Complete => Ok(0),
            State::Sized(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                if take > 0 {
                    sink.body(&bytes[..take]);
                }
                *left -= take as u64;
                if *left == 0 {
                    self.state = State::Complete;
                }
                Ok(take)
            }
            State::UntilClose => {
                if !bytes.is_empty() {
                    sink.body(bytes);
                }
                Ok(bytes.len())
            }
            State::Chunked(decoder) => {
                let (taken, ended) = decoder.feed(bytes, |piece| sink.body(piece))?;
                if ended {
                    self.state = State::Complete;
                }
                Ok(taken)
            }
        }
    }

    /// Returns the received part of a head that is not complete yet.
    pub(crate) fn partial_head(&self) -> Option<&[u8]> {
        (!self.partial.is_empty()).then_some(&*self.partial)
    }

    /// Describes the missing part of the response.
    pub(crate) fn missing(&self) -> String {
        match self.state {
            State::Head => "the end of the head is missing".into(),
            State::Sized(left) => format!("{left} bytes of the content-length are missing"),
            State::Chunked(_) => "the last chunk is missing".into(),
            State::UntilClose | State::Complete => "nothing is missing".into(),
        }
    }

    /// Returns whether the response is complete.
    #[inline]
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Consumes (part of) a head; returns the number of bytes consumed, at least one.
    fn feed_head(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Malformed> {
        if self.partial.is_empty() {
            if let Some(end) = head::end(bytes, 0) {
                self.whole_head(&bytes[..end], sink)?;
                return Ok(end);
            }
            self.keep_partial(bytes)?;
            return Ok(bytes.len());
        }
        // The empty line may begin in the last three bytes of the kept part.
        let kept = self.partial.len();
        let left = HEAD_LIMIT.saturating_sub(kept) + 1;
        let fresh = &bytes[..bytes.len().min(left)];
        self.partial.extend_from_slice(fresh);
        let Some(end) = head::end(&self.partial, kept.saturating_sub(3)) else {
            head::plausible(&self.partial)?;
            return Ok(fresh.len());
        };
        let mut whole = std::mem::take(&mut self.partial);
        if let Err(malformed) = self.whole_head(&whole[..end], sink) {
            self.partial = whole;
            return Err(malformed);
        }
        // A server that splits its heads is likely to do so again, so a small buffer is kept.
        if whole.capacity() <= KEPT_BUFFER {
            whole.clear();
            self.partial = whole;
        }
        Ok(end - kept)
    }

    fn keep_partial(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        head::plausible(bytes)?;
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn whole_head(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), Malformed> {
        let to_head = self.to_head;
        let facts = head::parse(bytes, to_head, |head| sink.head(head))?;
        if let Some(facts) = facts {
            self.assume_head(facts);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
