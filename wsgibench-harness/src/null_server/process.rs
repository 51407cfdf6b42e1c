//! The null server as a process of its own: the running executable, started again.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use super::serve::{pin, serve};

/// Set to `ADDRESS` or `ADDRESS@CPU`, it makes an executable serve instead of doing its work.
pub(crate) const VARIABLE: &str = "WSGIBENCH_NULL_SERVER";

/// Serves, and does not return, when this process was started as a null server. Call it first in `main`.
pub fn maybe_serve() {
    let Ok(order) = std::env::var(VARIABLE) else {
        return;
    };
    let (address, cpu) = match order.split_once('@') {
        Some((address, cpu)) => (address, cpu.parse().ok()),
        None => (order.as_str(), None),
    };
    pin(cpu);
    raise_descriptor_limit();
    let outcome = address
        .parse()
        .map_err(|_| io::Error::other(format!("{VARIABLE}: `{address}` is no address")))
        .and_then(|address| {
            serve(address, |address| {
                println!("{address}");
                let _ = io::stdout().flush();
            })
        });
    if let Err(error) = outcome {
        eprintln!("null server: {error}");
    }
    std::process::exit(1);
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A null server in a process of its own. Dropping it kills it.
#[derive(Debug)]
pub struct NullServerProcess {
    child: Child,
    address: SocketAddr,
}

impl NullServerProcess {
    /// Starts one on a free port of the loopback interface, pinned to `cpu` if one is given. The running executable must call
    /// [`maybe_serve`] first in its `main`.
    ///
    /// # Errors
    /// When it cannot be started or does not tell where it listens.
    pub fn spawn(cpu: Option<usize>) -> io::Result<Self> {
        let order = match cpu {
            Some(cpu) => format!("127.0.0.1:0@{cpu}"),
            None => "127.0.0.1:0".to_owned(),
        };
        let mut child = Command::new(std::env::current_exe()?)
            .env(VARIABLE, order)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let read = child
            .stdout
            .take()
            .map(|stdout| BufReader::new(stdout).read_line(&mut line));
        if let Ok(address) = line.trim().parse() {
            return Ok(Self { child, address });
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(io::Error::other(format!(
            "the null server did not say where it listens ({read:?})"
        )))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for NullServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
