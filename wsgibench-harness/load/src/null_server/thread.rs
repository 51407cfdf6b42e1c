//! The null server on a thread of this process.

use std::{io, net::SocketAddr, thread::JoinHandle};

use hdrhistogram::Histogram;
use mio::Waker;

use super::{delay::Delays, serve::EventLoop};
use crate::affinity::pin_thread;

/// A null server on a separate thread; it stops when dropped.
#[derive(Debug)]
pub struct NullServer {
    address: SocketAddr,
    stop: Waker,
    thread: Option<JoinHandle<io::Result<Option<Histogram<u64>>>>>,
}

impl NullServer {
    /// Starts a server at `address` (port 0: a free one), pinned to `cpu` if given.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound, or the CPU does not exist.
    pub fn start(address: SocketAddr, cpu: Option<usize>) -> io::Result<Self> {
        Self::launch(EventLoop::bind(address, None)?, cpu)
    }

    /// Starts a server with delayed responses; [`finish`](Self::finish) returns their durations.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound, or the CPU does not exist.
    pub fn start_delayed(address: SocketAddr, cpu: Option<usize>, delays: Delays) -> io::Result<Self> {
        Self::launch(EventLoop::bind(address, Some(delays))?, cpu)
    }

    fn launch(server: EventLoop, cpu: Option<usize>) -> io::Result<Self> {
        let (address, stop) = (server.address()?, server.stopper()?);
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("null-server".into()).spawn(move || {
            let pinned = cpu.map_or(Ok(()), pin);
            let failed = pinned.is_err();
            // The starting thread waits for this message; sending fails only if it has ended.
            let _ = sender.send(pinned);
            if failed { Ok(None) } else { server.run() }
        })?;
        receiver
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the null server's thread ended early")))?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Returns the address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server and returns its response times, ns, from a complete request to the written response; `None` for a
    /// server without delays.
    ///
    /// # Errors
    /// Returns an error if the server failed.
    pub fn finish(mut self) -> io::Result<Option<Histogram<u64>>> {
        self.stop.wake()?;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(io::Error::other("the null server panicked")),
        }
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && self.stop.wake().is_ok()
        {
            let _ = thread.join();
        }
    }
}

/// Pins the calling thread to one CPU.
pub(super) fn pin(cpu: usize) -> io::Result<()> {
    pin_thread(cpu).map_err(|error| io::Error::other(format!("failed to pin the null server to CPU {cpu}: {error}")))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{Ipv4Addr, TcpStream},
        time::Duration,
    };

    use super::*;

    fn anywhere() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
        stream.write_all(request).unwrap();
        let mut answer = [0; 256];
        let count = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }

    #[test]
    fn many_connections_are_served_with_keep_alive() {
        let server = NullServer::start(anywhere(), None).unwrap();
        let mut streams: Vec<_> = (0..300)
            .map(|_| TcpStream::connect(server.address()).unwrap())
            .collect();
        for _ in 0..3 {
            for stream in &mut streams {
                let answer = ask(stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                assert!(
                    answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nOK"),
                    "{answer}"
                );
            }
        }
        assert!(server.finish().unwrap().is_none());
    }

    #[test]
    fn a_body_is_discarded_and_close_is_honoured() {
        let server = NullServer::start(anywhere(), None).unwrap();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let length = 3_000_000;
        let head = format!("POST /upload HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![7; length - 1]).unwrap();
        assert!(ask(&mut stream, &[7]).ends_with("OK"));
        stream
            .write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("Connection: close") && rest.ends_with("OK"), "{rest}");
    }

    #[test]
    fn pipelined_and_invalid_requests_get_responses() {
        let server = NullServer::start(anywhere(), None).unwrap();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&b"GET / HTTP/1.1\r\n\r\n".repeat(50)).unwrap();
        stream.write_all(b"\x01\x02 nonsense\r\n\r\n").unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert_eq!(all.matches("200 OK").count(), 50);
        assert_eq!(all.matches("400 Bad Request").count(), 1);
    }

    #[test]
    fn delayed_responses_are_recorded() {
        let delays = Delays {
            mean: Duration::from_millis(1),
            slow_share: 1.0,
            slow_from: Duration::from_millis(20),
            slow_to: Duration::from_millis(21),
            ..Delays::default()
        };
        let server = NullServer::start_delayed(anywhere(), None, delays).unwrap();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        // Of two pipelined requests, the second waits for the first, as on any HTTP/1.1 connection.
        stream.write_all(&b"GET / HTTP/1.1\r\n\r\n".repeat(2)).unwrap();
        let begun = std::time::Instant::now();
        let mut answer = [0; 512];
        let mut count = 0;
        while count < 2 * super::super::ANSWER.len() {
            count += stream.read(&mut answer[count..]).unwrap();
        }
        assert!(begun.elapsed() >= Duration::from_millis(39));
        let took = server.finish().unwrap().unwrap();
        assert_eq!(took.len(), 2);
        assert!(took.min() >= 19_900_000, "{}", took.min());
    }

    #[test]
    fn an_address_in_use_and_a_missing_cpu_are_errors() {
        let server = NullServer::start(anywhere(), None).unwrap();
        assert!(NullServer::start(server.address(), None).is_err());
        let missing = NullServer::start(anywhere(), Some(1_000_000)).unwrap_err();
        assert!(missing.to_string().contains("CPU 1000000"), "{missing}");
    }
}
