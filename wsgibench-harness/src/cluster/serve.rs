//! The coordinator's connections.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{MissedTickBehavior, interval},
};

use super::{
    clock::{PodClock, Reading},
    coordinator::{Conn, Coordinator, Input, Output},
    frame,
    message::{FromPod, Hello, Order, Role},
};

/// Interval between the coordinator's checks for silent pods.
const TICK: Duration = Duration::from_millis(100);

/// An event of a connection.
enum Arrival {
    Input(Reading, Input),
    /// A pod's or the bench's connection, and where to send to it.
    Opened(Conn, Role, UnboundedSender<Vec<u8>>),
}

/// Serves until the process ends.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(listener: TcpListener, token: String) -> io::Result<()> {
    let clock = PodClock::start(0);
    let (arrivals, inputs) = unbounded_channel();
    let accepting = tokio::spawn(accept(listener, Arc::from(token), clock, arrivals));
    coordinate(clock, inputs).await;
    accepting.abort();
    accepting.await.unwrap_or(Ok(()))
}

async fn accept(
    listener: TcpListener,
    token: Arc<str>,
    clock: PodClock,
    arrivals: UnboundedSender<Arrival>,
) -> io::Result<()> {
    let connections = Arc::new(AtomicU64::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let conn = connections.fetch_add(1, Ordering::Relaxed);
        let (token, arrivals) = (Arc::clone(&token), arrivals.clone());
        tokio::spawn(async move {
            // A stranger's connection, or one that fails at once.
            let _ = converse(stream, conn, &token, clock, &arrivals).await;
            let left = Input::Left { conn };
            let _ = arrivals.send(Arrival::Input(clock.now(), left));
        });
    }
}

async fn converse(
    stream: TcpStream,
    conn: Conn,
    token: &str,
    clock: PodClock,
    arrivals: &UnboundedSender<Arrival>,
) -> io::Result<()> {
    let (mut reading, mut writing) = stream.into_split();
    let Some(hello) = frame::read::<Hello>(&mut reading).await? else {
        return Ok(());
    };
    if hello.token != token {
        return Err(io::Error::other("wrong token"));
    }
    let (sender, mut to_send) = unbounded_channel::<Vec<u8>>();
    let writer = tokio::spawn(async move {
        while let Some(bytes) = to_send.recv().await {
            if writing.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let is_bench = matches!(hello.role, Role::Bench { .. });
    let _ = arrivals.send(Arrival::Opened(conn, hello.role, sender));
    let outcome = loop {
        let input = if is_bench {
            frame::read::<Order>(&mut reading)
                .await
                .map(|order| order.map(Input::Order))
        } else {
            let message = frame::read::<FromPod>(&mut reading).await;
            message.map(|message| message.map(|message| Input::FromPod { conn, message }))
        };
        match input {
            Ok(Some(input)) => {
                let _ = arrivals.send(Arrival::Input(clock.now(), input));
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    writer.abort();
    outcome
}

async fn coordinate(clock: PodClock, mut inputs: UnboundedReceiver<Arrival>) {
    let mut coordinator = Coordinator::new();
    let mut pods: HashMap<Conn, UnboundedSender<Vec<u8>>> = HashMap::new();
    let mut bench: Option<(Conn, UnboundedSender<Vec<u8>>)> = None;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (now, input) = tokio::select! {
            biased;
            arrival = inputs.recv() => match arrival {
                None => return,
                Some(Arrival::Input(at, input)) => (at, input),
                Some(Arrival::Opened(conn, Role::Pod(member), sender)) => {
                    pods.insert(conn, sender);
                    (clock.now(), Input::Joined { conn, member })
                }
                Some(Arrival::Opened(conn, Role::Bench { seen }, sender)) => {
                    for report in coordinator.reports_after(seen) {
                        let _ = frame::encode(&report).map(|bytes| sender.send(bytes));
                    }
                    bench = Some((conn, sender));
                    continue;
                }
            },
            _ = ticks.tick() => (clock.now(), Input::Tick),
        };
        if let Input::Left { conn } = input {
            pods.remove(&conn);
            if bench.as_ref().is_some_and(|(known, _)| *known == conn) {
                bench = None;
            }
        }
        for output in coordinator.step(now, input) {
            match output {
                Output::ToPod { conn, message } => {
                    if let (Some(pod), Ok(bytes)) = (pods.get(&conn), frame::encode(&message)) {
                        let _ = pod.send(bytes);
                    }
                }
                Output::Report(report) => {
                    if let (Some((_, bench)), Ok(bytes)) = (&bench, frame::encode(&report)) {
                        let _ = bench.send(bytes);
                    }
                }
            }
        }
    }
}
