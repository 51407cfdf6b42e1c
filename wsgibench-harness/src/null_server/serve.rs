//! The event loop.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};
use slab::Slab;

use super::{ANSWER, connection::Incoming};

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
/// Answers written at once to a client that pipelines.
const BATCH: usize = 32;

/// A null server on a thread of this process. Dropping it stops it.
#[derive(Debug)]
pub struct NullServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl NullServer {
    /// Listens on `address` (port 0: any free one) and serves on a thread, pinned to `cpu` if one is given.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(address: SocketAddr, cpu: Option<usize>) -> io::Result<Self> {
        let mut server = Server::bind(address)?;
        let address = server.listener.local_addr()?;
        let waker = Arc::new(Waker::new(server.poll.registry(), WAKER)?);
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = thread::Builder::new().name("null-server".to_owned()).spawn(move || {
            pin(cpu);
            // A poll that fails ends the server; its clients see refused connections.
            let _ = server.run(&stopping);
        })?;
        Ok(Self {
            address,
            stop,
            waker,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves for ever on this thread; `ready` is told the address.
pub(super) fn serve(address: SocketAddr, ready: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let mut server = Server::bind(address)?;
    ready(server.listener.local_addr()?);
    server.run(&AtomicBool::new(false))
}

/// Pins this thread; where the system does not let us, it runs anywhere.
pub(super) fn pin(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}

struct Client {
    stream: TcpStream,
    incoming: Incoming,
    /// Answer bytes that the socket would not take yet.
    unsent: Vec<u8>,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    clients: Slab<Client>,
    buffer: Vec<u8>,
    answers: Vec<u8>,
}

impl Server {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let socket = socket(family, SocketType::STREAM, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        // The standard library listens with a backlog of 128 (4,096 in newer ones): a burst of connections needs more.
        listen(&socket, 65_535)?;
        let listener: std::net::TcpListener = socket.into();
        listener.set_nonblocking(true)?;
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            clients: Slab::new(),
            buffer: vec![0; 64 * 1024],
            answers: ANSWER.repeat(BATCH),
        })
    }

    fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        while !stop.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, None) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => {}
                    Token(key) => {
                        if self.clients.contains(key) && self.drive(key).is_none() {
                            self.clients.remove(key);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        // Out of descriptors ends the round as an empty queue does: the next event tries again.
        while let Ok((mut stream, _)) = self.listener.accept() {
            let _ = stream.set_nodelay(true);
            let entry = self.clients.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self
                .poll
                .registry()
                .register(&mut stream, Token(entry.key()), interest)
                .is_ok()
            {
                entry.insert(Client {
                    stream,
                    incoming: Incoming::default(),
                    unsent: Vec::new(),
                });
            }
        }
    }

    /// Reads what there is and answers. `None` when the connection is over.
    fn drive(&mut self, key: usize) -> Option<()> {
        let client = &mut self.clients[key];
        if !client.unsent.is_empty() {
            let unsent = std::mem::take(&mut client.unsent);
            client.write(&unsent)?;
        }
        loop {
            match client.stream.read(&mut self.buffer) {
                Ok(0) => return None,
                Ok(read) => {
                    let mut left = client.incoming.take(&self.buffer[..read])?;
                    while left > 0 {
                        let batch = left.min(BATCH);
                        client.write(&self.answers[..batch * ANSWER.len()])?;
                        left -= batch;
                    }
                    // A short read has emptied the socket: with edge-triggered events no other read is due.
                    if read < self.buffer.len() {
                        return Some(());
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Some(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

impl Client {
    fn write(&mut self, mut bytes: &[u8]) -> Option<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Some(());
        }
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return None,
                Ok(written) => bytes = &bytes[written..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(bytes);
                    break;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_and_keeps_the_connection() {
        let server = NullServer::start(([127, 0, 0, 1], 0).into(), None).unwrap();
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        for requests in [1, 100] {
            stream
                .write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(requests))
                .unwrap();
            let mut answers = vec![0; ANSWER.len() * requests];
            stream.read_exact(&mut answers).unwrap();
            assert_eq!(answers, ANSWER.repeat(requests));
        }
    }
}
