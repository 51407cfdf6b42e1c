//! Socket options of the client, for declared loads and scripted users.

use std::{
    io,
    net::{SocketAddr, TcpStream},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Congestion control of the client: available to every user on every Linux, and without pacing.
///
/// Algorithms with pacing (BBR, the default of some machines) may delay requests in the kernel, unnoticed by the schedule.
#[cfg(target_os = "linux")]
const CONGESTION: &[u8] = b"reno";

/// Starts to connect without waiting: the socket becomes writable when the connection is established.
///
/// # Errors
/// Returns an error without a free descriptor, port or route, or if the address refuses immediately.
pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Bodies take several writes, which must not wait for the acknowledgement of the previous one.
    socket.set_tcp_nodelay(true)?;
    // Set before the connection is established, because the kernel does not remove the timers of a pacing socket afterwards.
    // If the kernel refuses, the machine's default stays.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_congestion(CONGESTION);
    match socket.connect(&address.into()) {
        Err(error) if in_progress(&error) => {}
        outcome => outcome?,
    }
    Ok(socket.into())
}

/// Returns whether the error only says that the connection is in progress.
fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn sockets_have_neither_pacing_nor_delayed_writes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = connect(listener.local_addr().unwrap()).unwrap();
        assert!(stream.nodelay().unwrap());
        let set = Socket::from(stream).tcp_congestion().unwrap();
        assert!(set.starts_with(CONGESTION), "{set:?}");
    }

    #[test]
    fn a_refused_connection_is_an_error_immediately_or_later() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refused = match connect(address) {
            Err(error) => error,
            Ok(stream) => {
                stream.set_nonblocking(false).unwrap();
                let mut byte = [0];
                std::io::Read::read(&mut &stream, &mut byte).unwrap_err()
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
