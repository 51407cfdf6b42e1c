//! The server of the script tests.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// The protocol of the server.
#[derive(Clone)]
pub(super) struct Speech {
    pub(super) http2: bool,
    pub(super) tls: Option<TlsAcceptor>,
}

/// Serves until the process ends.
pub(super) struct Server {
    pub(super) address: SocketAddr,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::speaking(Speech {
            http2: false,
            tls: None,
        })
    }

    pub(super) fn speaking(speech: Speech) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let speech = speech.clone();
                    tokio::spawn(async move {
                        match &speech.tls {
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(socket).await {
                                    serve(stream, speech.http2).await;
                                }
                            }
                            None => serve(socket, speech.http2).await,
                        }
                    });
                }
            });
        });
        Self { address }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, http2: bool) {
    let io = TokioIo::new(stream);
    // Errors of leaving clients are expected.
    if http2 {
        let _ = http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service_fn(answer))
            .await;
    } else {
        let _ = http1::Builder::new().serve_connection(io, service_fn(answer)).await;
    }
}

/// Creates a certificate for `localhost` and returns its root certificate as PEM text.
pub(super) fn certificate(http2: bool) -> (TlsAcceptor, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&own, &issuer)
        .unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(own.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    (TlsAcceptor::from(std::sync::Arc::new(config)), root_certificate.pem())
}

type Answer = Response<Full<Bytes>>;

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
}

fn with(mut answer: Answer, name: header::HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().append(name, value.parse().unwrap());
    answer
}

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let header = |name: header::HeaderName| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let path = head.uri.path();
    Ok(match path {
        "/login" => with(
            text(StatusCode::OK, "welcome"),
            header::SET_COOKIE,
            "session=abc; Path=/; HttpOnly",
        ),
        "/me" if header(header::COOKIE).contains("session=abc") => text(StatusCode::OK, "you"),
        "/me" => text(StatusCode::UNAUTHORIZED, "nobody"),
        "/moved" => with(text(StatusCode::SEE_OTHER, ""), header::LOCATION, "/echo?from=moved"),
        "/kept" => with(text(StatusCode::TEMPORARY_REDIRECT, ""), header::LOCATION, "echo"),
        "/away" => with(text(StatusCode::FOUND, ""), header::LOCATION, "http://example.invalid/"),
        "/to-utf8" => {
            let mut moved = text(StatusCode::FOUND, "");
            let location = header::HeaderValue::from_bytes("/caf\u{e9}".as_bytes()).unwrap();
            moved.headers_mut().insert(header::LOCATION, location);
            moved
        }
        "/round" => with(text(StatusCode::FOUND, ""), header::LOCATION, "/round"),
        "/nowhere" => text(StatusCode::FOUND, ""),
        "/by-name" => {
            let mut moved = with(
                text(StatusCode::FOUND, ""),
                header::SET_COOKIE,
                "name=1; Path=/; Secure",
            );
            let location = format!("http://{}/echo?{}", header(header::HOST), header(header::COOKIE));
            moved.headers_mut().insert(header::LOCATION, location.parse().unwrap());
            moved
        }
        "/gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, br#"{"name":"wsgibench","n":3}"#).unwrap();
            with(
                text(StatusCode::OK, encoder.finish().unwrap()),
                header::CONTENT_ENCODING,
                "gzip",
            )
        }
        "/brotli" => with(text(StatusCode::OK, "1234"), header::CONTENT_ENCODING, "br"),
        "/many" => {
            let mut many = text(StatusCode::OK, "many");
            for index in 0..500 {
                let name = header::HeaderName::try_from(format!("x-{index}")).unwrap();
                many.headers_mut().insert(name, "1".parse().unwrap());
            }
            many
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            text(StatusCode::OK, "late")
        }
        "/count" => {
            let mut body = body;
            let (mut length, mut pieces) = (0, 0);
            while let Some(Ok(frame)) = body.frame().await {
                length += frame.data_ref().map_or(0, Bytes::len);
                pieces += 1;
            }
            assert!(pieces > 0 || length == 0);
            text(StatusCode::CREATED, length.to_string())
        }
        "/large" => text(StatusCode::OK, vec![b'x'; 3_000_000]),
        "/json" => text(StatusCode::OK, r#"{"name":"wsgibench","n":3}"#),
        "/last" => with(text(StatusCode::OK, "bye"), header::CONNECTION, "close"),
        "/missing" => text(StatusCode::NOT_FOUND, "no such thing"),
        _ => {
            let echo = format!(
                "{} {} {} [{}] {}",
                head.method,
                head.uri.path_and_query().map_or("", |path| path.as_str()),
                header(header::CONTENT_TYPE),
                header(header::HOST),
                String::from_utf8_lossy(
                    &body
                        .collect()
                        .await
                        .map(http_body_util::Collected::to_bytes)
                        .unwrap_or_default()
                )
            );
            with(text(StatusCode::OK, echo), header::SERVER, "test")
        }
    })
}
