//! A small blocking HTTP client for probes, checks and faults, over plain TCP or TLS.
//!
//! The loads have their own connections, which are counted and driven by events. Hooks send requests as a scripted user, and the
//! response check sends them through the load generator.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use super::{plan::Target, tls::Connector};

/// Returns a complete request without a body, or the head of one with a body, that asks the server to close the connection
/// afterwards. Each of the extra header `lines` ends with CRLF.
#[must_use]
pub fn closing_head(method: &str, path: &str, host: &str, lines: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n")
}

/// Status and body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResponse {
    /// The status; `?` if the head has none.
    pub status: String,
    pub body: String,
    /// Whether the connection ended before the announced length of the body.
    pub truncated: bool,
}

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    #[error("the TLS settings cannot be used")]
    TlsSettings,
    #[error("refused")]
    Refused,
    #[error("no TLS connection")]
    NoTls,
    /// The request could not be sent.
    #[error("closed")]
    NotSent,
    #[error("no answer")]
    TimedOut,
    #[error("closed without an answer")]
    Closed,
    #[error("reset without an answer")]
    Reset,
}

/// Sends a GET on a connection of its own. The response is complete with its announced length, or with the end of the
/// connection, within `within` of the call.
pub fn get(target: &Target, path: &str, within: Duration) -> Result<ProbeResponse, GetError> {
    let deadline = Instant::now() + within;
    let connector = Connector::new(target).map_err(|_| GetError::TlsSettings)?;
    let mut stream = Stream::connect(target.address, connector.as_ref(), within).map_err(|error| {
        if error.kind() == io::ErrorKind::ConnectionRefused || target.tls.is_none() {
            GetError::Refused
        } else {
            GetError::NoTls
        }
    })?;
    stream
        .write_all(closing_head("GET", path, &target.host, "").as_bytes())
        .map_err(|_| GetError::NotSent)?;
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(response) = whole(&received) {
            return Ok(response);
        }
        match stream.read_until(deadline, &mut piece) {
            Received::Bytes(n) => received.extend_from_slice(&piece[..n]),
            Received::Closed => return ended(&received).ok_or(GetError::Closed),
            Received::Reset => return ended(&received).ok_or(GetError::Reset),
            Received::Nothing => return Err(GetError::TimedOut),
        }
    }
}

/// Returns a response whose `Content-Length` has arrived completely.
fn whole(bytes: &[u8]) -> Option<ProbeResponse> {
    let (head, body) = split(bytes)?;
    (body.len() >= length(&head)?).then(|| response(&head, body, false))
}

/// Returns the response on a connection that has ended.
fn ended(bytes: &[u8]) -> Option<ProbeResponse> {
    let (head, body) = split(bytes)?;
    let truncated = length(&head).is_some_and(|length| body.len() < length);
    Some(response(&head, body, truncated))
}

fn response(head: &str, body: &[u8], truncated: bool) -> ProbeResponse {
    ProbeResponse {
        status: head.split_whitespace().nth(1).unwrap_or("?").to_owned(),
        body: String::from_utf8_lossy(body).into_owned(),
        truncated,
    }
}

/// Splits a response into its head and the bytes of its body, whose number decoding would change.
fn split(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[end + 4..]))
}

fn length(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    })
}

/// The beginning of a handshake of TLS 1.2, without extensions: enough for an answer in TLS, be it a refusal.
const HELLO: [u8; 62] = {
    let mut hello = [0; 62];
    let begin = [0x16, 3, 1, 0, 57, 1, 0, 0, 53, 3, 3];
    let suites = [
        0, 14, 0xc0, 0x2f, 0xc0, 0x2b, 0xc0, 0x30, 0xc0, 0x2c, 0, 0x9c, 0, 0x2f, 0, 0x35, 1, 0,
    ];
    let mut at = 0;
    while at < begin.len() {
        hello[at] = begin[at];
        at += 1;
    }
    // After 32 bytes in place of random ones and the length of an empty session id.
    let mut at = 0;
    while at < suites.len() {
        hello[44 + at] = suites[at];
        at += 1;
    }
    hello
};

/// Returns whether a server answers the beginning of a TLS handshake in TLS. Blocks for about `within` at most.
#[must_use]
pub fn speaks_tls(address: SocketAddr, within: Duration) -> bool {
    let probe = || -> io::Result<bool> {
        let mut stream = Stream::connect(address, None, within)?;
        stream.write_all(&HELLO)?;
        let mut first = [0; 3];
        stream.read_exact(&mut first)?;
        Ok(is_tls(&first))
    };
    probe().unwrap_or(false)
}

/// Returns whether bytes are the beginning of a handshake or an alert of TLS 1.x.
#[must_use]
pub fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, ..])
}

/// A blocking (or non-blocking) connection of a probe, plain or over TLS.
#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Result of a read with a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This many bytes.
    Bytes(usize),
    /// The server closed the connection.
    Closed,
    /// The connection was reset, or broke otherwise.
    Reset,
    /// The deadline passed.
    Nothing,
}

impl Stream {
    /// Connects to a target and completes the handshake; each step may take as long as `within`.
    pub fn connect(address: SocketAddr, connector: Option<&Connector>, within: Duration) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, within)?;
        socket.set_read_timeout(Some(within))?;
        socket.set_write_timeout(Some(within))?;
        let mut stream = Self::over(socket, connector)?;
        if stream.shake_hands()? {
            Ok(stream)
        } else {
            Err(io::ErrorKind::TimedOut.into())
        }
    }

    /// Returns a stream over a socket, its handshake still to come.
    pub fn over(socket: TcpStream, connector: Option<&Connector>) -> io::Result<Self> {
        Ok(match connector {
            None => Self::Plain(socket),
            Some(connector) => {
                let connection = connector.begin().map_err(io::Error::other)?;
                Self::Tls(Box::new(StreamOwned::new(connection, socket)))
            }
        })
    }

    /// Goes on with the handshake; returns whether it is complete.
    pub fn shake_hands(&mut self) -> io::Result<bool> {
        let Self::Tls(stream) = self else {
            return Ok(true);
        };
        while stream.conn.is_handshaking() {
            match stream.conn.complete_io(&mut stream.sock) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads the next bytes that arrive before the deadline.
    pub fn read_until(&mut self, deadline: Instant, buffer: &mut [u8]) -> Received {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.socket().set_read_timeout(Some(left)).is_err() {
                return Received::Nothing;
            }
            match self.read(buffer) {
                Ok(0) => return Received::Closed,
                Ok(n) => return Received::Bytes(n),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Received::Nothing;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Received::Reset,
            }
        }
    }

    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => match stream.read(buffer) {
                // Many servers close without announcing it in TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: &str, body: &str, truncated: bool) -> ProbeResponse {
        ProbeResponse {
            status: status.to_owned(),
            body: body.to_owned(),
            truncated,
        }
    }

    #[test]
    fn complete_and_truncated_responses_are_distinguished() {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n12";
        assert_eq!(whole(ok), Some(answered("200", "12", false)));
        assert_eq!(whole(&ok[..ok.len() - 1]), None);
        assert_eq!(ended(b"HTTP/1.1 500 No\r\n\r\nx"), Some(answered("500", "x", false)));
        assert_eq!(
            ended(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
            Some(answered("200", "", true))
        );
        assert_eq!(ended(b""), None);
        // An invalid byte becomes three when it is decoded: the length counts bytes.
        let binary = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff";
        assert_eq!(whole(binary), None);
        assert_eq!(ended(binary), Some(answered("200", "\u{fffd}", true)));
    }
}
