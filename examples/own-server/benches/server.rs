//! The benchmark: which server, and what is asked of it. Run it with `cargo bench`.

use wsgibench_harness::prelude::*;

/// The bookshop under gunicorn: one process a CPU, eight threads each, on keep-alive connections.
#[server]
fn bookshop() -> Server {
    Server::image("server") // the folder with the Dockerfile
        .app("app") // joins the build context as app/
        .command_for_cpus(|cpus| {
            let workers = cpus.to_string();
            ["gunicorn", "--workers", &workers, "--threads", "8", "--worker-class", "gthread"]
                .into_iter()
                .chain(["--worker-tmp-dir", "/dev/shm", "--preload", "--bind", "{host}:{port}", "wsgi:application"])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .port(8000)
        .ready_when("/health", secs(30))
        .limits(Limits { cpus: 1, memory: 512 << 20, ..Limits::default() })
}

/// A list of twenty books: a query and a template.
#[scenario(connections = [1, 16])]
fn list(connections: usize) -> Load {
    Load::closed(connections).get("/books?subject=music").expect_status(200).expect_header("Content-Type", "text/html; charset=utf-8")
}

/// A reader who signs in, looks around, and writes a review.
#[scenario(users = [8])]
async fn review(user: &mut User) -> Result<()> {
    let reader = user.random(1..=50);
    user.get("/login").await?.expect_status(200)?;
    user.post("/login").form([("name", format!("reader{reader}")), ("password", "correct horse".to_owned())]).await?.expect_status(303)?;
    user.get("/books?subject=travel").await?.expect_status(200)?;
    user.think(millis(20)).await;
    let book = user.random(1..=500);
    user.get(format!("/books/{book}")).await?.expect_status(200)?;
    user.post("/api/reviews").json(&serde_json::json!({"book": book, "stars": 4, "body": "read it twice"}))?.await?.expect_status(201)?;
    Ok(())
}

wsgibench_harness::main!();
