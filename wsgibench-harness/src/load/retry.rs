//! Decides whether a request whose connection was lost may be sent again: one rule for declared and scripted loads.
//!
//! RFC 9110, 9.2.2 and RFC 9112, 9.3.1: a server may close an idle connection while a request is on its way to it. Such
//! a request never reached the application and is sent again, once, on a new connection. A request that the server had
//! received and did not answer is lost: it has failed, and sending it again would hide that.

/// How a connection ended while a request was on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The server closed it in an orderly way.
    Closed {
        /// It had done so before the request arrived: the request was answered with a reset.
        refused: bool,
    },
    /// It was reset, by a server that closed it with bytes unread or that meant to.
    Reset,
}

/// A request whose connection was lost before its answer was whole.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts that decide together")]
pub(crate) struct Loss {
    /// The connection had carried an answer before.
    pub(crate) reused: bool,
    /// A byte of the answer has come.
    pub(crate) heard: bool,
    /// A byte of the request has left.
    pub(crate) bytes_left: bool,
    pub(crate) idempotent: bool,
    pub(crate) ending: Ending,
}

impl Loss {
    /// Returns whether the request may be sent again. `faults`: the load injects faults, so that a reset is the death of
    /// a worker rather than the end of an idle connection.
    pub(crate) fn may_be_sent_again(self, faults: bool) -> bool {
        if !self.reused || self.heard {
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

/// Returns whether a method is idempotent: a request that may reach the server twice with the effect of one.
pub(crate) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Loss = Loss {
        reused: true,
        heard: false,
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
    fn post_is_never_sent_again_once_a_byte_has_left() {
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
    fn new_connections_and_begun_answers_are_never_retried() {
        assert!(!Loss { reused: false, ..STALE }.may_be_sent_again(false));
        assert!(!Loss { heard: true, ..STALE }.may_be_sent_again(false));
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
