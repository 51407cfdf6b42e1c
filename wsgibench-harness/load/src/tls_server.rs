//! A real TLS server for tests: rustls on blocking sockets, a thread for each connection.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// Defect of a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Nothing,
    Expired,
    SelfSigned,
    Authority,
}

/// A certificate for `name`, its key, and the PEM of its authority's certificate.
pub(crate) struct Certificate {
    pub(crate) root: String,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificate {
    pub(crate) fn new(name: &str, flaw: Flaw) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority
            .distinguished_name
            .push(DnType::CommonName, format!("authority of {name}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = match flaw {
            Flaw::Nothing => params.signed_by(&key, &issuer),
            Flaw::Expired => {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
                params.signed_by(&key, &issuer)
            }
            Flaw::SelfSigned => params.self_signed(&key),
            Flaw::Authority => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.signed_by(&key, &issuer)
            }
        }
        .unwrap();
        Self {
            root: root.pem(),
            der: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }

    /// The PEM of the certificate itself.
    pub(crate) fn pem(&self) -> String {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            BASE64_STANDARD.encode(&self.der)
        )
    }
}

/// A server that runs until the process ends.
pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    /// Handshakes that were completed without resuming a session.
    pub(crate) full_handshakes: Arc<AtomicUsize>,
}

impl TlsServer {
    /// Answers each request according to its path: `/` with `OK`, `/large` with 200,000 bytes, `/close` with a body that
    /// ends with the connection, unannounced in TLS; `/bye` announces it; `/cookie` sets a `Secure` cookie and answers with
    /// the one that came; `/plain` redirects to http, `/here` to https.
    pub(crate) fn start(ip: &str, certificate: &Certificate) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der.clone()],
                PrivateKeyDer::try_from(certificate.key.clone()).unwrap(),
            )
            .unwrap();
        config.send_tls13_tickets = 2;
        let config = Arc::new(config);
        let full_handshakes = Arc::new(AtomicUsize::new(0));
        let full = Arc::clone(&full_handshakes);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, config, full) = (socket.unwrap(), Arc::clone(&config), Arc::clone(&full));
                // How a client leaves is not the server's affair.
                std::thread::spawn(move || drop(serve(socket, config, &full)));
            }
        });
        Self {
            address,
            full_handshakes,
        }
    }
}

fn serve(socket: TcpStream, config: Arc<ServerConfig>, full: &AtomicUsize) -> std::io::Result<()> {
    use tokio_rustls::rustls::HandshakeKind;
    socket.set_nodelay(true)?;
    let mut connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut socket = socket;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    if connection.handshake_kind() == Some(HandshakeKind::Full) {
        full.fetch_add(1, Ordering::Relaxed);
    }
    let mut stream = StreamOwned::new(connection, socket);
    let mut bytes = Vec::new();
    let mut piece = [0; 16_384];
    loop {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                n => bytes.extend_from_slice(&piece[..n]),
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok())
            .unwrap_or(0);
        while bytes.len() < end + length {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                n => bytes.extend_from_slice(&piece[..n]),
            }
        }
        bytes.drain(..end + length);
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let cookie = head
            .split("cookie: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next())
            .unwrap_or("none");
        let host = head
            .split("host: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next())
            .unwrap_or_default();
        let (status, fields, body) = match path.as_str() {
            "/large" => ("200 OK", String::new(), vec![b'x'; 200_000]),
            "/cookie" => (
                "200 OK",
                "Set-Cookie: id=7; Secure\r\n".to_owned(),
                cookie.as_bytes().to_vec(),
            ),
            "/plain" => ("302 Found", format!("Location: http://{host}/\r\n"), Vec::new()),
            "/here" => ("302 Found", format!("Location: https://{host}/\r\n"), Vec::new()),
            "/close" | "/bye" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nOK")?;
                if path == "/bye" {
                    stream.conn.send_close_notify();
                    stream.flush()?;
                }
                return Ok(());
            }
            _ => ("200 OK", String::new(), b"OK".to_vec()),
        };
        let closes = head.contains("connection: close");
        let close = if closes { "Connection: close\r\n" } else { "" };
        let mut answer = format!(
            "HTTP/1.1 {status}\r\n{fields}{close}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(&body);
        stream.write_all(&answer)?;
        if closes {
            // As Python's `unwrap()`: it waits for the client's own announcement.
            stream.conn.send_close_notify();
            stream.flush()?;
            while stream.read(&mut piece)? > 0 {}
            return Ok(());
        }
    }
}
