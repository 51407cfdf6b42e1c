//! An incremental parser of HTTP/1.x answers: bytes in, facts out; no sockets, no clock.
//!
//! Bytes may come in pieces of any size. Heads are parsed by `httparse` once they are whole; a body is handed to the
//! [`Sink`] piece by piece and never held. Nothing is allocated unless a head arrives in several pieces.

mod chunked;
mod head;

use chunked::Chunked;
pub use head::{Framing, Head, HeadFacts};

/// Longest head that is accepted, bytes; anything longer is [`Malformed`].
pub const HEAD_LIMIT: usize = 64 * 1024;

/// Largest buffer for heads in pieces that is kept for the next one, bytes.
const KEPT_BUFFER: usize = 4096;

/// The bytes are not an HTTP/1.x answer. The text says what was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed answer: {0}")]
pub struct Malformed(pub &'static str);

/// Takes what the parser finds.
pub trait Sink {
    /// The head of the final answer (interim 1xx heads are skipped).
    fn head(&mut self, head: &Head<'_>);
    /// The next piece of the body, transfer coding removed.
    fn body(&mut self, piece: &[u8]);
}

/// What a call of [`Parser::feed`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Bytes that belong to this answer; any beyond are not part of it.
    pub consumed: usize,
    /// The answer is whole.
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

/// The state of one answer.
#[derive(Debug)]
pub struct Parser {
    state: State,
    /// The request was HEAD: the answer has no body whatever its head says.
    to_head: bool,
    keep_alive: bool,
    /// A head that came in pieces; empty (and unallocated) otherwise.
    partial: Vec<u8>,
}

impl Parser {
    /// A parser for the answer to a request; `to_head` says that its method was HEAD.
    #[must_use]
    pub fn new(to_head: bool) -> Self {
        Self {
            state: State::Head,
            to_head,
            keep_alive: false,
            partial: Vec::new(),
        }
    }

    /// Begins the next answer.
    #[inline]
    pub fn reset(&mut self, to_head: bool) {
        self.state = State::Head;
        self.to_head = to_head;
        self.keep_alive = false;
        self.partial.clear();
    }

    /// Whether the connection may carry another request: meaningful once the answer is complete.
    #[inline]
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether nothing of the answer has been taken in yet.
    #[inline]
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.state == State::Head && self.partial.is_empty()
    }

    /// Takes facts of a head known from before in place of parsing it again: the caller has compared the bytes.
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

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Malformed`] when they cannot be part of an HTTP/1.x answer; the connection is of no more use then.
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

    /// The other side has closed: true when that ends the answer rightly (a body delimited by the close).
    #[must_use]
    pub fn finish(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Complete;
        }
        self.state == State::Complete
    }

    /// The body part of [`feed`](Self::feed); returns the bytes taken.
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

    /// Returns the part of the head that has come, where the head came in pieces and is not complete.
    pub(crate) fn partial_head(&self) -> Option<&[u8]> {
        (!self.partial.is_empty()).then_some(&*self.partial)
    }

    /// Returns what is missing of the response.
    pub(crate) fn missing(&self) -> String {
        match self.state {
            State::Head => "the end of the head is missing".into(),
            State::Sized(left) => format!("{left} bytes that content-length announces are missing"),
            State::Chunked(_) => "the last chunk is missing".into(),
            State::UntilClose | State::Complete => "nothing is missing".into(),
        }
    }

    /// Whether the answer is whole.
    #[inline]
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Takes (part of) a head; returns the bytes taken, at least one.
    fn feed_head(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Malformed> {
        if self.partial.is_empty() {
            if let Some(end) = head::end(bytes, 0) {
                self.whole_head(&bytes[..end], sink)?;
                return Ok(end);
            }
            self.keep_partial(bytes)?;
            return Ok(bytes.len());
        }
        // The end may straddle the seam: three bytes of what is kept can belong to it.
        let kept = self.partial.len();
        let room = HEAD_LIMIT.saturating_sub(kept) + 1;
        let fresh = &bytes[..bytes.len().min(room)];
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
        // A server that sends its heads in pieces will do so again: a small buffer is worth keeping.
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
