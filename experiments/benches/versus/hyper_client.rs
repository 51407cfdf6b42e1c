//! A closed loop of GETs with hyper's client in a separate process: the lower bound for scripted users.

use std::{
    cell::Cell,
    io::Write,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::LocalSet};

use crate::engine::Report;

/// Marks the command line of this process.
const FLAG: &str = "--versus-hyper";

/// Returns the command of such a process.
pub(crate) fn command(address: SocketAddr, connections: usize, seconds: u32) -> Result<(String, Vec<String>)> {
    let program = std::env::current_exe()?;
    let program = program.to_str().context("this program's path is not UTF-8")?.to_owned();
    let words = [
        FLAG.to_owned(),
        address.to_string(),
        connections.to_string(),
        seconds.to_string(),
    ];
    Ok((program, words.into()))
}

/// Runs the loop if this process was started for it.
pub(crate) fn maybe_run() -> Option<Result<()>> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == FLAG).then(|| {
        let mut next = || arguments.next().context("an argument is missing");
        let (address, connections, seconds) = (next()?.parse()?, next()?.parse()?, next()?.parse()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let report = LocalSet::new().block_on(&runtime, run(address, connections, Duration::from_secs(seconds)))?;
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
        Ok(())
    })
}

async fn run(address: SocketAddr, connections: usize, length: Duration) -> Result<Report> {
    let done = Rc::new(Cell::new(0));
    let begun = Instant::now();
    let mut loops = tokio::task::JoinSet::new();
    for _ in 0..connections {
        loops.spawn_local(ask(address, begun + length, Rc::clone(&done)));
    }
    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    Ok(Report {
        requests: done.get(),
        seconds: begun.elapsed().as_secs_f64(),
        failed: 0,
    })
}

async fn ask(address: SocketAddr, until: Instant, done: Rc<Cell<u64>>) -> Result<()> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::task::spawn_local(connection);
    while Instant::now() < until {
        let request = Request::get("/").header("host", "null").body(Empty::<Bytes>::new())?;
        let mut answer = sender.send_request(request).await?;
        ensure!(answer.status() == 200, "answered {}", answer.status());
        while let Some(frame) = answer.frame().await {
            frame?;
        }
        sender.ready().await?;
        done.set(done.get() + 1);
    }
    Ok(())
}
