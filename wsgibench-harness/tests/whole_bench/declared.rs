//! Servers and scenarios of the bench.

use wsgibench_harness::prelude::*;

/// The standard library's threads.
#[server]
fn threads() -> Server {
    Server::dockerfile("tests/whole_bench/app")
        .app("tests/whole_bench/app")
        .command(["python", "serve.py", "{port}"])
}

/// The same with a wait before each response of `/delayed`.
#[server(delay_ms = [1, 20], kind = ["threads"])]
fn delayed(delay_ms: u64, kind: &str) -> Server {
    Server::dockerfile("tests/whole_bench/app")
        .app("tests/whole_bench/app")
        .command([
            "python".to_owned(),
            "serve.py".to_owned(),
            "{port}".to_owned(),
            format!("0.{delay_ms:03}"),
        ])
        .note(kind)
        .default_variant(delay_ms == 20)
        .opt_in()
}

#[scenario(servers = [delayed], connections = [2], tags = ["variants"])]
fn slow(connections: usize) -> Load {
    Load::closed(connections).request(get("/delayed").expect_status(200))
}

/// Servers whose requests wait for something known.
#[server(plant = [
    "imbalanced", "balanced", "queued", "overflowing", "busy", "sleeping", "remote", "locked", "disk", "pooled",
])]
fn planted(plant: &str) -> Server {
    Server::dockerfile("tests/whole_bench/app")
        .app("tests/whole_bench/app")
        .command(["python3", "planted.py", "{port}", plant])
        .opt_in()
}

#[scenario(servers = [planted], connections = [8], tags = ["planted"])]
fn waiting(connections: usize) -> Load {
    Load::closed(connections)
        .duration(secs(3))
        .request(get("/").expect_status(200))
}

/// The same in a container, with a companion that stores its requests.
#[server]
fn with_store() -> Server {
    let command = ["python3", "/serve.py", "{port}"];
    Server::dockerfile("tests/whole_bench/app")
        .command(command)
        .with_companion(
            Companion::dockerfile("store", "tests/whole_bench/app")
                .command(command)
                .port(9000),
        )
}

async fn fill_store(ctx: &mut SetupContext) -> Result<()> {
    let post = "import urllib.request as r; r.urlopen('http://127.0.0.1:9000/seeds', b'kept')";
    ctx.run_in("store", ["python3", "-c", post]).await?;
    Ok(())
}

/// The companion's storage.
#[scenario(servers = [with_store], users = [2], setup = fill_store, tags = ["companion"])]
async fn from_store(user: &mut User) -> Result<()> {
    user.get("/store").await?.expect_status(200)?.expect_body("kept")?;
    Ok(())
}

/// For any server.
#[scenario(users = [1], tags = ["anywhere"])]
async fn anywhere(user: &mut User) -> Result<()> {
    let answer = user.get("/address").await?.expect_status(200)?;
    let asked = answer.text();
    answer.expect("it is asked by its own name", asked.starts_with("127.0.0.1:"))?;
    Ok(())
}

#[scenario(servers = [threads], connections = [2])]
fn ping(connections: usize) -> Load {
    Load::closed(connections).request(get("/").expect_status(200).expect_body("OK"))
}

/// Variable whose value becomes a row of [`with_rows`].
pub(crate) const ROW: &str = "WSGIBENCH_TEST_ROW";

#[scenario(servers = [threads], connections = [2], tags = ["rows"])]
fn with_rows(connections: usize) -> Load {
    let row = std::env::var(ROW).unwrap_or_default();
    Load::closed(connections).request(get("/?q={+q}").values("q", Values::Rows(vec!["fine".into(), row])))
}

async fn visit(user: &mut User) -> Result<()> {
    user.step("sign in");
    user.post("/login").form(&[("name", "ada")]).await?.expect_status(200)?;
    user.think(millis(10)).await;
    user.step("me");
    user.get("/me").await?.expect_status(200)?.expect_body("ada")?;
    user.step("upload");
    user.post("/upload")
        .body(vec![7; 10_000])
        .await?
        .expect_status(201)?
        .expect_body_contains("10000")?;
    Ok(())
}

/// Users at once.
#[scenario(servers = [threads], users = [3], tags = ["fine"])]
async fn at_once(user: &mut User) -> Result<()> {
    visit(user).await
}

/// Users at a rate.
#[scenario(servers = [threads], rate = [40], tags = ["fine"])]
async fn at_a_rate(user: &mut User) -> Result<()> {
    visit(user).await
}

/// Users who arrive and leave.
#[scenario(
    servers = [threads], load = Load::users(2).every(millis(100)).arriving_for(millis(500)).requests_per_user(2).duration(millis(900)),
    tags = ["fine"]
)]
async fn coming(user: &mut User) -> Result<()> {
    visit(user).await
}

#[scenario(servers = [threads], users = [2], tags = ["wrong"])]
async fn wrong_answer(user: &mut User) -> Result<()> {
    user.get("/me").await?.expect_status(200)?;
    Ok(())
}

#[scenario(servers = [threads], users = [2], tags = ["wrong"])]
async fn panics(user: &mut User) -> Result<()> {
    let answer = user.get("/").await?;
    assert_eq!(answer.text(), "another text");
    Ok(())
}

#[scenario(servers = [threads], users = [2], tags = ["wrong"])]
async fn hangs(user: &mut User) -> Result<()> {
    user.get("/").await?;
    std::future::pending().await
}

/// Runs only if requested.
#[scenario(servers = [threads], users = [1], ignore = "for show")]
async fn later(user: &mut User) -> Result<()> {
    user.get("/").await?;
    Ok(())
}

/// Fails only in the measurement.
#[scenario(servers = [threads], users = [2], tags = ["later"])]
async fn fails_now_and_then(user: &mut User) -> Result<()> {
    user.get("/").await?.expect_status(200)?;
    // Users of a load are numbered from 0; the user of the response check has a far higher number.
    if user.number() == 1 {
        user.get("/").await?.expect_body("not this")?;
    }
    Ok(())
}

async fn seed(ctx: &mut SetupContext) -> Result<()> {
    // Set-up runs on the server's host, and requests go through the server.
    let output = ctx.run(["python", "-c", "print('from a command')"]).await?;
    let mut user = ctx.user()?;
    let path = "/seeds";
    user.post(path)
        .body(output.stdout.trim().to_owned())
        .await?
        .expect_status(201)?;
    let amount = ctx.value("amount").unwrap_or_default().to_owned();
    user.post(path)
        .body(format!("amount {amount}"))
        .await?
        .expect_status(201)?;
    Ok(())
}

async fn clear(ctx: &mut SetupContext) -> Result<()> {
    ctx.user()?.delete("/seeds").await?.expect_status(204)?;
    Ok(())
}

/// Finds the data of its set-up, once, in any launch.
#[scenario(servers = [threads], connections = [1], amount = [3], setup = seed, teardown = clear, tags = ["hooks"])]
fn seeded(connections: usize, amount: u32) -> Load {
    Load::closed(connections).request(get("/seeds").expect_body(format!("amount {amount} from a command")))
}

async fn sign_in(user: &mut User) -> Result<()> {
    user.post("/login").form(&[("name", "ada")]).await?.expect_status(200)?;
    Ok(())
}

async fn sign_out(user: &mut User) -> Result<()> {
    user.clear_cookies();
    user.get("/me").await?.expect_status(401)?;
    Ok(())
}

/// Signs in once for each user and not for each run.
#[scenario(servers = [threads], users = [3], user_setup = sign_in, user_teardown = sign_out, tags = ["hooks"])]
async fn signed_in(user: &mut User) -> Result<()> {
    user.get("/me").await?.expect_status(200)?.expect_body("ada")?;
    Ok(())
}

async fn fails(ctx: &mut SetupContext) -> Result<()> {
    ctx.run([
        "python",
        "-c",
        "import sys; print('disk full', file=sys.stderr); sys.exit(3)",
    ])
    .await?;
    Ok(())
}

#[scenario(servers = [threads], connections = [1], setup = fails, tags = ["bad_hooks"])]
fn setup_fails(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

async fn breaks(ctx: &mut SetupContext) -> Result<()> {
    ctx.run(["true"]).await?;
    panic!("no such table")
}

#[scenario(servers = [threads], connections = [1], teardown = breaks, tags = ["bad_hooks"])]
fn teardown_panics(connections: usize) -> Load {
    Load::closed(connections).request(get("/"))
}

async fn nobody(user: &mut User) -> Result<()> {
    user.post("/login").form(&[("name", "eve")]).await?.expect_status(200)?;
    Ok(())
}

#[scenario(servers = [threads], users = [1], user_setup = nobody, tags = ["bad_hooks"])]
async fn user_setup_fails(user: &mut User) -> Result<()> {
    user.get("/").await?;
    Ok(())
}

#[scenario(servers = [threads], users = [1], tags = ["holds"])]
async fn holds(user: &mut User) -> Result<()> {
    user.get("/").await?;
    std::thread::sleep(secs(3_600));
    Ok(())
}

/// A server that ends after sixty requests.
#[scenario(servers = [threads], connections = [1], tags = ["ends"])]
fn ends(connections: usize) -> Load {
    Load::closed(connections).request(get("/last").expect_status(200))
}
