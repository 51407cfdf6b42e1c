//! Readiness: a server is ready once it answers a request with any HTTP response.
//!
//! Probes are asynchronous, unlike the client for other probes: one may take all the time there is, and ends at once when the
//! server dies or another address responds.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{LaunchError, StopInfo};
use crate::{
    declare::ServerSpec,
    load::{
        probe::{closing_head, is_tls, speaks_tls},
        tls::{Connector, IS_TLS},
    },
};

/// A try with less time than this says nothing about the server by not ending.
const SHORT_TRY: Duration = Duration::from_secs(1);

/// Why a server did not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// Its process exited.
    Died,
    /// The deadline passed; has the reason why the last probe failed.
    Deadline(ProbeError),
}

impl NotReady {
    /// Returns the error of a launch, with the remedy for a server that cannot be reached.
    pub(crate) fn into_error(
        self,
        spec: &ServerSpec,
        info: &StopInfo,
        last_lines: String,
        remedy: &'static str,
    ) -> LaunchError {
        let server = spec.name.clone();
        match self {
            Self::Died => LaunchError::Died {
                server,
                exit: info.exit,
                oom_killed: info.oom_killed,
                last_lines,
            },
            Self::Deadline(last) => LaunchError::NotReady {
                server,
                within: spec.ready_within,
                last: last.with_remedy(remedy),
                last_lines,
            },
        }
    }
}

/// Why a readiness probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProbeError {
    /// Nothing listens at the address.
    Nobody(String),
    /// Something listens and does not respond like a ready server.
    Something(String),
}

impl ProbeError {
    /// Returns the message and, if nothing listened, a remedy: usually the server listens elsewhere.
    pub(crate) fn with_remedy(self, remedy: &str) -> String {
        match self {
            Self::Nobody(text) => format!("{text}; {remedy}"),
            Self::Something(text) => text,
        }
    }
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Nobody(text) | Self::Something(text)) = self;
        f.write_str(text)
    }
}

/// The request of a readiness probe.
struct Probe {
    path: String,
    /// Value of the header `Host`.
    host: String,
    tls: Option<Connector>,
}

/// Requests the readiness path until an HTTP response arrives. A single try may take all the remaining time.
pub(crate) async fn wait_until_ready(
    spec: &ServerSpec,
    address: SocketAddr,
    deadline: Instant,
    is_alive: impl Fn() -> bool,
) -> Result<(), NotReady> {
    any_ready(spec, &[address], deadline, is_alive).await.map(drop)
}

/// Probes several addresses concurrently. Returns the first one that responds.
pub(crate) async fn any_ready(
    spec: &ServerSpec,
    addresses: &[SocketAddr],
    deadline: Instant,
    is_alive: impl Fn() -> bool,
) -> Result<SocketAddr, NotReady> {
    let is_alive = &is_alive;
    let mut tries: FuturesUnordered<_> = addresses
        .iter()
        .map(async |address| {
            let target = spec.target(*address);
            let tls = Connector::new(&target).map_err(|problem| NotReady::Deadline(ProbeError::Something(problem)))?;
            let probe = Probe {
                path: spec.ready_path.clone(),
                host: target.host,
                tls,
            };
            repeat(deadline, is_alive, async || ask(*address, &probe, deadline).await).await?;
            Ok(*address)
        })
        .collect();
    let mut reasons: Vec<ProbeError> = Vec::new();
    while let Some(outcome) = tries.next().await {
        match outcome {
            Ok(address) => return Ok(address),
            Err(NotReady::Died) => return Err(NotReady::Died),
            Err(NotReady::Deadline(reason)) => reasons.push(reason),
        }
    }
    Err(NotReady::Deadline(join(reasons)))
}

/// Joins the reasons of several addresses. If something listens at any of them, the error says so, since the user has to look at that server.
fn join(mut reasons: Vec<ProbeError>) -> ProbeError {
    if reasons.len() == 1 {
        return reasons.remove(0);
    }
    let text = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let somebody = reasons.iter().any(|reason| !matches!(reason, ProbeError::Nobody(_)));
    if somebody {
        ProbeError::Something(text)
    } else {
        ProbeError::Nobody(text)
    }
}

/// Connects repeatedly until a connection is accepted.
#[cfg(feature = "docker")]
pub(crate) async fn wait_until_accepting(
    address: SocketAddr,
    deadline: Instant,
    is_alive: impl Fn() -> bool,
) -> Result<(), NotReady> {
    repeat(deadline, &is_alive, async || {
        TcpStream::connect(address)
            .await
            .map(drop)
            .map_err(|error| ProbeError::Nobody(error.to_string()))
    })
    .await
}

async fn repeat(
    deadline: Instant,
    is_alive: &impl Fn() -> bool,
    attempt: impl AsyncFn() -> Result<(), ProbeError>,
) -> Result<(), NotReady> {
    let mut pause = Duration::from_millis(5);
    let mut last = ProbeError::Something("no attempt was made".to_owned());
    let mut tried = false;
    loop {
        if !is_alive() {
            return Err(NotReady::Died);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NotReady::Deadline(last));
        }
        let outcome = tokio::select! {
            outcome = timeout(left, attempt()) => outcome,
            () = death(is_alive) => return Err(NotReady::Died),
        };
        match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => last = error,
            Err(_) if tried && left < SHORT_TRY => {}
            Err(_) => last = ProbeError::Something("connected, but got no response".to_owned()),
        }
        tried = true;
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(50));
    }
}

/// Returns once the server's process has exited.
async fn death(is_alive: &impl Fn() -> bool) {
    while is_alive() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Sends one request; returns `Ok` for any response that begins like HTTP.
async fn ask(address: SocketAddr, probe: &Probe, deadline: Instant) -> Result<(), ProbeError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| ProbeError::Nobody(format!("nothing accepts connections at {address}: {error}")))?;
    let Some(tls) = &probe.tls else {
        let told = talk(stream, probe).await;
        return match told {
            Err(Unready::Silent) if is_tls_server(address).await => {
                Err(ProbeError::Something(Unready::Tls.to_string()))
            }
            other => other.map_err(|error| ProbeError::Something(error.to_string())),
        };
    };
    // A little less than there is, to tell that it was the handshake that did not end.
    let within = deadline
        .saturating_duration_since(Instant::now())
        .saturating_sub(Duration::from_millis(50));
    let until = tokio::time::Instant::now() + within;
    let stream = match tls.handshake(stream, false, until).await {
        Ok(Some(stream)) => stream,
        Err(error) => return Err(ProbeError::Something(tls.explain_io(&error))),
        // The time is up, and an earlier try tells more.
        Ok(None) if within < SHORT_TRY => return std::future::pending().await,
        Ok(None) => return Err(ProbeError::Something(tls.timed_out(within))),
    };
    talk(stream, probe)
        .await
        .map_err(|error| ProbeError::Something(error.to_string()))
}

/// Whether a server that closed a plain connection answers in TLS.
async fn is_tls_server(address: SocketAddr) -> bool {
    tokio::task::spawn_blocking(move || speaks_tls(address, Duration::from_secs(1)))
        .await
        .unwrap_or(false)
}

/// Why a connection gave no HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unready {
    /// It was closed without an answer.
    Silent,
    /// It was answered in TLS.
    Tls,
    Other(String),
}

impl std::fmt::Display for Unready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("the connection was closed without a response"),
            Self::Tls => write!(f, "it was asked in plain HTTP, and {IS_TLS}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, probe: &Probe) -> Result<(), Unready> {
    let request = closing_head("GET", &probe.path, &probe.host, "User-Agent: wsgibench\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| Unready::Other(format!("failed to send the request ({error})")))?;
    let mut answer = Vec::with_capacity(256);
    loop {
        let read = stream.read_buf(&mut answer).await;
        // Some servers send an empty line first, which clients skip.
        let start = answer.trim_ascii_start();
        match read {
            Ok(0) | Err(_) if answer.is_empty() => return Err(Unready::Silent),
            Ok(0) => return Err(not_http(&answer)),
            Ok(_) if start.starts_with(b"HTTP/1.") => break,
            Ok(_) if b"HTTP/1.".starts_with(start) => {}
            Ok(_) => return Err(not_http(&answer)),
            Err(error) => return Err(Unready::Other(format!("the response was cut off ({error})"))),
        }
    }
    // Reads to the end, so that the server closes first and no TIME_WAIT socket is left on this side.
    let mut rest = [0; 4096];
    let drained = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(Duration::from_millis(250), drained).await;
    Ok(())
}

fn not_http(answer: &[u8]) -> Unready {
    if is_tls(answer) {
        return Unready::Tls;
    }
    let start = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
    Unready::Other(format!("the response is not HTTP/1: {start:?}"))
}

#[cfg(test)]
#[expect(dead_code, reason = "the tests of the load generator use the rest")]
#[path = "../../load/src/tls_server.rs"]
mod tls_server;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::{
        tls_server::{Certificate, Flaw, TlsServer},
        *,
    };
    use crate::{
        declare::{DeclaredServer, Location, Machine, Server, resolve},
        load::Tls,
    };

    fn spec(path: &str) -> ServerSpec {
        let declared = DeclaredServer {
            name: "one".into(),
            description: String::new(),
            location: Location {
                file: file!(),
                line: 1,
                column: 1,
            },
            manifest_dir: "/".into(),
            setting: None,
            server: Server::dockerfile("one")
                .readiness(path, Duration::from_secs(30))
                .host("shop.test"),
        };
        let machine = Machine {
            server_cpus: 1,
            memory: u64::MAX,
        };
        resolve(&declared, None, &machine).0
    }

    #[tokio::test]
    async fn a_first_response_may_take_as_long_as_there_is_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(String::from_utf8_lossy(&request[..read]).contains("Host: shop.test\r\n"));
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(wait_until_ready(&spec("/"), address, deadline, || true).await, Ok(()));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_tried() {
        let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = serve(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let addresses = [refused, silent.local_addr().unwrap(), address];
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(
            any_ready(&spec("/ready"), &addresses, deadline, || true).await,
            Ok(address)
        );
    }

    #[tokio::test]
    async fn a_server_that_dies_during_a_try_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let begun = Instant::now();
        let is_alive = || begun.elapsed() < Duration::from_millis(300);
        let deadline = Instant::now() + Duration::from_secs(600);
        let outcome = wait_until_ready(&spec("/"), silent.local_addr().unwrap(), deadline, is_alive).await;
        assert_eq!(outcome, Err(NotReady::Died));
    }

    /// Accepts connections; sends no response on the first and `answer` on all later ones.
    async fn serve(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for count in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /ready HTTP/1.1\r\n") || is_tls(&request[..read]));
                if count > 0 {
                    stream.write_all(answer).await.unwrap();
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn any_http_answer_will_do() {
        let address = serve(b"HTTP/1.0 503 Busy\r\n\r\n").await;
        let deadline = Instant::now() + Duration::from_secs(20);
        assert_eq!(
            wait_until_ready(&spec("/ready"), address, deadline, || true).await,
            Ok(())
        );
    }

    #[tokio::test]
    async fn what_is_not_http_is_told_at_the_deadline() {
        let address = serve(b"220 mail ready\r\n").await;
        let deadline = Instant::now() + Duration::from_millis(600);
        let Err(NotReady::Deadline(last)) = wait_until_ready(&spec("/ready"), address, deadline, || true).await else {
            panic!("it counted as ready");
        };
        let ProbeError::Something(last) = last else {
            panic!("somebody listened, {last} says nobody did");
        };
        assert!(last.contains("220 mail ready"), "{last}");
    }

    #[tokio::test]
    async fn readiness_over_tls_and_the_remedy_on_either_side() {
        let certificate = Certificate::new("shop.test", Flaw::Nothing);
        let server = TlsServer::start("127.0.0.1", &certificate);
        let soon = || Instant::now() + Duration::from_secs(2);
        let plain = spec("/");
        let mut tls = spec("/");
        tls.tls = Some(Tls::new().root_certificate_pem(certificate.root));
        let ready = wait_until_ready(&tls, server.address, Instant::now() + Duration::from_secs(60), || true).await;
        assert_eq!(ready, Ok(()));

        let told = |outcome| match outcome {
            Err(NotReady::Deadline(ProbeError::Something(text))) => text,
            other => panic!("{other:?}"),
        };
        let text = told(wait_until_ready(&plain, server.address, soon(), || true).await);
        assert!(text.contains("declare it with `.tls(Tls::new())`"), "{text}");
        let http = serve(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let text = told(wait_until_ready(&tls, http, soon(), || true).await);
        assert!(text.contains("leave out `.tls(...)`"), "{text}");
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = told(wait_until_ready(&tls, silent.local_addr().unwrap(), soon(), || true).await);
        assert!(text.contains("did not complete the handshake"), "{text}");
    }

    #[tokio::test]
    async fn a_dead_server_is_not_waited_for() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(600);
        assert_eq!(
            wait_until_ready(&spec("/"), free, deadline, || false).await,
            Err(NotReady::Died)
        );
    }
}
