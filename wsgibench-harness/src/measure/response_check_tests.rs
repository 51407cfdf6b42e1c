use super::*;
use crate::{
    load::{Target, get, script::script},
    null_server::NullServer,
};

fn plan(server: &NullServer, load: Load) -> LoadPlan {
    LoadPlan::new(Target::new(server.address(), "null"), load)
}

fn server() -> NullServer {
    NullServer::start(([127, 0, 0, 1], 0).into(), None).unwrap()
}

fn tried<F>(function: F) -> Result<Tried, Wrong>
where
    F: for<'a> Fn(&'a mut crate::load::script::User) -> crate::load::script::Running<'a> + Send + Sync + 'static,
{
    let server = server();
    let load = Load::closed(50).for_script();
    let work = Work::Script {
        load: load.clone(),
        script: script(function),
    };
    check(&plan(&server, load), &work, &Interrupt::default(), drop)
}

fn error_of<F>(function: F) -> String
where
    F: for<'a> Fn(&'a mut crate::load::script::User) -> crate::load::script::Running<'a> + Send + Sync + 'static,
{
    tried(function).unwrap_err().to_string()
}

#[test]
fn each_request_is_sent_and_a_wrong_response_is_named() {
    let server = server();
    let asked = |load: Load| {
        check(
            &plan(&server, load.clone()),
            &Work::Load(load),
            &Interrupt::default(),
            drop,
        )
    };
    let load = Load::closed(50).request(get("/").expect_status(200).expect_body("OK"));
    assert_eq!(asked(load.clone()).unwrap(), Tried::Requests);
    let error = asked(load.request(get("/other").expect_body("NO")))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("GET /other got a wrong response"), "{error}");
    assert!(error.contains("got OK"), "{error}");
}

#[test]
fn each_request_is_sent_exactly_once() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let told = told.clone();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut request) {
                    told.send(
                        String::from_utf8_lossy(&request[..read])
                            .lines()
                            .next()
                            .map(str::to_owned),
                    )
                    .unwrap();
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
                        .unwrap();
                }
            });
        }
    });
    let load = Load::closed(50)
        .request(crate::load::post("/orders").expect_status(200))
        .request(get("/").expect_status(200));
    assert_eq!(declared(address, load), Ok(Tried::Requests));
    let lines: Vec<String> = asked.try_iter().flatten().collect();
    assert_eq!(lines, ["POST /orders HTTP/1.1", "GET / HTTP/1.1"]);
}

#[test]
fn a_script_is_run_once_and_its_failure_is_named() {
    let fine = tried(|user| {
        Box::pin(async move {
            user.get("/").await?.expect_status(200)?.expect_body("OK")?;
            user.think(Duration::from_millis(30)).await;
            Ok(())
        })
    });
    assert!(
        matches!(fine, Ok(Tried::Script(took)) if took >= Duration::from_millis(30)),
        "{fine:?}"
    );
    let wrong = error_of(|user| {
        Box::pin(async move {
            user.get("/").await?.expect_status(201)?;
            Ok(())
        })
    });
    assert!(wrong.contains("expected status 201, got 200 OK: OK"), "{wrong}");
    let panicked = error_of(|_| Box::pin(async { panic!("out of cheese") }));
    assert!(panicked.contains("the script panicked: out of cheese"), "{panicked}");
    let own = error_of(|_| Box::pin(async { anyhow::bail!("no such reader") }));
    assert!(own.contains("the script returned an error: no such reader"), "{own}");
    let nothing = error_of(|_| Box::pin(async { Ok(()) }));
    assert!(nothing.contains("it sent no request"), "{nothing}");
    let path = error_of(|user| {
        Box::pin(async move {
            user.get("no-slash").await?;
            Ok(())
        })
    });
    assert!(
        path.contains("cannot be sent") && path.contains("must begin with `/`"),
        "{path}"
    );
}

#[test]
fn a_script_that_hangs_is_an_error() {
    let hangs = error_of(|user| {
        Box::pin(async move {
            user.get("/").await?;
            std::future::pending::<()>().await;
            Ok(())
        })
    });
    assert!(hangs.contains("the script hangs: no request"), "{hangs}");
}

#[test]
fn a_script_that_blocks_its_thread_is_an_error() {
    let held = tried(|_| {
        Box::pin(async {
            std::thread::sleep(Duration::from_secs(3_600));
            Ok(())
        })
    });
    assert!(matches!(held, Err(Wrong::Engine(LoadError::ScriptHolds))), "{held:?}");
}

#[test]
fn the_trial_run_determines_length_and_notes_of_rounds() {
    let long = Tried::Script(Duration::from_secs(3));
    let second = Duration::from_secs(1);
    assert_eq!(long.long_enough_for_one_run(second), Duration::from_secs(4));
    assert!(
        long.note_for_rounds(second)
            .unwrap()
            .contains("took 3.0 s, but a round lasts 1.0 s")
    );
    assert_eq!(long.note_for_rounds(Duration::from_secs(5)), None);
    assert!(
        Tried::Unending(Duration::from_secs(30))
            .note_for_rounds(second)
            .unwrap()
            .contains("within 30 s")
    );
    assert_eq!(
        (
            Tried::Requests.long_enough_for_one_run(second),
            Tried::Requests.note_for_rounds(second)
        ),
        (second, None)
    );
}

/// Starts a server that responds to every request with these bytes after a delay, and closes if requested.
fn raw(answer: &'static [u8], after: Duration, closes: bool) -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|read| read > 0) {
                    std::thread::sleep(after);
                    if stream.write_all(answer).is_err() || closes {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn raw_plan(address: std::net::SocketAddr, load: Load) -> LoadPlan {
    LoadPlan::new(Target::new(address, "raw.test"), load)
}

fn declared(address: std::net::SocketAddr, load: Load) -> Result<Tried, String> {
    let plan = raw_plan(address, load.clone());
    check(&plan, &Work::Load(load), &Interrupt::default(), drop).map_err(|wrong| wrong.to_string())
}

#[test]
fn cookies_for_another_host_are_noted_once() {
    let asking = script(|user| {
        Box::pin(async move {
            for _ in 0..3 {
                user.get("/").await?.expect_status(200)?;
            }
            Ok(())
        })
    });
    let notes_of = |answer: &'static [u8]| {
        let load = Load::closed(1).for_script();
        let plan = raw_plan(raw(answer, Duration::ZERO, false), load.clone());
        let work = Work::Script {
            script: asking.clone(),
            load,
        };
        let mut notes = Vec::new();
        check(&plan, &work, &Interrupt::default(), |note| notes.push(note)).unwrap();
        notes
    };
    let notes = notes_of(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Domain=shop.test\r\nContent-Length: 2\r\n\r\nOK");
    assert!(
        notes.len() == 1 && notes[0].contains("`session` (Domain=shop.test, host raw.test) 3 times"),
        "{notes:?}"
    );
    let fine = notes_of(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Domain=raw.test\r\nContent-Length: 2\r\n\r\nOK");
    assert!(fine.is_empty(), "{fine:?}");
}

#[test]
fn malformed_responses_are_reported_with_the_rule_and_first_line() {
    let cases: [(&[u8], bool, &str); 7] = [
        (
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
            true,
            "HTTP/1.0 has no transfer-encoding",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type : text/plain\r\nContent-Length: 2\r\n\r\nOK",
            false,
            "space before the colon",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nOK",
            false,
            "1 bytes follow the end",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK",
            true,
            "1 bytes of the content-length are missing",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nOK",
            false,
            "content-length is not one number",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            false,
            "chunk size",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", false, "does not begin with HTTP/1."),
    ];
    for (answer, closes, rule) in cases {
        let message = declared(raw(answer, Duration::ZERO, closes), Load::closed(1).request(get("/"))).unwrap_err();
        let first = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap());
        assert!(message.contains(rule) && message.contains(&*first), "{rule}: {message}");
    }
}

#[test]
fn a_first_response_has_the_longer_of_its_own_and_the_minimum_timeout() {
    let (short, delay, long) = (
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_secs(60),
    );
    let late = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", delay, false);
    let asked = |own: Duration, minimum: Duration| {
        let load = Load::closed(1).request(get("/")).timeout(own);
        each_request(&raw_plan(late, load.clone()), &load, minimum).map_err(|wrong| wrong.to_string())
    };
    assert_eq!(asked(long, short), Ok(()));
    assert_eq!(asked(short, long), Ok(()));
    let error = asked(short, short).unwrap_err();
    // Either the load generator or the check notices first.
    assert!(
        error.contains("no complete response in time") || error.contains("no response within 0.1 s"),
        "{error}"
    );
}
