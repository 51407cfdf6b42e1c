//! Servers and scenarios of the bench.

use wsgibench_harness::prelude::*;

/// The standard library's threads.
#[server]
fn threads() -> Server {
    Server::dockerfile("tests/kubernetes/image").command(["python3", "-u", "/server.py", "{port}"])
}

/// A server that ends at once.
#[server]
fn broken() -> Server {
    Server::dockerfile("tests/kubernetes/image")
        .command(["python3", "-u", "/server.py", "broken"])
        .opt_in()
}

/// A server whose program is not in its image.
#[server]
fn missing() -> Server {
    Server::dockerfile("tests/kubernetes/image")
        .command(["/no/such/program"])
        .opt_in()
}

/// A server with a limit of more memory than any node has.
#[server]
fn greedy() -> Server {
    Server::dockerfile("tests/kubernetes/image")
        .command(["python3", "-u", "/server.py", "{port}"])
        .limits(Limits::new().memory(1 << 50))
        .opt_in()
}

#[scenario(servers = [threads, broken, missing, greedy], connections = [8])]
fn closed(connections: usize) -> Load {
    Load::closed(connections).request(get("/").expect_status(200).expect_body("OK"))
}

#[scenario(servers = [threads], rate = [200])]
fn constant(rate: u32) -> Load {
    Load::rate(rate).request(get("/").expect_status(200))
}

#[scenario(servers = [threads], rate = [200])]
fn poisson(rate: u32) -> Load {
    Load::poisson(rate).seed(7).request(get("/").expect_status(200))
}

#[scenario(servers = [threads], batch = [4])]
fn arriving(batch: usize) -> Load {
    Load::users(batch)
        .every(Duration::from_millis(100))
        .arriving_for(secs(2))
        .requests_per_user(5)
        .request(get("/").expect_status(200))
}

/// A user who thinks.
#[scenario(servers = [threads], users = [8])]
async fn scripted(user: &mut User) -> Result<()> {
    user.get("/").await?.expect_status(200)?.expect_body("OK")?;
    user.think(Duration::from_millis(2)).await;
    Ok(())
}
