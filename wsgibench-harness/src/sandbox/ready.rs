//! Is a server ready: it answers a request with any HTTP answer.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Why a server did not get ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// Its process ended.
    Died,
    /// It ran to the deadline; what the last try met with.
    Deadline(ProbeError),
}

/// What a try met with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProbeError {
    /// Nobody listens there.
    Nobody(String),
    /// Something else than a server that is ready.
    Something(String),
}

impl ProbeError {
    /// The account of it and, where nobody listened, what to look at: as a rule the server listens elsewhere.
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

/// A try may take this long: a server that accepts but does not answer yet is asked again.
const TRY_FOR: Duration = Duration::from_secs(2);

/// Asks for `path` until something that begins like an HTTP answer comes back.
pub(crate) async fn wait_until_ready(
    address: SocketAddr,
    path: &str,
    deadline: Instant,
    is_alive: impl Fn() -> bool,
) -> Result<(), NotReady> {
    repeat(deadline, is_alive, async || ask(address, path).await).await
}

/// Connects until it is accepted.
#[cfg(feature = "docker")]
pub(crate) async fn wait_until_accepting(
    address: SocketAddr,
    deadline: Instant,
    is_alive: impl Fn() -> bool,
) -> Result<(), NotReady> {
    repeat(deadline, is_alive, async || {
        TcpStream::connect(address)
            .await
            .map(drop)
            .map_err(|error| ProbeError::Nobody(error.to_string()))
    })
    .await
}

async fn repeat(
    deadline: Instant,
    is_alive: impl Fn() -> bool,
    attempt: impl AsyncFn() -> Result<(), ProbeError>,
) -> Result<(), NotReady> {
    let mut pause = Duration::from_millis(5);
    let mut last = ProbeError::Something("it was not tried".to_owned());
    loop {
        if !is_alive() {
            return Err(NotReady::Died);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NotReady::Deadline(last));
        }
        match timeout(left.min(TRY_FOR), attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => last = error,
            Err(_) => last = ProbeError::Something("connected, but no answer".to_owned()),
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(50));
    }
}

/// One request; `Ok` for anything that begins like an HTTP answer.
async fn ask(address: SocketAddr, path: &str) -> Result<(), ProbeError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| ProbeError::Nobody(format!("nothing accepts connections at {address}: {error}")))?;
    talk(stream, address, path).await.map_err(ProbeError::Something)
}

async fn talk(mut stream: TcpStream, address: SocketAddr, path: &str) -> Result<(), String> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: wsgibench\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| format!("request not sent ({error})"))?;
    let mut answer = Vec::with_capacity(256);
    loop {
        match stream.read_buf(&mut answer).await {
            Ok(0) | Err(_) if answer.is_empty() => return Err("closed without an answer".into()),
            Ok(0) => return Err(not_http(&answer)),
            Ok(_) if answer.starts_with(b"HTTP/1.") => break,
            Ok(_) if b"HTTP/1.".starts_with(&answer) => {}
            Ok(_) => return Err(not_http(&answer)),
            Err(error) => return Err(format!("answer broken off ({error})")),
        }
    }
    // Read to its end, so that the server closes first and the port is not left in TIME_WAIT with us.
    let mut rest = [0; 4096];
    let drained = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(Duration::from_millis(250), drained).await;
    Ok(())
}

fn not_http(answer: &[u8]) -> String {
    let start = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
    format!("answered, but not in HTTP/1: {start:?}")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Accepts connections and answers the first with nothing, all later ones with `answer`.
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
        assert_eq!(wait_until_ready(address, "/ready", deadline, || true).await, Ok(()));
    }

    #[tokio::test]
    async fn what_is_not_http_is_told_at_the_deadline() {
        let address = serve(b"220 mail ready\r\n").await;
        let deadline = Instant::now() + Duration::from_millis(600);
        let Err(NotReady::Deadline(last)) = wait_until_ready(address, "/ready", deadline, || true).await else {
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
            wait_until_ready(free, "/", deadline, || false).await,
            Err(NotReady::Died)
        );
    }
}
