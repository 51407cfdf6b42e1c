//! A connection as a state machine over bytes, without socket or clock.

use super::{
    answer,
    head::{Head, Heads, Parsed},
};

/// The next action for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// Read more bytes.
    Bytes,
    /// Respond to a complete request.
    Answer {
        /// The response.
        bytes: &'static [u8],
        /// Whether to close the connection afterwards.
        close: bool,
    },
}

/// The reading side of a connection.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The request whose body is incomplete.
    body_of: Option<Head>,
    /// Remaining bytes of that body.
    body_left: u64,
}

impl Reading {
    /// Consumes bytes from the front of `bytes`; returns their number and the next action.
    pub(super) fn advance(&mut self, heads: &mut Heads, bytes: &[u8]) -> (usize, Wants) {
        let (mut taken, head) = match self.body_of {
            Some(head) => (0, head),
            None if bytes.is_empty() => return (0, Wants::Bytes),
            None => match heads.read(bytes) {
                Parsed::Partial => return (0, Wants::Bytes),
                Parsed::Bad(status) => {
                    let bytes_of_answer = answer::bad(status);
                    return (
                        bytes.len(),
                        Wants::Answer {
                            bytes: bytes_of_answer,
                            close: true,
                        },
                    );
                }
                Parsed::Whole(head) => {
                    self.body_left = head.body;
                    (head.length, head)
                }
            },
        };
        let here = (bytes.len() - taken) as u64;
        let of_body = self.body_left.min(here);
        self.body_left -= of_body;
        // `of_body` is at most the length of a slice.
        taken += usize::try_from(of_body).unwrap_or(usize::MAX);
        if self.body_left > 0 {
            self.body_of = Some(head);
            return (taken, Wants::Bytes);
        }
        self.body_of = None;
        let wants = Wants::Answer {
            bytes: answer::good(head.bodiless, head.close),
            close: head.close,
        };
        (taken, wants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in parts of `piece` bytes and counts the responses.
    fn answers(bytes: &[u8], piece: usize) -> usize {
        let (mut reading, mut heads) = (Reading::default(), Heads::default());
        let (mut held, mut count) = (Vec::new(), 0);
        for part in bytes.chunks(piece) {
            held.extend_from_slice(part);
            loop {
                let (taken, wants) = reading.advance(&mut heads, &held);
                held.drain(..taken);
                match wants {
                    Wants::Bytes => break,
                    Wants::Answer { .. } => count += 1,
                }
            }
        }
        assert!(held.is_empty());
        count
    }

    #[test]
    fn every_request_gets_one_response_for_any_split_of_the_input() {
        let bytes = b"GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n\r\n";
        for piece in 1..=bytes.len() {
            assert_eq!(answers(bytes, piece), 3, "pieces of {piece}");
        }
    }

    #[test]
    fn a_large_body_is_discarded_without_buffering() {
        let (mut reading, mut heads) = (Reading::default(), Heads::default());
        let head = b"PUT / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n";
        assert_eq!(reading.advance(&mut heads, head), (head.len(), Wants::Bytes));
        for _ in 0..9 {
            assert_eq!(reading.advance(&mut heads, &vec![0; 100_000]), (100_000, Wants::Bytes));
        }
        let (taken, wants) = reading.advance(&mut heads, &vec![0; 100_001]);
        assert_eq!(taken, 100_000);
        assert!(matches!(wants, Wants::Answer { close: false, .. }));
    }
}
