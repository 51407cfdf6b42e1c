//! The benchmark: a server and its scenarios. Run it with `cargo bench`.

use serde_json::json;
use wsgibench_harness::prelude::*;

/// The bookshop under gunicorn: one process per CPU, eight threads each, with keep-alive connections.
#[server]
fn bookshop() -> Server {
    image().command_for_cpus(|cpus| gunicorn(cpus, 8))
}

/// The same with the numbers of workers and threads as parameters, for `--tune`.
#[server(workers = [1, 2], threads = [1, 4, 8, 32])]
fn bookshop_sizes(workers: usize, threads: usize) -> Server {
    image()
        .command(gunicorn(workers, threads))
        .default_variant(workers == 1 && threads == 8) // the setting in use
        .opt_in() // only in the scenarios that name it
}

fn image() -> Server {
    Server::dockerfile("server") // the folder with the Dockerfile
        .app("app") // copied into the build context as app/
        .port(8000)
        .readiness("/health", secs(30))
        .limits(Limits::new().cpus(1).memory(512 << 20))
}

fn gunicorn(workers: usize, threads: usize) -> Vec<String> {
    let line = format!(
        "gunicorn --workers {workers} --worker-class gthread --threads {threads} --worker-tmp-dir /dev/shm \
         --preload --no-control-socket --bind {{host}}:{{port}} wsgi:application"
    );
    line.split_whitespace().map(str::to_owned).collect()
}

/// Lists twenty books: one query and one template.
#[scenario(connections = [1, 16])]
fn list(connections: usize) -> Load {
    Load::closed(connections).request(
        get("/books?subject=music")
            .expect_status(200)
            .expect_header("Content-Type", "text/html; charset=utf-8")
            .expect_body_contains("<title>"),
    )
}

/// The list, to find the best numbers of workers and threads: `cargo bench -- --tune --ignored sizes`.
#[scenario(servers = [bookshop_sizes], ignore = "searched with --tune --ignored sizes")]
fn sizes() -> Load {
    list(16).threshold(Threshold::p99_below(millis(200)))
}

/// Signs in, browses books and writes a review.
#[scenario(users = [8])]
async fn review(user: &mut User) -> Result<()> {
    // Each user has its own reader and book, identical in every run.
    let reader = format!("reader{}", 1 + user.number() % 50);
    let book = 1 + user.number() % 500;

    user.step("sign in"); // names a step of the script, which is reported separately
    user.get("/login").await?.expect_status(200)?;
    user.post("/login")
        .form(&[("name", reader.as_str()), ("password", "correct horse")])
        .await?
        .expect_status(303)?;
    user.step("look around");
    user.get("/books?subject=travel").await?.expect_status(200)?;
    user.think(millis(20)).await;
    user.get(&format!("/books/{book}")).await?.expect_status(200)?;
    user.step("review");
    user.post("/api/reviews")
        .json(&json!({"book": book, "stars": 4, "body": "read it twice"}))
        .await?
        .expect_status(201)?;
    Ok(())
}

wsgibench_harness::main!();
