use proptest::prelude::*;

use super::*;

/// The parsed result of a response, for comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    status: u16,
    body: Vec<u8>,
}

impl Sink for Seen {
    fn head(&mut self, head: &Head<'_>) {
        self.status = head.status;
    }

    fn body(&mut self, piece: &[u8]) {
        self.body.extend_from_slice(piece);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Whole { seen: Seen, keep_alive: bool, rest: usize },
    Unfinished,
    Malformed,
}

fn parse_in_pieces(pieces: &[&[u8]], to_head: bool) -> Outcome {
    let mut parser = Parser::new(to_head);
    let mut seen = Seen::default();
    let mut rest = 0;
    for piece in pieces {
        match parser.feed(piece, &mut seen) {
            Err(_) => return Outcome::Malformed,
            Ok(fed) => rest += piece.len() - fed.consumed,
        }
    }
    if parser.finish() {
        Outcome::Whole {
            seen,
            keep_alive: parser.keep_alive(),
            rest,
        }
    } else {
        Outcome::Unfinished
    }
}

fn whole(status: u16, body: &[u8], keep_alive: bool, rest: usize) -> Outcome {
    let seen = Seen {
        status,
        body: body.to_vec(),
    };
    Outcome::Whole { seen, keep_alive, rest }
}

fn samples() -> Vec<(&'static [u8], bool, Outcome)> {
    vec![
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", false, whole(200, b"OK", true, 0)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, whole(200, b"", true, 0)),
        (b"HTTP/1.1 200\r\ncontent-length: 2, 2\r\n\r\nOK", false, whole(200, b"OK", true, 0)),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nOK", false, whole(200, b"OK", true, 0)),
        (b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", false, whole(200, b"OK", true, 0)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nOK", false, whole(200, b"OK", false, 0)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK", false, whole(200, b"OK", false, 0)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: x, Keep-Alive\r\n\r\nOK", false, whole(200, b"OK", true, 0)),
        (b"HTTP/1.0 200 OK\r\n\r\nall there is", false, whole(200, b"all there is", false, 0)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false, whole(204, b"", true, 0)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", false, whole(304, b"", true, 0)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", true, whole(200, b"", true, 0)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0A \t\r\n, worldly!\r\n000\r\nX-Sum: 1\r\nY: 2\r\n\r\n", false, whole(200, b"hello, worldly!", true, 0)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n", false, whole(200, b"x", true, 0)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nzzz", false, whole(200, b"zzz", false, 0)),
        (b"HTTP/1.1 200 OK\r\nX-A: one\r\n  two\r\n\tthree\r\nContent-Length:\r\n 2\r\n\r\nOK", false, whole(200, b"OK", true, 0)),
        (b"HTTP/1.1 200 OK\r\n folded: nothing\r\nContent-Length: 2\r\n\r\nOK", false, Outcome::Malformed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKAY", false, whole(200, b"OK", true, 2)),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nzz", false, whole(101, b"", false, 2)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nOK", false, Outcome::Unfinished),
        (b"HTTP/1.1 200 OK\r\nContent-Le", false, Outcome::Unfinished),
        (b"", false, Outcome::Unfinished),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", false, Outcome::Unfinished),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX", false, Outcome::Malformed),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, Outcome::Malformed),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", false, Outcome::Malformed),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", false, Outcome::Malformed),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\n", false, Outcome::Malformed),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, Outcome::Malformed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nOKA", false, Outcome::Malformed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nOK", false, Outcome::Malformed),
        (b"HTTP/1.1 050 OK\r\nContent-Length: 2\r\n\r\nOK", false, Outcome::Malformed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", false, Outcome::Malformed),
        (b"HTTP/2 200\r\n\r\n", false, Outcome::Malformed),
        (b"SSH-2.0-OpenSSH_9.2\r\n", false, Outcome::Malformed),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", false, Outcome::Malformed),
    ]
}

#[test]
fn every_sample_parses_alike_at_every_split() {
    for (bytes, to_head, expected) in samples() {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(parse_in_pieces(&[bytes], to_head), expected, "{shown}");
        for split in 0..=bytes.len() {
            let (a, b) = bytes.split_at(split);
            assert_eq!(parse_in_pieces(&[a, b], to_head), expected, "{shown} split at {split}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(parse_in_pieces(&single, to_head), expected, "{shown} byte by byte");
    }
}

#[test]
fn head_size_is_limited() {
    for (length, fits) in [(HEAD_LIMIT, true), (HEAD_LIMIT + 1, false), (1024 * 1024, false)] {
        let mut bytes = b"HTTP/1.1 204 No Content\r\nX: ".to_vec();
        bytes.resize(length - 4, b'x');
        bytes.extend_from_slice(b"\r\n\r\n");
        let expected = if fits {
            whole(204, b"", true, 0)
        } else {
            Outcome::Malformed
        };
        assert_eq!(parse_in_pieces(&[&bytes], false), expected, "{length} at once");
        let pieces: Vec<&[u8]> = bytes.chunks(1000).collect();
        assert_eq!(parse_in_pieces(&pieces, false), expected, "{length} in pieces");
    }
}

#[test]
fn more_headers_than_the_first_pass_are_parsed() {
    let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
    for k in 0..1500 {
        bytes.extend_from_slice(format!("x-{k}: {k}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"content-length: 2\r\n\r\nOK");
    assert_eq!(parse_in_pieces(&[&bytes], false), whole(200, b"OK", true, 0));
}

/// Records a head's facts and length.
struct Facts<'a>(&'a mut Option<(HeadFacts, usize)>);
impl Sink for Facts<'_> {
    fn head(&mut self, head: &Head<'_>) {
        *self.0 = Some((head.facts, head.raw.len()));
    }
    fn body(&mut self, _: &[u8]) {}
}

#[test]
fn an_assumed_head_equals_a_parsed_one() {
    for (bytes, to_head, expected) in samples() {
        let mut facts = None;
        let _ = Parser::new(to_head).feed(bytes, &mut Facts(&mut facts));
        let (Some((facts, length)), Outcome::Whole { seen, .. }) = (facts, expected) else {
            continue;
        };
        if !bytes.starts_with(b"HTTP/1.1 1") {
            let mut parser = Parser::new(to_head);
            let mut again = Seen::default();
            parser.assume_head(facts);
            parser.feed(&bytes[length..], &mut again).unwrap();
            assert!(parser.finish());
            assert_eq!(again.body, seen.body);
        }
    }
}

/// Parses the same bytes with hyper: status and body, or an error.
fn hyper_reads(bytes: &[u8], to_head: bool) -> Option<(u16, Vec<u8>)> {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncWriteExt;

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(client))
            .await
            .unwrap();
        let bytes = bytes.to_vec();
        let peer = async move {
            // hyper rejects a response that precedes its request as unsolicited.
            let mut request = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut server, &mut request).await;
            let _ = server.write_all(&bytes).await;
            let _ = server.shutdown().await;
            let _ = tokio::io::copy(&mut server, &mut tokio::io::sink()).await;
        };
        let ask = async move {
            let method = if to_head { "HEAD" } else { "GET" };
            let request = http::Request::builder()
                .method(method)
                .uri("/")
                .body(Empty::<bytes::Bytes>::new())
                .unwrap();
            let response = sender.send_request(request).await.ok()?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?.to_bytes().to_vec();
            Some((status, body))
        };
        let (answer, _, ()) = tokio::join!(ask, connection, peer);
        answer
    })
}

/// Parses with this parser, in the form of [`hyper_reads`]. Bytes after the response are ignored.
fn we_read(bytes: &[u8], to_head: bool) -> Option<(u16, Vec<u8>)> {
    match parse_in_pieces(&[bytes], to_head) {
        Outcome::Whole { seen, .. } => Some((seen.status, seen.body)),
        _ => None,
    }
}

#[test]
fn hyper_parses_the_samples_alike() {
    for (bytes, to_head, _) in samples() {
        // hyper requires an upgrade handler; this parser ends the exchange.
        if !bytes.starts_with(b"HTTP/1.1 101") {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(we_read(bytes, to_head), hyper_reads(bytes, to_head), "{shown}");
        }
    }
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let status = prop_oneof![
        Just("200 OK"),
        Just("204 No Content"),
        Just("304 x"),
        Just("404 Not Found"),
        Just("500")
    ];
    let version = prop_oneof![4 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0")];
    let header = prop_oneof![
        Just("Content-Length: 3"),
        Just("content-length: 0"),
        Just("Content-Length: 3, 3"),
        Just("Content-Length: -1"),
        Just("Transfer-Encoding: chunked"),
        Just("Transfer-Encoding: chunked, gzip"),
        Just("Transfer-Encoding: identity"),
        Just("Connection: close"),
        Just("Connection: keep-alive"),
        Just("X-Empty:"),
        Just("X-Folded: one\r\n two"),
        Just("Connection: keep-alive,\r\n\tclose"),
        Just("Content-Length:\r\n 3"),
        Just("Date: Thu, 01 Jan 1970 00:00:00 GMT"),
        Just("Bad Name: x"),
    ];
    let tail = prop_oneof![
        Just(""),
        Just("abc"),
        Just("abcdef"),
        Just("3\r\nabc\r\n0\r\n\r\n"),
        Just("3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: v\r\n\r\n"),
        Just("0\r\n\r\n"),
        Just("3\r\nabcd\r\n0\r\n\r\n"),
        Just("g\r\n"),
    ];
    (version, status, prop::collection::vec(header, 0..4), tail).prop_map(|(version, status, headers, tail)| {
        let mut text = format!("{version} {status}\r\n");
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.push_str(tail);
        text.into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn hyper_parses_generated_responses_alike(bytes in answer(), to_head in any::<bool>()) {
        prop_assert_eq!(we_read(&bytes, to_head), hyper_reads(&bytes, to_head));
    }

    #[test]
    fn damaged_responses_never_panic_and_splits_do_not_matter(
        mut bytes in answer(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        prop_assert_eq!(parse_in_pieces(&pieces, false), parse_in_pieces(&[&bytes], false));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse_in_pieces(&[&bytes], false);
        let mut dressed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        dressed.extend_from_slice(&bytes);
        let _ = parse_in_pieces(&[&dressed], false);
    }
}
