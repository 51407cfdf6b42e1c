//! Request heads: body length and connection persistence.

/// Maximum size of a request head, bytes; a longer one gets 431.
pub(super) const LONGEST_HEAD: usize = 64 * 1024;

/// The facts of a head that the server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Length of the head including its empty line, bytes.
    pub(super) length: usize,
    /// Length of the body, bytes.
    pub(super) body: u64,
    /// Whether the response has no body.
    pub(super) bodiless: bool,
    /// Whether the connection is closed after the response.
    pub(super) close: bool,
}

/// The result of parsing the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A complete head.
    Whole(Head),
    /// More bytes are needed.
    Partial,
    /// Not an HTTP/1.x request: gets this status, and the connection is closed.
    Bad(u16),
}

/// A parser that caches the last head, because benchmark clients send the same bytes repeatedly, and comparing them is
/// several times cheaper than parsing.
#[derive(Debug, Default)]
pub(super) struct Heads {
    last: Vec<u8>,
    verdict: Option<Head>,
}

impl Heads {
    /// Parses the head at the start of `bytes`.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Parsed {
        if let Some(head) = self.verdict
            && bytes.get(..self.last.len()) == Some(&self.last)
        {
            return Parsed::Whole(head);
        }
        let parsed = parse(bytes);
        if let Parsed::Whole(head) = parsed {
            self.last.clear();
            self.last.extend_from_slice(&bytes[..head.length]);
            self.verdict = Some(head);
        }
        parsed
    }
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Parsed::Partial,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Parsed::Bad(431),
        Err(_) => return Parsed::Bad(400),
    };
    let old = request.version == Some(0);
    let mut head = Head {
        length,
        body: 0,
        bodiless: request.method == Some("HEAD"),
        close: old,
    };
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            match std::str::from_utf8(header.value)
                .ok()
                .and_then(|v| v.trim().parse().ok())
            {
                Some(length) => head.body = length,
                None => return Parsed::Bad(400),
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Parsed::Bad(411);
        } else if header.name.eq_ignore_ascii_case("connection") {
            if has_token(header.value, b"close") {
                head.close = true;
            } else if old && has_token(header.value, b"keep-alive") {
                head.close = false;
            }
        }
    }
    Parsed::Whole(head)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|&b| b == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Head {
        match Heads::default().read(bytes) {
            Parsed::Whole(head) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_get_keeps_the_connection_alive() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let head = whole(bytes);
        assert_eq!((head.length, head.body, head.close), (bytes.len() - 4, 0, false));
    }

    #[test]
    fn header_names_are_case_insensitive() {
        let head = whole(b"POST /x HTTP/1.1\r\ncontent-LENGTH: 12\r\nCONNECTION: Upgrade, Close\r\n\r\n");
        assert_eq!((head.body, head.close, head.bodiless), (12, true, false));
        assert!(whole(b"HEAD / HTTP/1.0\r\n\r\n").close);
        assert!(!whole(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").close);
    }

    #[test]
    fn a_head_that_differs_from_the_cached_one_is_parsed() {
        let mut heads = Heads::default();
        let first = b"GET /one HTTP/1.1\r\n\r\n";
        let second = b"POST /one HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        for _ in 0..2 {
            assert_eq!(heads.read(first), Parsed::Whole(whole(first)));
        }
        assert_eq!(heads.read(second), Parsed::Whole(whole(second)));
        assert_eq!(heads.read(&first[..10]), Parsed::Partial);
    }

    #[test]
    fn invalid_requests_get_a_status() {
        assert_eq!(parse(b"hello\x00\r\n\r\n"), Parsed::Bad(400));
        assert_eq!(
            parse(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Parsed::Bad(411)
        );
        assert_eq!(
            parse(b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
            Parsed::Bad(400)
        );
        let long = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &vec![b'x'; LONGEST_HEAD]].concat();
        assert_eq!(parse(&long), Parsed::Bad(431));
    }
}
