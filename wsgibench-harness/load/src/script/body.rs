//! Request bodies.

use std::{
    convert::Infallible,
    error::Error,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
/// The body type that hyper sends.
pub(super) type Outgoing = Either<Full<Bytes>, UnsyncBoxBody<Bytes, BoxError>>;

/// A body provided by a script.
pub(super) enum Payload {
    /// Bytes, which can be sent again.
    Whole(Bytes),
    /// A stream, which can be sent once.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl Payload {
    /// Creates a body from chunks that are produced while it is sent, with a known length or with chunked coding.
    pub(super) fn body_chunks(pieces: impl Iterator<Item = Bytes> + Send + 'static, length: Option<u64>) -> Self {
        let pieces = Pieces {
            pieces: Box::new(pieces),
            length,
        };
        Self::Stream(pieces.map_err(|never| match never {}).boxed_unsync())
    }

    pub(super) fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Stream(body.map_err(Into::into).boxed_unsync())
    }

    /// Returns the body to send, and a copy if it can be sent again.
    pub(super) fn outgoing(self) -> (Outgoing, Option<Self>) {
        match self {
            Self::Whole(bytes) => (Either::Left(Full::new(bytes.clone())), Some(Self::Whole(bytes))),
            Self::Stream(body) => (Either::Right(body), None),
        }
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream(_) => f.write_str("a stream"),
        }
    }
}

/// A body whose chunks are produced while it is sent.
struct Pieces {
    pieces: Box<dyn Iterator<Item = Bytes> + Send>,
    length: Option<u64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
