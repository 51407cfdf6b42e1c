//! The null server as a process of its own: this program, run again.

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

/// Its presence makes [`maybe_serve`] serve; its value is an address, to serve there until killed, or an config as JSON.
pub const VARIABLE: &str = "WSGIBENCH_NULL_SERVER";
/// Says where the child listens.
const LISTENING: &str = "wsgibench null server listening on ";
/// Precedes the record of a server that delays.
const RECORD: &str = "wsgibench null server record ";

#[derive(Debug, Serialize, Deserialize)]
struct NullServerConfig {
    address: SocketAddr,
    cpu: Option<usize>,
    delays: Option<Delays>,
    /// Nobody holds its standard input (a container): it serves until it is killed.
    #[serde(default)]
    detached: bool,
}

/// Name and value of the environment variable that makes this program serve on `port` of every address until it is killed:
/// how the null server runs in a container of its own.
pub(crate) fn detached_order(port: u16) -> (&'static str, String) {
    let config = NullServerConfig {
        address: (Ipv4Addr::UNSPECIFIED, port).into(),
        cpu: None,
        delays: None,
        detached: true,
    };
    // An address and a flag always have a JSON form.
    (VARIABLE, serde_json::to_string(&config).unwrap_or_default())
}

/// Serves, and then ends the process, if this process was started to be a null server; else returns at once.
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
        .map_err(|e| io::Error::other(format!("{VARIABLE} is neither an address nor an config: {e}")))?;
    if let Some(cpu) = config.cpu {
        pin(cpu)?;
    }
    raise_descriptor_limit();
    let server = EventLoop::bind(config.address, config.delays)?;
    // Held here too: a waker that is dropped takes its unread wake-up with it.
    let stop = Arc::new(server.stopper()?);
    let at_end = Arc::clone(&stop);
    // Standard input ends when the parent stops us or dies, however it dies: no server is ever left behind.
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

/// A connection costs a descriptor, and the usual soft limit is 1,024.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Raising the soft limit up to the hard one is always allowed; were it not, connections would wait.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A null server in a process of its own; killed when dropped.
#[derive(Debug)]
pub struct NullServerProcess {
    address: SocketAddr,
    child: Child,
    /// Its end tells the server to stop.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl NullServerProcess {
    /// A server on any free port of the loopback address, pinned to `cpu` if one is named.
    ///
    /// # Errors
    /// This program cannot be run again, does not call [`maybe_serve`], or the server does not start.
    pub fn spawn(cpu: Option<usize>) -> io::Result<Self> {
        Self::spawn_at((Ipv4Addr::LOCALHOST, 0).into(), cpu)
    }

    /// A server at `address` (port 0: any free one), pinned to `cpu` if one is named.
    ///
    /// # Errors
    /// This program cannot be run again, does not call [`maybe_serve`], or the server does not start.
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
            .map_err(|e| io::Error::other(format!("the null server named no address: {e}")))?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the first line with `mark` in it (a test runner may have begun the line).
    fn line(&mut self, mark: &str) -> io::Result<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            if let Some((_, rest)) = line.trim_end().split_once(mark) {
                return Ok(rest.to_owned());
            }
            line.clear();
        }
        Err(io::Error::other(
            "the null server ended early (does `main` begin with `null_server::maybe_serve()`?)",
        ))
    }

    /// Stops it in its tracks: it neither accepts nor answers until [`thaw`](Self::thaw).
    ///
    /// # Errors
    /// The process is gone.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        // The signal takes effect a little after it was sent: it is frozen when the kernel says so.
        waitpid(Some(self.process()?), WaitOptions::UNTRACED)?;
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// The process is gone.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        // The child has not been waited for, so the id is still its own.
        Ok(kill_process(self.process()?, signal)?)
    }

    fn process(&self) -> io::Result<Pid> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| io::Error::other("the null server has no process id"))
    }
}

impl Drop for NullServerProcess {
    fn drop(&mut self) {
        // Fails only when it has already ended; a frozen process dies of it too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server in a process of its own whose answers wait for a drawn time, and which records how long each really took.
#[derive(Debug)]
pub struct DelayServerProcess {
    server: NullServerProcess,
}

impl DelayServerProcess {
    /// A server on any free port of the loopback address, pinned to `cpu` if one is named.
    ///
    /// # Errors
    /// This program cannot be run again, does not call [`maybe_serve`], or the server does not start.
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops it and gives its record: nanoseconds from whole request read to answer written.
    ///
    /// # Errors
    /// It had died, or its record cannot be read.
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
    fn a_frozen_server_is_silent_and_a_thawed_one_answers() {
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
    fn a_delaying_process_hands_its_record_over() {
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
