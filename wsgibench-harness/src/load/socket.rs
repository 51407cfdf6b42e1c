//! How a client's socket is set up, for declared loads and scripted users alike.

use std::{
    io,
    net::{SocketAddr, TcpStream},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Congestion control of our side: on every Linux, open to every user, and without a clock of its own.
///
/// One that paces (BBR, the default of some machines) may hold requests back inside the kernel, where no schedule of ours
/// sees it.
#[cfg(target_os = "linux")]
const CONGESTION: &[u8] = b"reno";

/// Begins to connect and does not wait for it: the socket becomes writable when it is done.
///
/// # Errors
/// No descriptor, no port, no route, or an address that refuses at once.
pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Bodies leave in several writes: none of them may wait for the acknowledgement of the one before.
    socket.set_tcp_nodelay(true)?;
    // Before the connection stands: the kernel does not take a pacing socket's timers away afterwards. Where it is refused,
    // the machine's own does too.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_congestion(CONGESTION);
    match socket.connect(&address.into()) {
        Err(error) if in_progress(&error) => {}
        outcome => outcome?,
    }
    Ok(socket.into())
}

/// A connection that is on its way is no error.
fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn no_pacing_and_no_waiting_for_acknowledgements() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = connect(listener.local_addr().unwrap()).unwrap();
        assert!(stream.nodelay().unwrap());
        let set = Socket::from(stream).tcp_congestion().unwrap();
        assert!(set.starts_with(CONGESTION), "{set:?}");
    }

    #[test]
    fn an_address_that_refuses_is_an_error_now_or_soon() {
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
