//! Persistent connections, connection close and pipelining.

use super::{
    super::{
        dialogue::{End, Step},
        reading::Framing,
        rule::{Feature, Needs},
    },
    Dialogue, Judgement, Rule, SEE, Transcript, fail, not_taken, pass, seen, tolerated,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "keep-alive",
        title: "a connection serves a second request, or its close is announced",
        source: "RFC 9112 9.3, 9.6",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| {
            let get = site.get(&site.path);
            vec![Dialogue::of(
                &["GET", "GET"],
                vec![
                    Step::Send(get.clone().into()),
                    Step::Answers(1),
                    Step::Send(get.into()),
                    Step::Answers(2),
                ],
            )]
        },
        judge: keep_alive,
    },
    Rule {
        id: "close",
        title: "`Connection: close` closes the connection",
        source: "RFC 9112 9.6",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| {
            let head = site.head(&format!("GET {} HTTP/1.1", site.path));
            vec![Dialogue::ask(&["GET"], head + "Connection: close\r\n\r\n")]
        },
        judge: |t| match (t[0].reading().answers.len(), t[0].ended()) {
            (1.., true) => pass("responds and closes"),
            (1.., false) => fail("responds and leaves the connection open"),
            _ => not_taken(&t[0]),
        },
    },
    Rule {
        id: "pipelining",
        title: "three pipelined requests are answered in order",
        source: "RFC 9112 9.3.2",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| {
            let all: String = (1..=3).map(|n| site.get(&format!("{SEE}?n={n}"))).collect();
            vec![Dialogue::ask(&["GET", "GET", "GET"], all)]
        },
        judge: pipelining,
    },
    Rule {
        id: "http-1.0",
        title: "responses to HTTP/1.0 clients use only HTTP/1.0 features",
        source: "RFC 9112 2.3, 6.1",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| {
            let head = site.head(&format!("GET {} HTTP/1.0", site.path));
            vec![Dialogue::ask(&["GET"], head + "\r\n")]
        },
        judge: |t| match t[0].reading().answers.first() {
            Some(answer) if matches!(answer.status, 426 | 505) => {
                tolerated(format!("rejects HTTP/1.0 with {}", answer.status))
            }
            Some(answer) if answer.framing == Framing::Chunked => {
                fail("responds with chunked coding, which HTTP/1.0 lacks")
            }
            Some(answer) if !answer.whole => fail("the response has no end"),
            Some(answer) if answer.status != 200 => not_taken(&t[0]),
            Some(_) if t[0].end == End::Open => tolerated("leaves the connection open without keep-alive"),
            Some(_) => pass("responds and closes"),
            None => not_taken(&t[0]),
        },
    },
    Rule {
        id: "head",
        title: "a HEAD response has no body, and the connection stays usable",
        source: "RFC 9110 9.3.2",
        required_for: Some(Feature::Head),
        needs: Needs::Nothing,
        dialogues: |site| {
            let head = site.head(&format!("HEAD {} HTTP/1.1", site.path)) + "\r\n";
            vec![Dialogue::of(&["HEAD"], vec![Step::Send(head.into()), Step::Answers(1)])]
        },
        judge: |t| {
            let reading = t[0].reading();
            match reading.answers.first() {
                Some(_) if !reading.stray.is_empty() => fail(format!("sends {} bytes of body", reading.stray.len())),
                Some(answer) => pass(format!("{} without a body", answer.status)),
                None => not_taken(&t[0]),
            }
        },
    },
    Rule {
        id: "no-content",
        title: "a 204 response has no body",
        source: "RFC 9110 15.3.5, 8.6",
        required_for: None,
        needs: Needs::Routes,
        dialogues: |site| vec![Dialogue::ask(&["GET"], site.get("/conformance/empty"))],
        judge: |t| {
            let reading = t[0].reading();
            match reading.answers.first() {
                Some(answer) if answer.status != 204 => not_taken(&t[0]),
                Some(_) if !reading.stray.is_empty() => fail(format!(
                    "{} bytes follow it, which clients do not expect",
                    reading.stray.len()
                )),
                Some(answer) if answer.header("transfer-encoding").is_some() => {
                    tolerated("has a Transfer-Encoding, which is not allowed in a 204")
                }
                Some(answer) if answer.header("content-length").is_some() => {
                    tolerated("has a Content-Length, which is not allowed in a 204")
                }
                Some(_) => pass("nothing follows the head"),
                None => not_taken(&t[0]),
            }
        },
    },
    Rule {
        id: "half-heads",
        title: "40 clients with incomplete request heads do not block other clients",
        source: "slow clients",
        required_for: None,
        needs: Needs::Nothing,
        dialogues: |site| {
            let half = site.head(&format!("GET {} HTTP/1.1", site.path)) + "X-Slow: ";
            vec![Dialogue::of(
                &["GET"],
                vec![
                    Step::SlowClients(40, half.into()),
                    Step::Send(site.get(&site.path).into()),
                    Step::Answers(1),
                ],
            )]
        },
        judge: |t| match t[0].first_byte {
            Some(time) if time.as_secs() < 1 => {
                pass(format!("another client gets a response after {} ms", time.as_millis()))
            }
            Some(time) => tolerated(format!(
                "another client waits for {:.1} s: run it behind a buffering proxy",
                time.as_secs_f64()
            )),
            None => tolerated("another client gets no response within 4 s: run it behind a buffering proxy"),
        },
    },
];

fn keep_alive(t: &[Transcript]) -> Judgement {
    let reading = t[0].reading();
    match reading.answers.as_slice() {
        [_, second, ..] if second.whole => pass("accepts a second request"),
        [first, ..] if first.minor == 0 && t[0].ended() => tolerated("responds with HTTP/1.0 and closes"),
        [first, ..] if first.says_close() && t[0].ended() => tolerated("closes each connection and announces it"),
        [_, ..] if t[0].ended() => fail("closes after a response without announcing it"),
        [_, ..] => fail("leaves the connection open without a response to the second request"),
        [] => not_taken(&t[0]),
    }
}

fn pipelining(t: &[Transcript]) -> Judgement {
    let reading = t[0].reading();
    let order: Vec<String> = reading
        .answers
        .iter()
        .map(|answer| seen(answer).map_or_else(|| answer.status.to_string(), |seen| seen.query))
        .collect();
    let asked = ["n=1", "n=2", "n=3"];
    if order.is_empty() {
        return not_taken(&t[0]);
    }
    if order != asked[..order.len().min(3)] {
        return fail(format!("answered in this order: {}", order.join(", ")));
    }
    match (order.len(), t[0].ended()) {
        (3, _) => pass("three responses in order"),
        (n, true) if reading.answers[n - 1].says_close() => {
            tolerated(format!("answers {n} of 3, then closes and announces it"))
        }
        (n, true) => fail(format!("answers {n} of 3 and closes without announcing it")),
        (n, false) => fail(format!("answers {n} of 3 and loses the others")),
    }
}
