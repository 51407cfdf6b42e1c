//! Servers with parameters: crossed lists and named cases, selected by the name of the function.

use wsgibench_harness::{declare::Declarations, prelude::*};

/// Gunicorn with threads.
#[server(workers = [1, 2], threads = [1, 16])]
fn app(workers: usize, threads: usize) -> Server {
    Server::python(["gunicorn==27.0.1"])
        .command([format!("--workers={workers}"), format!("--threads={threads}")])
        .default_variant(workers == 2 && threads == 16)
}

#[server(cases(small(workers = 1, kind = "sync"), large(workers = 8, kind = "gthread")), backlog = 1..=2)]
fn named(workers: usize, kind: &str, backlog: u32) -> Server {
    Server::image(format!("{kind}-{workers}-{backlog}"))
}

#[server]
fn plain() -> Server {
    Server::image("x")
}

/// A parameter may be called as its function is.
#[server(six = [6], workers = [1], kind = ['b'], factor = [2.5], reuse = [true], wait = [secs(1)])]
fn six(six: u8, workers: u8, kind: char, factor: f64, reuse: bool, wait: Duration) -> Server {
    Server::image(format!("{six}{workers}{kind}{factor}{reuse}{wait:?}"))
}

#[scenario(servers = [app, plain], baseline = app)]
fn ping() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(servers = [six, named])]
fn pong() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {
    let declared = Declarations::collect().unwrap();
    let ids: Vec<String> = declared.cases().into_iter().map(|case| case.id).collect();
    assert_eq!(
        ids,
        [
            "ping/app@workers=1-threads=1/default",
            "ping/app@workers=1-threads=16/default",
            "ping/app@workers=2-threads=1/default",
            "ping/app@workers=2-threads=16/default",
            "ping/plain/default",
            "pong/named@small-backlog=1/default",
            "pong/named@small-backlog=2/default",
            "pong/named@large-backlog=1/default",
            "pong/named@large-backlog=2/default",
            "pong/six@six=6-workers=1-kind=b-factor=2.5-reuse=true-wait=1s/default",
        ]
    );
    let cases = declared.cases();
    assert_eq!(cases[0].baseline.as_deref(), Some("app@workers=2-threads=16"));
    let large = declared.server("named@large-backlog=2").unwrap();
    assert_eq!(large.setting.as_ref().unwrap().values.len(), 3);
    assert!(matches!(&large.server.source, wsgibench_harness::declare::Source::Image(name) if name == "gthread-8-2"));
    assert!(declared.server("plain").unwrap().setting.is_none());
    // The function is still a function.
    assert_eq!(app(3, 4).port, 8000);
}
