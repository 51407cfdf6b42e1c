use std::collections::HashSet;

use super::*;
use crate::{Check, Values, get};

fn target() -> Target {
    Target {
        address: ([127, 0, 0, 1], 80).into(),
        host: "example.test".into(),
        tls: None,
    }
}

fn whole(mix: &Mix, index: u32, close: bool, sequence: u64) -> Vec<u8> {
    let mut scratch = Scratch::default();
    mix.render(index, close, sequence, &mut scratch);
    let request = mix.get(index);
    let mut bytes = Vec::new();
    loop {
        let piece = request.piece(close, &scratch.out, bytes.len() as u64);
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(piece);
    }
    assert_eq!(bytes.len() as u64, request.length(close, &scratch.out));
    bytes
}

fn mix_of(request: Request) -> Mix {
    Mix::new(&Load::closed(1).request(request), &target(), 7).unwrap()
}

#[test]
fn a_get_has_a_keep_alive_and_a_close_form() {
    let mut request = Request::new("GET", "/x?y=1");
    request.headers.push(("Connection".into(), "keep-alive".into()));
    let mix = mix_of(request);
    let keep = b"GET /x?y=1 HTTP/1.1\r\nHost: example.test\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(whole(&mix, 0, false, 0), keep);
    let close = b"GET /x?y=1 HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n";
    assert_eq!(whole(&mix, 0, true, 0), close);
}

#[test]
fn rendered_values_have_the_correct_content_length() {
    let mut request = Request::new("POST", "/item/{id}");
    request.headers.push(("X-Pick".into(), "{pick}".into()));
    request.body = Body::Bytes(br#"{"id":"{id}","row":"{row}","other":"{other}"}"#.to_vec());
    request.values = vec![
        ("id".into(), Values::Counter),
        ("pick".into(), Values::Random { low: 5, high: 6 }),
        ("row".into(), Values::Rows(vec!["a".into(), "bcd".into()])),
    ];
    let mix = mix_of(request);
    let mut picks = HashSet::new();
    for sequence in [0, 1, 9, 10, 1_234_567] {
        let bytes = whole(&mix, 0, false, sequence);
        assert_eq!(
            bytes,
            whole(&mix, 0, false, sequence),
            "the same number gives the same request"
        );
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("POST /item/{sequence} HTTP/1.1")), "{head}");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head} {body}"
        );
        let row = if sequence % 2 == 0 { "a" } else { "bcd" };
        assert_eq!(
            body,
            format!(r#"{{"id":"{sequence}","row":"{row}","other":"{{other}}"}}"#)
        );
        picks.insert(head.split("X-Pick: ").nth(1).unwrap().chars().next().unwrap());
    }
    assert!(picks.is_subset(&HashSet::from(['5', '6'])), "{picks:?}");
}

/// Counts body bytes.
struct Count(u64);
impl crate::http1::Sink for Count {
    fn head(&mut self, _: &crate::http1::Head<'_>) {}
    fn body(&mut self, piece: &[u8]) {
        self.0 += piece.len() as u64;
    }
}

#[test]
fn streamed_and_chunked_bodies_have_their_length() {
    for length in [0_u64, 1, 16_383, 16_384, 16_385, 200_000] {
        let mut request = Request::new("PUT", "/");
        request.body = Body::Streamed(length);
        let bytes = whole(&mix_of(request.clone()), 0, false, 0);
        let body = bytes.len() - (bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4);
        assert_eq!(body as u64, length);

        request.body = Body::Chunked(length);
        let bytes = whole(&mix_of(request), 0, false, 0);
        // This crate's parser removes the coding.
        let at = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        answer.extend_from_slice(&bytes[at..]);
        let mut count = Count(0);
        let fed = crate::http1::Parser::new(false).feed(&answer, &mut count).unwrap();
        assert!(fed.complete);
        assert_eq!((fed.consumed, count.0), (answer.len(), length));
    }
}

#[test]
fn choice_in_a_mix_follows_weights_and_seed() {
    let mut load = Load::closed(1)
        .request(get("/a"))
        .request(get("/b"))
        .request(get("/never"));
    load.requests[1].weight = 3;
    load.requests[2].weight = 0;
    let mix = Mix::new(&load, &target(), 7).unwrap();
    let counts = (0..40_000).fold([0_u32; 3], |mut counts, k| {
        counts[mix.choose(k) as usize] += 1;
        counts
    });
    // A quarter of 40,000 with a standard deviation of 87.
    assert!((9_500..10_500).contains(&counts[0]), "{counts:?}");
    assert_eq!(counts[2], 0);
    let again = Mix::new(&load, &target(), 7).unwrap();
    assert!((0..1000).all(|k| mix.choose(k) == again.choose(k)));
    let other = Mix::new(&load, &target(), 8).unwrap();
    assert!((0..1000).any(|k| mix.choose(k) != other.choose(k)));
}

#[test]
fn invalid_requests_are_errors_that_name_the_problem() {
    let bad = |change: fn(&mut Request)| {
        let mut request = Request::new("GET", "/");
        change(&mut request);
        Mix::new(&Load::closed(1).request(request), &target(), 0)
            .unwrap_err()
            .to_string()
    };
    assert!(bad(|r| r.path = "no-slash".into()).contains("must begin with /"));
    assert!(bad(|r| r.path = "/a b".into()).contains("%20"));
    assert!(bad(|r| r.method = "G T".into()).contains("method"));
    assert!(bad(|r| r.headers.push(("X".into(), "a\r\nb".into()))).contains("line break"));
    assert!(bad(|r| r.headers.push(("Content-Length".into(), "3".into()))).contains("follows from the body"));
    assert!(bad(|r| r.values.push(("x".into(), Values::Rows(vec![])))).contains("no rows"));
    assert!(bad(|r| r.values.push(("x".into(), Values::Random { low: 2, high: 1 }))).contains("empty range"));
    assert!(bad(|r| r.weight = 0).contains("weight 0"));
    assert!(
        Mix::new(&Load::closed(1).for_script(), &target(), 0)
            .unwrap_err()
            .to_string()
            .contains("no request")
    );
}

#[test]
fn checks_report_the_first_failure() {
    let load = Load::closed(1).request(
        get("/")
            .expect_status(200)
            .expect_header("Content-Type", "text/plain")
            .expect_body("OK")
            .expect(Check::BodyLength(2)),
    );
    let mix = Mix::new(&load, &target(), 0).unwrap();
    let judge = |answer: &[u8]| {
        let mut cache = HeadCache::default();
        let mut verdicts = Vec::new();
        let mut samples = vec![None; mix.check_names().len()];
        // Twice: with a parsed and a cached head.
        for _ in 0..2 {
            let mut state = CheckState::FRESH;
            let mut parser = crate::http1::Parser::new(false);
            let mut at = 0;
            if let Some((length, facts, failed)) = cache.lookup(answer) {
                parser.assume_head(facts);
                state.failed = failed;
                at = length;
            }
            let mut judge = Judge {
                request: mix.get(0),
                state: &mut state,
                cache: &mut cache,
                samples: &mut samples,
            };
            parser.feed(&answer[at..], &mut judge).unwrap();
            verdicts.push(judge.end());
        }
        assert_eq!(verdicts[0], verdicts[1]);
        let name = mix.check_names().get(usize::from(verdicts[0])).cloned();
        let sample = samples.into_iter().flatten().next();
        (name, sample)
    };
    let right = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain \r\nContent-Length: 2\r\n\r\nOK";
    assert_eq!(judge(right), (None, None));
    let folded = b"HTTP/1.1 200 OK\r\nContent-Type:\r\n text/plain\r\nContent-Length: 2\r\n\r\nOK";
    assert_eq!(judge(folded), (None, None));
    let (name, sample) = judge(b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nboom");
    assert_eq!(name.as_deref(), Some("status 200"));
    let sample = sample.unwrap();
    assert!(sample.contains("500 Oh") && sample.ends_with("boom"), "{sample}");
    let (name, _) = judge(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nOK");
    assert_eq!(name.as_deref(), Some("header Content-Type: text/plain"));
    let (name, sample) = judge(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nKO");
    assert_eq!((name.as_deref(), sample.as_deref()), (Some("body \"OK\""), Some("KO")));
    let (name, _) = judge(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nOK!");
    assert_eq!(name.as_deref(), Some("body \"OK\""));
    let (name, _) = judge(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nO");
    assert_eq!(name.as_deref(), Some("body \"OK\""));
}

fn city(path: &str, rows: &[&str]) -> Request {
    let mut request = Request::new("GET", path);
    let rows = rows.iter().map(|row| (*row).to_owned()).collect();
    request.values.push(("city".into(), Values::Rows(rows)));
    request
}

#[test]
fn rows_are_percent_encoded_in_path_and_query() {
    let mut request = city("/{city}/x?city={city}&raw={+city}", &["a&b=50%", "Z\u{fc}rich", "a/b"]);
    request.headers.push(("X-City".into(), "{city} {+city}".into()));
    let mix = mix_of(request);
    let head = |sequence| String::from_utf8(whole(&mix, 0, false, sequence)).unwrap();
    assert!(
        head(0).starts_with("GET /a%26b%3D50%25/x?city=a%26b%3D50%25&raw=a&b=50% HTTP/1.1\r\n"),
        "{}",
        head(0)
    );
    assert!(head(0).contains("X-City: a&b=50% {+city}\r\n"), "{}", head(0));
    assert!(head(1).starts_with("GET /Z%C3%BCrich/x?city=Z%C3%BCrich&raw=Z\u{fc}rich HTTP/1.1\r\n"));
    assert!(head(2).starts_with("GET /a%2Fb/x?city=a%2Fb&raw=a/b HTTP/1.1\r\n"));
    let spaced = mix_of(city("/?q={city}", &["New York"]));
    assert!(
        String::from_utf8(whole(&spaced, 0, false, 0))
            .unwrap()
            .starts_with("GET /?q=New%20York HTTP/1.1\r\n")
    );
}

#[test]
fn a_row_that_breaks_the_request_is_an_error_with_row_and_column() {
    let refused = |request: Request| {
        Mix::new(&Load::closed(1).request(request), &target(), 0)
            .unwrap_err()
            .to_string()
    };
    let injected = ["Rome", "Oslo\r\nX-Injected: 1"];
    for path in ["/{city}", "/?q={city}", "/?q={+city}"] {
        let message = refused(city(path, &injected));
        assert!(
            message.contains("row 2 of column \"city\"") && message.contains("line break"),
            "{message}"
        );
    }
    let mut header = city("/", &injected);
    header.headers.push(("X-City".into(), "{city}".into()));
    assert!(refused(header).contains("row 2 of column \"city\""));
    let message = refused(city("/{+city}", &["Rome", "New York"]));
    assert!(
        message.contains("row 2 of column \"city\"") && message.contains("{name}"),
        "{message}"
    );
    let mut body = city("/", &injected);
    body.method = "POST".into();
    body.body = Body::Bytes(b"text={city}".to_vec());
    assert!(whole(&mix_of(body), 0, false, 1).ends_with(b"text=Oslo\r\nX-Injected: 1"));
}

#[test]
fn a_long_wrong_body_is_cut_and_its_length_is_stated() {
    let mix = Mix::new(
        &Load::closed(1).request(get("/").expect_status(200).expect_body("OK")),
        &target(),
        0,
    )
    .unwrap();
    let sample = |status: &str, body: &[u8]| {
        let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        let mut samples = vec![None; mix.check_names().len()];
        let (mut cache, mut state) = (HeadCache::default(), CheckState::FRESH);
        let mut judge = Judge {
            request: mix.get(0),
            state: &mut state,
            cache: &mut cache,
            samples: &mut samples,
        };
        let mut parser = crate::http1::Parser::new(false);
        for piece in answer.chunks(1000) {
            parser.feed(piece, &mut judge).unwrap();
        }
        judge.end();
        samples.into_iter().flatten().next().unwrap()
    };
    assert_eq!(
        sample("200 OK", &vec![b'x'; 70_000]),
        format!("{}... (body of 70000 bytes)", "x".repeat(200))
    );
    let refused = sample("500 Oh", &vec![b'x'; 70_000]);
    assert!(
        refused.starts_with("HTTP/1.1 500 Oh\nxxx") && refused.ends_with("... (body of 70000 bytes)"),
        "{refused}"
    );
    assert!(refused.chars().count() < 240, "{refused}");
    assert_eq!(sample("200 OK", b"short"), "short");
    assert!(sample("200 OK", b"\x1f\x8b\x08").contains("gzip"));
}
