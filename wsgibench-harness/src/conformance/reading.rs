//! Parses the responses in a byte stream. More lenient than a client: malformed responses are described, not rejected.

/// The parsed bytes of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Final responses, in order.
    pub(super) answers: Vec<Answer>,
    /// Statuses of interim responses (100).
    pub(super) interim: Vec<u16>,
    /// Bytes outside any response.
    pub(super) stray: Vec<u8>,
}

/// A final response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP minor version: 0 or 1.
    pub(super) minor: u8,
    pub(super) status: u16,
    /// Header names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
    /// The response is complete.
    pub(super) whole: bool,
}

/// The framing of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body.
    Nothing,
    /// Delimited by `Content-Length`.
    Length,
    /// Delimited by the last chunk.
    Chunked,
    /// Delimited by the end of the connection.
    Close,
}

impl Answer {
    /// Returns the first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Returns whether the response announces the end of the connection.
    pub(super) fn says_close(&self) -> bool {
        let connection = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        connection.split(',').any(|word| word.trim() == "close")
            || (self.minor == 0 && !connection.contains("keep-alive"))
            || self.framing == Framing::Close
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Parses the responses to `methods`. `closed` means that no more data follows.
pub(super) fn read(bytes: &[u8], closed: bool, methods: &[&str]) -> Reading {
    let mut reading = Reading::default();
    let mut rest = bytes;
    while let Some((head, after)) = head(rest) {
        if (100..200).contains(&head.status) {
            reading.interim.push(head.status);
            rest = after;
            continue;
        }
        let method = methods.get(reading.answers.len()).copied().unwrap_or("GET");
        let (answer, after) = body(head, after, closed, method);
        let whole = answer.whole;
        reading.answers.push(answer);
        rest = after;
        if !whole {
            break;
        }
    }
    reading.stray = rest.to_vec();
    reading
}

struct Head {
    minor: u8,
    status: u16,
    headers: Vec<(String, String)>,
}

/// Splits a complete head from the bytes after it.
fn head(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let length = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes[..length]);
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let minor = match words.next()? {
        "HTTP/1.0" => 0,
        "HTTP/1.1" => 1,
        _ => return None,
    };
    let status = words.next()?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let head = Head { minor, status, headers };
    Some((head, &bytes[length + 4..]))
}

fn body<'a>(head: Head, after: &'a [u8], closed: bool, method: &str) -> (Answer, &'a [u8]) {
    let mut answer = Answer {
        minor: head.minor,
        status: head.status,
        headers: head.headers,
        body: Vec::new(),
        framing: Framing::Nothing,
        whole: true,
    };
    if method == "HEAD" || matches!(answer.status, 204 | 304) {
        return (answer, after);
    }
    let chunked = answer
        .header("transfer-encoding")
        .is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked"));
    let length = answer
        .header("content-length")
        .and_then(|text| text.parse::<usize>().ok());
    if chunked {
        answer.framing = Framing::Chunked;
        let end = chunks(after, &mut answer.body);
        answer.whole = end.is_some();
        (answer, end.map_or(&[], |end| &after[end..]))
    } else if let Some(length) = length {
        answer.framing = Framing::Length;
        let here = length.min(after.len());
        answer.body = after[..here].to_vec();
        answer.whole = here == length;
        (answer, &after[here..])
    } else {
        answer.framing = Framing::Close;
        answer.body = after.to_vec();
        answer.whole = closed;
        (answer, &[])
    }
}

/// Decodes a chunked body and finds its end, if present.
fn chunks(bytes: &[u8], body: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = memchr::memmem::find(&bytes[at..], b"\r\n")?;
        let text = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(text.split(';').next()?.trim(), 16).ok()?;
        at += line + 2;
        if size == 0 {
            // Trailers, then an empty line.
            loop {
                let line = memchr::memmem::find(&bytes[at..], b"\r\n")?;
                at += line + 2;
                if line == 0 {
                    return Some(at);
                }
            }
        }
        let end = at.checked_add(size)?;
        body.extend_from_slice(&bytes[at.min(bytes.len())..end.min(bytes.len())]);
        if bytes.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_and_final_responses_are_parsed() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n";
        let reading = read(bytes, false, &["POST", "GET"]);
        assert_eq!(reading.interim, [100]);
        let got: Vec<_> = reading.answers.iter().map(|a| (a.status, a.text(), a.whole)).collect();
        assert_eq!(got, [(200, "OK".into(), true), (404, "abc".into(), true)]);
        assert!(reading.stray.is_empty());
    }

    #[test]
    fn a_body_in_response_to_head_is_stray() {
        let reading = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", false, &["HEAD"]);
        assert_eq!((reading.answers.len(), reading.stray.as_slice()), (1, b"OK".as_slice()));
    }

    #[test]
    fn responses_without_an_end_are_incomplete() {
        for (bytes, closed, whole) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK"[..], true, false),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
                true,
                false,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOKOK\r\n0\r\n\r\n",
                true,
                false,
            ),
            (b"HTTP/1.0 200 OK\r\n\r\nOK", false, false),
            (b"HTTP/1.0 200 OK\r\n\r\nOK", true, true),
        ] {
            let reading = read(bytes, closed, &["GET"]);
            assert_eq!(reading.answers[0].whole, whole, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn bytes_outside_of_responses_are_stray() {
        let reading = read(b"<html>Bad Request</html>\r\n\r\n", true, &["GET"]);
        assert!(reading.answers.is_empty() && !reading.stray.is_empty());
        assert_eq!(read(b"", true, &[]), Reading::default());
    }

    #[test]
    fn a_close_is_announced_in_three_ways() {
        let one = |bytes: &[u8]| read(bytes, true, &["GET"]).answers.remove(0).says_close();
        assert!(one(
            b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"
        ));
        assert!(one(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(one(b"HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!one(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!one(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
        ));
    }
}
