//! The bench's side of the connection to the coordinator. It survives the loss of the connection: orders are sent again, and reports that
//! were missed are asked for.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    io::split,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::AbortHandle,
    time::sleep,
};

use super::{
    frame,
    message::{Event, Hello, Order, PORT, Report, Role, Task},
};
use crate::sandbox::kubernetes::ClusterRun;

/// Time without a connection after which the launch fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Interval between attempts to connect.
const RETRY: Duration = Duration::from_millis(500);

/// A conversation with the coordinator, for one launch.
#[derive(Debug)]
pub(crate) struct Control {
    orders: UnboundedSender<Order>,
    events: mpsc::Receiver<Result<Event, String>>,
    next: u64,
    task: AbortHandle,
}

impl Control {
    /// Connects in the background.
    pub(crate) fn start(run: &Arc<ClusterRun>) -> Self {
        let (orders, to_send) = unbounded_channel();
        let (sender, events) = mpsc::channel();
        let conversation = Conversation {
            run: Arc::clone(run),
            seen: u64::MAX,
            last: None,
        };
        let task = run.handle().spawn(conversation.hold(to_send, sender)).abort_handle();
        // Numbers grow from launch to launch.
        let micros = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        Self {
            orders,
            events,
            next: u64::try_from(micros).unwrap_or(0),
            task,
        }
    }

    /// Gives an order.
    pub(crate) fn order(&mut self, task: Task) {
        self.next += 1;
        // A conversation that has ended is noticed by the next event.
        let _ = self.orders.send(Order {
            number: self.next,
            task,
        });
    }

    /// Returns the next event, or `None` after `timeout`.
    ///
    /// # Errors
    /// The coordinator cannot be reached.
    pub(crate) fn next(&self, timeout: Duration) -> Result<Option<Event>, String> {
        match self.events.recv_timeout(timeout) {
            Ok(event) => event.map(Some),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err("the connection to the coordinator has ended".to_owned()),
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Conversation {
    run: Arc<ClusterRun>,
    /// Number of the last report.
    seen: u64,
    /// The order that has not been answered, sent again after a reconnection.
    last: Option<Order>,
}

impl Conversation {
    async fn hold(mut self, mut orders: UnboundedReceiver<Order>, events: mpsc::Sender<Result<Event, String>>) {
        let mut lost = tokio::time::Instant::now();
        loop {
            match self.once(&mut orders, &events).await {
                Ok(()) => return,
                Err((why, connected)) => {
                    if connected {
                        lost = tokio::time::Instant::now();
                    }
                    if lost.elapsed() > PATIENCE {
                        let text =
                            format!("the coordinator could not be reached through the API server for 60 s: {why}");
                        let _ = events.send(Err(text));
                        return;
                    }
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Holds one connection. An error says whether it had been made.
    async fn once(
        &mut self,
        orders: &mut UnboundedReceiver<Order>,
        events: &mpsc::Sender<Result<Event, String>>,
    ) -> Result<(), (String, bool)> {
        let connected = self.run.connect(PORT).await;
        let (stream, _forward) = connected.map_err(|error| (error.to_string(), false))?;
        let (mut reading, mut writing) = split(stream);
        let hello = Hello {
            token: self.run.token().to_owned(),
            role: Role::Bench { seen: self.seen },
        };
        let failed = |error: std::io::Error| (error.to_string(), true);
        frame::write(&mut writing, &hello).await.map_err(failed)?;
        if let Some(order) = &self.last {
            frame::write(&mut writing, order).await.map_err(failed)?;
        }
        // A frame is read in a task of its own, since it must not be dropped halfway.
        let (frames, mut read) = unbounded_channel();
        let reader = tokio::spawn(async move {
            loop {
                let report = frame::read::<Report>(&mut reading).await;
                let ends = !matches!(report, Ok(Some(_)));
                if frames.send(report).is_err() || ends {
                    return;
                }
            }
        });
        let outcome = loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some(order) = order else { break Ok(()) };
                    self.last = Some(order.clone());
                    if let Err(error) = frame::write(&mut writing, &order).await {
                        break Err(failed(error));
                    }
                }
                report = read.recv() => match report {
                    Some(Ok(Some(report))) => {
                        if self.seen == u64::MAX || report.number > self.seen {
                            self.seen = report.number;
                            if events.send(Ok(report.event)).is_err() {
                                break Ok(());
                            }
                        }
                    }
                    Some(Err(error)) => break Err(failed(error)),
                    Some(Ok(None)) | None => break Err(("the connection was closed".to_owned(), true)),
                },
            }
        };
        reader.abort();
        outcome
    }
}
