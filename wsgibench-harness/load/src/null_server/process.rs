//! The null server as a separate process, which runs the current program again.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2Serializer},
};
use rustix::process::{Pid, Resource, Signal, WaitOptions, getrlimit, kill_process, setrlimit, waitpid};
use serde::{Deserialize, Serialize};

use super::{delay::Delays, serve::EventLoop, thread::pin};

/// The environment variable that makes [`maybe_serve`] serve: an address, to serve there until killed, or a configuration
/// as JSON.
pub const VARIABLE: &str = "WSGIBENCH_NULL_SERVER";
/// Prefix of the line with the child's address.
const LISTENING: &str = "wsgibench null server listening on ";
/// Prefix of the line with the record of a delaying server.
const RECORD: &str = "wsgibench null server record ";

#[derive(Debug, Serialize, Deserialize)]
struct NullServerConfig {
    address: SocketAddr,
    cpu: Option<usize>,
    delays: Option<Delays>,
    /// Whether standard input is unused (in a container), so that the server runs until it is killed.
    #[serde(default)]
    detached: bool,
}

/// Returns name and value of the environment variable that makes this program serve on `port` of every address until it is
/// killed, as in a container.
#[must_use]
pub fn detached_order(port: u16) -> (&'static str, String) {
    let config = NullServerConfig {
        address: (Ipv4Addr::UNSPECIFIED, port).into(),
        cpu: None,
        delays: None,
        detached: true,
    };
    // An address and a flag always have a JSON form.
    (VARIABLE, serde_json::to_string(&config).unwrap_or_default())
}

/// Serves and exits if this process was started as a null server; otherwise returns immediately.
///
/// Call it first in `main` of every program that uses [`NullServerProcess`] or [`DelayServerProcess`].
pub fn maybe_serve() {
    let Some(config) = std::env::var(VARIABLE).ok().filter(|config| !config.is_empty()) else {
        return;
    };
    let code = match serve(&config) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("null server: {error}");
            1
        }
    };
    std::process::exit(code);
}

fn serve(config: &str) -> io::Result<()> {
    if let Ok(address) = config.parse() {
        raise_descriptor_limit();
        return EventLoop::bind(address, None)?.run().map(|_| ());
    }
    let config: NullServerConfig = serde_json::from_str(config)
        .map_err(|e| io::Error::other(format!("{VARIABLE} is neither an address nor a configuration: {e}")))?;
    if let Some(cpu) = config.cpu {
        pin(cpu)?;
    }
    raise_descriptor_limit();
    let server = EventLoop::bind(config.address, config.delays)?;
    // Keep a reference: dropping a waker discards its unread wake-up.
    let stop = Arc::new(server.stopper()?);
    let at_end = Arc::clone(&stop);
    // Standard input ends when the parent stops this server or exits in any way, so that no server is left behind.
    let detached = config.detached;
    std::thread::spawn(move || {
        if detached {
            loop {
                std::thread::park();
            }
        }
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = at_end.wake();
    });
    let mut out = io::stdout();
    writeln!(out, "{LISTENING}{}", server.address()?)?;
    out.flush()?;
    if let Some(record) = server.run()? {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&record, &mut bytes)
            .map_err(io::Error::other)?;
        writeln!(out, "{RECORD}{}", STANDARD.encode(bytes))?;
        out.flush()?;
    }
    drop(stop);
    Ok(())
}

/// Raises the soft limit of descriptors, usually 1,024, because each connection needs one.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Raising the soft limit to the hard one is always allowed; if it fails, connections wait.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A null server in a separate process; killed when dropped.
#[derive(Debug)]
pub struct NullServerProcess {
    address: SocketAddr,
    child: Child,
    /// Closing it stops the server.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl NullServerProcess {
    /// Starts a server on a free port of the loopback address, pinned to `cpu` if given.
    ///
    /// # Errors
    /// Returns an error if this program cannot be run again, does not call [`maybe_serve`], or the server does not start.
    pub fn spawn(cpu: Option<usize>) -> io::Result<Self> {
        Self::spawn_at((Ipv4Addr::LOCALHOST, 0).into(), cpu)
    }

    /// Starts a server at `address` (port 0: a free one), pinned to `cpu` if given.
    ///
    /// # Errors
    /// Returns an error if this program cannot be run again, does not call [`maybe_serve`], or the server does not start.
    pub fn spawn_at(address: SocketAddr, cpu: Option<usize>) -> io::Result<Self> {
        let config = NullServerConfig {
            address,
            cpu,
            delays: None,
            detached: false,
        };
        Self::spawn_with(&std::env::current_exe()?, &[], &config)
    }

    fn spawn_with(program: &Path, arguments: &[&str], config: &NullServerConfig) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .env(VARIABLE, serde_json::to_string(config)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().map(BufReader::new);
        let mut server = Self {
            address: config.address,
            child,
            input,
            output: output.ok_or_else(|| io::Error::other("the null server has no output"))?,
        };
        server.address = server
            .line(LISTENING)?
            .parse()
            .map_err(|e| io::Error::other(format!("the null server did not print its address: {e}")))?;
        Ok(server)
    }

    /// Returns the address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the rest of the first line that contains `mark` (a test runner may print before it on the line).
    fn line(&mut self, mark: &str) -> io::Result<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            if let Some((_, rest)) = line.trim_end().split_once(mark) {
                return Ok(rest.to_owned());
            }
            line.clear();
        }
        Err(io::Error::other(
            "the null server exited early; begin `main` with `null_server::maybe_serve()`",
        ))
    }

    /// Freezes the process: it neither accepts nor responds until [`thaw`](Self::thaw).
    ///
    /// # Errors
    /// Returns an error if the process has ended.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        // The signal takes effect asynchronously; wait until the kernel reports the stop.
        waitpid(Some(self.process()?), WaitOptions::UNTRACED)?;
        Ok(())
    }

    /// Resumes a frozen process.
    ///
    /// # Errors
    /// Returns an error if the process has ended.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        // The child has not been waited for, so its id is not reused.
        Ok(kill_process(self.process()?, signal)?)
    }

    fn process(&self) -> io::Result<Pid> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| io::Error::other("the null server has no process id"))
    }
}

impl Drop for NullServerProcess {
    fn drop(&mut self) {
        // Fails only if it has already ended. Also kills a frozen process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server in a separate process that delays responses by random times and records their actual durations.
#[derive(Debug)]
pub struct DelayServerProcess {
    server: NullServerProcess,
}

impl DelayServerProcess {
    /// Starts a server on a free port of the loopback address, pinned to `cpu` if given.
    ///
    /// # Errors
    /// Returns an error if this program cannot be run again, does not call [`maybe_serve`], or the server does not start.
    pub fn spawn(delays: Delays, cpu: Option<usize>) -> io::Result<Self> {
        let config = NullServerConfig {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            cpu,
            delays: Some(delays),
            detached: false,
        };
        let server = NullServerProcess::spawn_with(&std::env::current_exe()?, &[], &config)?;
        Ok(Self { server })
    }

    /// Returns the address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops the server and returns its record: nanoseconds from a complete request to the written response.
    ///
    /// # Errors
    /// Returns an error if the server had exited, or its record cannot be read.
    pub fn finish(mut self) -> io::Result<Histogram<u64>> {
        drop(self.server.input.take());
        let record = self.server.line(RECORD)?;
        let bytes = STANDARD.decode(record).map_err(io::Error::other)?;
        let mut rest = String::new();
        self.server.output.read_to_string(&mut rest)?;
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| io::Error::other(format!("the record is damaged: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpStream, time::Duration};

    use super::*;

    /// Entry point of the child process in the tests below, which run this test binary again.
    #[test]
    fn as_a_child() {
        maybe_serve();
    }

    fn spawn(delays: Option<Delays>) -> NullServerProcess {
        let config = NullServerConfig {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            cpu: None,
            delays,
            detached: false,
        };
        let only = ["--exact", "null_server::process::tests::as_a_child", "--nocapture"];
        NullServerProcess::spawn_with(&std::env::current_exe().unwrap(), &only, &config).unwrap()
    }

    fn ask(stream: &mut TcpStream) -> io::Result<usize> {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        stream.read(&mut [0; 256])
    }

    #[test]
    fn a_frozen_server_responds_only_after_thawing() {
        let server = spawn(None);
        let mut stream = TcpStream::connect(server.address).unwrap();
        assert_eq!(ask(&mut stream).unwrap(), super::super::ANSWER.len());
        server.freeze().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(ask(&mut stream).is_err());
        server.thaw().unwrap();
        stream.set_read_timeout(None).unwrap();
        assert_eq!(stream.read(&mut [0; 256]).unwrap(), super::super::ANSWER.len());
        let address = server.address;
        drop(server);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_delaying_process_returns_its_record() {
        let server = DelayServerProcess {
            server: spawn(Some(Delays::default())),
        };
        let mut stream = TcpStream::connect(server.address()).unwrap();
        for _ in 0..20 {
            ask(&mut stream).unwrap();
        }
        let record = server.finish().unwrap();
        assert_eq!(record.len(), 20);
        assert!(record.max() > 100_000);
    }
}
