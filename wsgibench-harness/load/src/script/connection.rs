//! A connection of a user: HTTP/1.1 or HTTP/2, over TCP or TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Method, Request,
    body::Incoming,
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::{
    super::{http1::MANY_HEADERS, result::ErrorKind, retry::Ending, socket, tls::Connector},
    body::Outgoing,
    request_error::RequestError,
    response_start::{Observed, ResponseStart},
    worker_state::WorkerState,
};

/// The protocols of a user's connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Transport {
    pub(super) http2: bool,
    pub(super) tls: Option<Arc<Connector>>,
}

/// Byte counts and the end of a connection, as observed by its socket.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    refused: AtomicBool,
    reset: AtomicBool,
}

impl Traffic {
    /// Returns the bytes sent and received so far.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    pub(super) fn ending(&self) -> Ending {
        if self.reset.load(Ordering::Relaxed) {
            Ending::Reset
        } else {
            Ending::Closed {
                refused: self.refused.load(Ordering::Relaxed),
            }
        }
    }
}

/// A connection: its sending half (a separate task drives it), and the traffic observed by its socket.
#[derive(Debug)]
pub(super) struct Link {
    sender: Sender,
    traffic: Arc<Traffic>,
    /// `None` over HTTP/2.
    response_start: Option<Arc<ResponseStart>>,
    tls: bool,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

/// Connects a socket with the options of declared loads.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::from_std(socket::connect(address)?)?;
    socket.writable().await?;
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(socket),
    }
}

impl Link {
    /// Opens a connection within the plan's connect timeout, and its TLS handshake until `deadline` at the latest, which is
    /// the request's.
    pub(super) async fn open(
        state: &Arc<WorkerState>,
        transport: &Transport,
        deadline: Instant,
    ) -> Result<Self, RequestError> {
        let begun = state.clock.now();
        let within = state.plan.load.connect_timeout;
        // A little before the request's own timeout, which would not tell that it was the handshake.
        let handshake = deadline.min(Instant::now() + within) - Duration::from_millis(20);
        let opening = Box::pin(Self::shake_hands(state, transport, handshake));
        let link = tokio::time::timeout(within, opening).await.unwrap_or_else(|_| {
            let text = format!("no connection within {} s", within.as_secs_f64());
            Err(RequestError::new(ErrorKind::ConnectTimeout, text))
        })?;
        let took = state.clock.now() - begun;
        state.accounting().connects(took);
        Ok(link)
    }

    async fn shake_hands(
        state: &Arc<WorkerState>,
        transport: &Transport,
        deadline: Instant,
    ) -> Result<Self, RequestError> {
        let begun = Instant::now();
        let socket = connect(state.address).await;
        let socket = socket.map_err(|error| RequestError::connecting(&error))?;
        // A user who leaves has read all its responses; without this option each would occupy a port for a minute.
        let _ = socket.set_zero_linger();
        let traffic = Arc::new(Traffic::default());
        let response_start = (!transport.http2).then(Arc::<ResponseStart>::default);
        let link = |sender, tls| Self {
            sender,
            traffic: Arc::clone(&traffic),
            response_start: response_start.clone(),
            tls,
        };
        let socket = Counted {
            socket,
            sent: Arc::clone(&state.sent),
            received: Arc::clone(&state.received),
            traffic: Arc::clone(&traffic),
        };
        let Some(tls) = &transport.tls else {
            return Ok(link(
                Sender::handshake(state, socket, response_start.as_ref()).await?,
                false,
            ));
        };
        let late = || RequestError::new(ErrorKind::Tls, tls.timed_out(begun.elapsed()));
        let stream = tls
            .handshake(socket, transport.http2, deadline)
            .await
            .map_err(|error| RequestError::shaking_hands(&error, tls))?
            .ok_or_else(late)?;
        let stream = Unannounced(stream);
        Ok(link(
            Sender::handshake(state, stream, response_start.as_ref()).await?,
            true,
        ))
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Returns whether the protocol also sends bytes outside of responses.
    pub(super) fn is_framed(&self) -> bool {
        self.tls || self.is_http2()
    }

    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Returns the first bytes of the current response; `None` over HTTP/2.
    pub(super) fn response_start(&self) -> Option<Arc<ResponseStart>> {
        self.response_start.clone()
    }

    /// Waits until the connection accepts a request; returns false once it has ended.
    pub(super) async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    pub(super) async fn send(&mut self, request: Request<Outgoing>) -> Result<http::Response<Incoming>, hyper::Error> {
        if let Some(start) = &self.response_start {
            start.begin(request.method() == Method::HEAD);
        }
        match &mut self.sender {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender) => sender.send_request(request).await,
        }
    }
}

impl Sender {
    /// Begins HTTP/1.1 if there is a `response_start`, otherwise HTTP/2.
    async fn handshake<S>(
        state: &Arc<WorkerState>,
        stream: S,
        response_start: Option<&Arc<ResponseStart>>,
    ) -> Result<Self, RequestError>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let counted = Open(Arc::clone(state));
        let Some(start) = response_start else {
            let (sender, connection) = http2::handshake(Local, TokioIo::new(stream))
                .await
                .map_err(|error| RequestError::talking(&error, None))?;
            tokio::task::spawn_local(async move {
                // The request on the connection reports its errors.
                let _ = connection.await;
                drop(counted);
            });
            return Ok(Self::Http2(sender));
        };
        let start = Arc::clone(start);
        let io = TokioIo::new(Observed { stream, start });
        let (sender, connection) = http1::Builder::new()
            // Servers send more than hyper's default of 100.
            .max_headers(MANY_HEADERS)
            // As declared loads do (RFC 9112, 5.2).
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(io)
            .await
            .map_err(|error| RequestError::talking(&error, None))?;
        tokio::task::spawn_local(async move {
            let _ = connection.await;
            drop(counted);
        });
        Ok(Self::Http1(sender))
    }
}

/// Counts a connection as open until dropped.
struct Open(Arc<WorkerState>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.accounting().disconnects();
    }
}

/// Runs hyper's HTTP/2 tasks on the worker's thread.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future<Output = ()> + 'static> Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// A socket that counts its bytes.
#[derive(Debug)]
struct Counted {
    socket: TcpStream,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    traffic: Arc<Traffic>,
}

impl Counted {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.sent.fetch_add(*bytes as u64, Ordering::Relaxed);
            self.traffic.sent.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        self.received.fetch_add(read as u64, Ordering::Relaxed);
        self.traffic.received.fetch_add(read as u64, Ordering::Relaxed);
        match &result {
            Poll::Ready(Ok(())) if read == 0 => {
                let refused = matches!(self.socket.take_error(), Ok(Some(_)));
                self.traffic.refused.store(refused, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => self.traffic.reset.store(true, Ordering::Relaxed),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// A TLS connection that accepts an end without `close_notify`: many servers just close, and the message's length reveals a
/// truncation.
#[derive(Debug)]
struct Unannounced<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Unannounced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(cx, buffer) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unannounced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
