//! Messages of the kernel's socket diagnostics (`sock_diag(7)`): listening sockets with the depth of their accept queues.
//!
//! Unlike `/proc/net/tcp`, a dump of the listening sockets does not walk the table of all connections.

use super::accept_queue::Depth;

/// Address families whose sockets are asked for: `AF_INET`, `AF_INET6`.
pub const FAMILIES: [u8; 2] = [2, 10];

const TCP: u8 = 6;
const LISTEN: u8 = 10;
const HEADER: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Returns the request for all listening sockets of a family.
#[must_use]
pub fn request(family: u8) -> Vec<u8> {
    const LENGTH: u32 = 72;
    let mut message = Vec::with_capacity(LENGTH as usize);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST_DUMP.to_ne_bytes());
    // Sequence number and port id.
    message.extend([0; 8]);
    message.extend([family, TCP, 0, 0]);
    message.extend((1_u32 << LISTEN).to_ne_bytes());
    // Any addresses, ports, interface and cookie.
    message.resize(LENGTH as usize, 0);
    message
}

/// A part of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The sockets of the port in this part.
    pub depth: Option<Depth>,
    /// Whether the dump is complete.
    pub done: bool,
    /// Whether the kernel refused the request, or the part is malformed.
    pub failed: bool,
}

/// Parses one datagram of a reply.
#[must_use]
pub fn parse(mut datagram: &[u8], port: u16) -> Part {
    let mut reply = Part::default();
    while !datagram.is_empty() {
        let length = word(datagram, 0).map_or(0, |length| length as usize);
        if length < HEADER || length > datagram.len() {
            reply.failed = true;
            return reply;
        }
        let kind = datagram.get(4..6).map(|two| u16::from_ne_bytes([two[0], two[1]]));
        match kind {
            Some(DONE) => reply.done = true,
            Some(ERROR) => reply.failed = true,
            _ => {
                let socket = &datagram[HEADER..length];
                let its_port = socket.get(4..6).map(|two| u16::from_be_bytes([two[0], two[1]]));
                if socket.get(1) == Some(&LISTEN) && its_port == Some(port) {
                    let (waiting, limit) = (word(socket, 56), word(socket, 60));
                    let depth = Depth {
                        waiting: waiting.unwrap_or(0).into(),
                        limit: limit.map(u64::from),
                    };
                    reply.depth = Depth::sum(reply.depth, Some(depth));
                }
            }
        }
        // Messages are aligned to four bytes.
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    reply
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(state: u8, port: u16, waiting: u32, limit: u32) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend(88_u32.to_ne_bytes());
        message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message.resize(HEADER, 0);
        message.extend([2, state, 0, 0]);
        message.extend(port.to_be_bytes());
        message.resize(HEADER + 56, 0);
        message.extend(waiting.to_ne_bytes());
        message.extend(limit.to_ne_bytes());
        message.resize(88, 0);
        message
    }

    fn end(kind: u16) -> Vec<u8> {
        let mut message = 20_u32.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.resize(20, 0);
        message
    }

    #[test]
    fn listening_sockets_of_the_port_are_added() {
        let whole = [
            socket(LISTEN, 8_000, 3, 128),
            socket(LISTEN, 9_000, 7, 128),
            socket(1, 8_000, 9, 9),
            socket(LISTEN, 8_000, 2, 128),
            end(DONE),
        ]
        .concat();
        let reply = parse(&whole, 8_000);
        let wanted = Depth {
            waiting: 5,
            limit: Some(256),
        };
        assert_eq!((reply.depth, reply.done, reply.failed), (Some(wanted), true, false));
        assert_eq!(parse(&whole, 8_001).depth, None);
        // Without its end, more parts follow.
        assert!(!parse(&whole[..88], 8_000).done);
    }

    #[test]
    fn refused_and_malformed_replies_fail() {
        assert!(parse(&end(ERROR), 8_000).failed);
        let whole = socket(LISTEN, 8_000, 3, 128);
        for cut in 1..whole.len() {
            assert!(parse(&whole[..cut], 8_000).failed, "{cut}");
        }
        assert!(parse(&[0; 32], 8_000).failed);
    }
}
