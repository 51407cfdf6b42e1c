//! What one connection has sent so far, and how many answers it has earned.

use memchr::memmem;

/// Bytes of a request head that arrived in pieces, and of a body still to come.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// A head whose end has not arrived.
    partial: Vec<u8>,
    /// Body bytes still to swallow.
    body_left: u64,
}

/// A head longer than this is no request of ours.
const HEAD_LIMIT: usize = 64 * 1024;

impl Incoming {
    /// Takes received bytes; gives the number of requests that are now whole, `None` for what is no request.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.partial.is_empty() {
            return self.whole_requests(bytes);
        }
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        self.whole_requests(&all)
    }

    fn whole_requests(&mut self, mut bytes: &[u8]) -> Option<usize> {
        let mut whole = 0;
        loop {
            if self.body_left > 0 {
                let taken = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(bytes.len());
                self.body_left -= taken as u64;
                bytes = &bytes[taken..];
                if self.body_left > 0 {
                    return Some(whole);
                }
                whole += 1;
            }
            if bytes.is_empty() {
                return Some(whole);
            }
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
                if bytes.len() > HEAD_LIMIT {
                    return None;
                }
                self.partial.extend_from_slice(bytes);
                return Some(whole);
            };
            let (head, rest) = bytes.split_at(end + 4);
            bytes = rest;
            self.body_left = content_length(head)?;
            if self.body_left == 0 {
                whole += 1;
            }
        }
    }
}

/// The body's length; 0 without one. Only requests that are not a GET are searched: the fast path stays one comparison.
fn content_length(head: &[u8]) -> Option<u64> {
    if head.starts_with(b"GET ") {
        return Some(0);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok()?;
    request
        .headers
        .iter()
        .find(|h| h.name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |h| std::str::from_utf8(h.value).ok()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n";

    #[test]
    fn requests_are_counted_wherever_the_bytes_are_split() {
        for at in 0..=TEXT.len() {
            let mut incoming = Incoming::default();
            let first = incoming.take(&TEXT[..at]).unwrap();
            let second = incoming.take(&TEXT[at..]).unwrap();
            assert_eq!(first + second, 3, "split at {at}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(Incoming::default().take(&vec![b'a'; HEAD_LIMIT + 1]), None);
        assert_eq!(Incoming::default().take(b"\x00\x01\r\n\r\n"), None);
    }
}
