//! Decides whether a request is sent again after its connection was lost, for declared and scripted loads.
//!
//! A server may close an idle connection while a request is in transit (RFC 9110, 9.2.2 and RFC 9112, 9.3.1). Such
//! a request never reached the application and is sent again, once, on a new connection. A request that the server
//! received and did not answer has failed; sending it again would hide the loss.

/// The end of a connection with a pending request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The server closed it.
    Closed {
        /// Whether it was closed before the request arrived: the kernel answered the request with a reset.
        refused: bool,
    },
    /// It was reset: the server closed it with unread bytes, or reset it deliberately.
    Reset,
}

/// A request whose connection was lost before its response was complete.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts that decide together")]
pub(crate) struct Loss {
    /// Whether the connection had carried a response before.
    pub(crate) reused: bool,
    /// Whether a byte of the response has arrived.
    pub(crate) received_any: bool,
    /// Whether a byte of the request was sent.
    pub(crate) bytes_left: bool,
    pub(crate) idempotent: bool,
    pub(crate) ending: Ending,
}

impl Loss {
    /// Returns whether the request may be sent again. `faults` is true if the load injects faults: a reset is then the death
    /// of a worker rather than the end of an idle connection.
    pub(crate) fn may_be_sent_again(self, faults: bool) -> bool {
        if !self.reused || self.received_any {
            return false;
        }
        if !self.bytes_left {
            return true;
        }
        let unread = match self.ending {
            Ending::Closed { refused } => refused,
            Ending::Reset => !faults,
        };
        self.idempotent && unread
    }
}

/// Returns whether a method is idempotent: two identical requests have the same effect as one.
pub(crate) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Loss = Loss {
        reused: true,
        received_any: false,
        bytes_left: true,
        idempotent: true,
        ending: Ending::Closed { refused: true },
    };

    #[test]
    fn request_refused_by_a_closed_socket_is_sent_again() {
        assert!(STALE.may_be_sent_again(false));
        assert!(STALE.may_be_sent_again(true));
    }

    #[test]
    fn request_that_the_server_read_is_lost() {
        let read = Loss {
            ending: Ending::Closed { refused: false },
            ..STALE
        };
        assert!(!read.may_be_sent_again(false));
    }

    #[test]
    fn reset_is_a_stale_connection_only_without_faults() {
        let reset = Loss {
            ending: Ending::Reset,
            ..STALE
        };
        assert!(reset.may_be_sent_again(false));
        assert!(!reset.may_be_sent_again(true));
    }

    #[test]
    fn post_is_never_sent_again_once_a_byte_was_sent() {
        for ending in [Ending::Reset, Ending::Closed { refused: true }] {
            let post = Loss {
                idempotent: is_idempotent("POST"),
                ending,
                ..STALE
            };
            assert!(!post.may_be_sent_again(false));
            let unsent = Loss {
                bytes_left: false,
                ..post
            };
            assert!(unsent.may_be_sent_again(false));
        }
    }

    #[test]
    fn new_connections_and_started_responses_are_never_retried() {
        assert!(!Loss { reused: false, ..STALE }.may_be_sent_again(false));
        assert!(
            !Loss {
                received_any: true,
                ..STALE
            }
            .may_be_sent_again(false)
        );
    }

    #[test]
    fn idempotent_methods_are_those_of_rfc_9110() {
        assert!(
            ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]
                .into_iter()
                .all(is_idempotent)
        );
        assert!(!["POST", "PATCH", "CONNECT", "get"].into_iter().any(is_idempotent));
    }
}
