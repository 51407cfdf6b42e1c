//! Reads the accept queues of a network namespace: by socket diagnostics where permitted, else from `/proc`.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    thread,
};

use rustix::{
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::waits::{
    accept_queue::{self, Depth},
    sock_diag,
};

/// Most bytes read of a table of sockets: those that listen come first.
const MOST_BYTES: usize = 64 << 10;

/// A way to read accept queues.
#[derive(Debug)]
pub(super) enum ListeningSockets {
    /// A socket of the kernel's diagnostics in the namespace.
    Diagnostics(OwnedFd),
    /// `/proc/PID/net/tcp` and `tcp6`, which cost more: the kernel may walk the table of all connections.
    Tables(Vec<File>),
}

impl ListeningSockets {
    /// Opens the network namespace of a process. Another one than that of this process needs root for diagnostics.
    ///
    /// # Errors
    /// If the process has ended.
    pub(super) fn open(pid: u32, own_namespace: bool) -> io::Result<Self> {
        let socket = if own_namespace {
            diagnostics()
        } else {
            diagnostics_of(pid)
        };
        if let Ok(socket) = socket {
            return Ok(Self::Diagnostics(socket));
        }
        let table = File::open(format!("/proc/{pid}/net/tcp"))?;
        // Absent without IPv6.
        let six = File::open(format!("/proc/{pid}/net/tcp6"));
        Ok(Self::Tables([Some(table), six.ok()].into_iter().flatten().collect()))
    }

    /// Returns the present depth of a port's accept queue; `None` if no socket listens at it.
    pub(super) fn depth(&self, port: u16) -> Option<Depth> {
        match self {
            Self::Diagnostics(socket) => {
                let of_family = |family| ask(socket, family, port).ok().flatten();
                sock_diag::FAMILIES.map(of_family).into_iter().fold(None, Depth::sum)
            }
            Self::Tables(tables) => tables.iter().map(|table| read(table, port)).fold(None, Depth::sum),
        }
    }
}

fn diagnostics() -> io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    // The kernel answers at once; never hang if it does not.
    let patience = Some(std::time::Duration::from_millis(100));
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, patience)?;
    Ok(socket)
}

/// Opens diagnostics in the namespace of a process. A thread of its own enters the namespace, and ends in it.
fn diagnostics_of(pid: u32) -> io::Result<OwnedFd> {
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    let entered = thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        diagnostics()
    });
    entered.join().map_err(|_| io::Error::other("the thread ended"))?
}

fn ask(socket: &OwnedFd, family: u8, port: u16) -> io::Result<Option<Depth>> {
    send(socket, &sock_diag::request(family), SendFlags::empty())?;
    let mut depth = None;
    let mut datagram = vec![0; 32 << 10];
    loop {
        let (count, _) = recv(socket, &mut datagram[..], RecvFlags::empty())?;
        let reply = sock_diag::parse(&datagram[..count], port);
        depth = Depth::sum(depth, reply.depth);
        if reply.done || reply.failed || count == 0 {
            return Ok(depth);
        }
    }
}

/// Reads the depth of a port's accept queue from the beginning of a table of sockets.
fn read(table: &File, port: u16) -> Option<Depth> {
    let mut bytes = vec![0; 4 << 10];
    let mut length = 0;
    loop {
        let count = table.read_at(&mut bytes[length..], length as u64).unwrap_or(0);
        length += count;
        let (depth, passed) = accept_queue::depth(&String::from_utf8_lossy(&bytes[..length]), port);
        if passed || count == 0 || length >= MOST_BYTES {
            return depth.map(|waiting| Depth { waiting, limit: None });
        }
        if length == bytes.len() {
            bytes.resize(length * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Connections that are not accepted are seen.
    fn check(sockets: &ListeningSockets) {
        let waiting = |port| sockets.depth(port).map(|depth| depth.waiting);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(waiting(address.port()), Some(0));
        let clients = [
            TcpStream::connect(address).unwrap(),
            TcpStream::connect(address).unwrap(),
        ];
        assert_eq!(waiting(address.port()), Some(2));
        drop(listener.accept().unwrap());
        assert_eq!(waiting(address.port()), Some(1));
        drop((listener, clients));
        assert_eq!(waiting(address.port()), None);
    }

    #[test]
    fn tables_show_connections_that_are_not_accepted() {
        check(&ListeningSockets::Tables(vec![
            File::open("/proc/self/net/tcp").unwrap(),
        ]));
    }

    #[test]
    fn diagnostics_show_connections_that_are_not_accepted() {
        // Some sandboxes refuse such sockets; the tables are read there.
        if let Ok(socket) = diagnostics() {
            check(&ListeningSockets::Diagnostics(socket));
        }
        check(&ListeningSockets::open(std::process::id(), true).unwrap());
    }

    #[test]
    fn another_namespace_is_entered_by_root_or_read_from_its_tables() {
        let sockets = ListeningSockets::open(std::process::id(), false).unwrap();
        check(&sockets);
        assert!(ListeningSockets::open(u32::MAX, false).is_err());
    }
}
