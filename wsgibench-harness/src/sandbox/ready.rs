//! Readiness: a server is ready once it answers a request with any HTTP response.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::declare::ServerSpec;

/// Why a server did not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// Its process exited.
    Died,
    /// The deadline passed; has the reason why the last probe failed.
    Deadline(ProbeError),
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
            let probe = Probe {
                path: spec.ready_path.clone(),
                host: spec.target(*address).host,
            };
            repeat(deadline, is_alive, async || ask(*address, &probe).await).await?;
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
            Err(_) => last = ProbeError::Something("connected, but got no response".to_owned()),
        }
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
async fn ask(address: SocketAddr, probe: &Probe) -> Result<(), ProbeError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| ProbeError::Nobody(format!("nothing accepts connections at {address}: {error}")))?;
    talk(stream, probe).await.map_err(ProbeError::Something)
}

async fn talk(mut stream: TcpStream, probe: &Probe) -> Result<(), String> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: wsgibench\r\nConnection: close\r\n\r\n",
        probe.path, probe.host
    );
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| format!("failed to send the request ({error})"))?;
    let mut answer = Vec::with_capacity(256);
    loop {
        let read = stream.read_buf(&mut answer).await;
        // Some servers send an empty line first, which clients skip.
        let start = answer.trim_ascii_start();
        match read {
            Ok(0) | Err(_) if answer.is_empty() => return Err("the connection was closed without a response".into()),
            Ok(0) => return Err(not_http(&answer)),
            Ok(_) if start.starts_with(b"HTTP/1.") => break,
            Ok(_) if b"HTTP/1.".starts_with(start) => {}
            Ok(_) => return Err(not_http(&answer)),
            Err(error) => return Err(format!("the response was cut off ({error})")),
        }
    }
    // Reads to the end, so that the server closes first and no TIME_WAIT socket is left on this side.
    let mut rest = [0; 4096];
    let drained = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(Duration::from_millis(250), drained).await;
    Ok(())
}

fn not_http(answer: &[u8]) -> String {
    // A TLS 1.x alert.
    if answer.starts_with(b"\x15\x03") {
        return "the server responded with TLS, but readiness probes use plain HTTP; configure it to listen without TLS".into();
    }
    let start = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
    format!("the response is not HTTP/1: {start:?}")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::declare::{DeclaredServer, Location, Machine, Server, resolve};

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
                assert!(request[..read].starts_with(b"GET /ready HTTP/1.1\r\n"));
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
    async fn a_dead_server_is_not_waited_for() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(600);
        assert_eq!(
            wait_until_ready(&spec("/"), free, deadline, || false).await,
            Err(NotReady::Died)
        );
    }
}
