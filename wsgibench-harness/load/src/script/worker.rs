//! A worker of scripted users: one thread with one runtime, and a task per user.

use std::{cell::Cell, io, rc::Rc, sync::Arc, time::Duration};

use rustix::thread::gettid;
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    task::{JoinSet, LocalSet},
};

use super::{
    super::{clock::Nanos, model::Model, plan::Stripe, worker::share},
    Function, Part, Script, USER_SETUP, USER_TEARDOWN,
    pace::Pace,
    request_error::RequestError,
    user::User,
    worker_state::WorkerState,
};
use crate::panics;

/// Time for the users of a closed loop to run their tear-down.
pub(super) const TEARDOWN_TIME: Duration = Duration::from_secs(3);

/// A command from the session to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Stop offering the load until the next round.
    Pause,
    /// Offer the load from `start` on.
    Offer { start: Nanos },
    /// Close everything and end.
    Finish,
}

/// Configuration of a worker.
pub(super) struct Job {
    pub(super) state: Arc<WorkerState>,
    pub(super) script: Script,
    /// Number of the first user.
    pub(super) first_number: u64,
    pub(super) stripe: Stripe,
    /// Phases in order; a busy worker receives each of them later.
    pub(super) commands: UnboundedReceiver<Phase>,
}

impl Job {
    /// Runs until told to finish, or until the session is gone.
    pub(super) fn run(self) -> io::Result<()> {
        let thread = gettid().as_raw_nonzero().get();
        self.state.thread.store(thread, std::sync::atomic::Ordering::Release);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = LocalSet::new();
        local.block_on(&runtime, self.handle_commands())
    }

    async fn handle_commands(mut self) -> io::Result<()> {
        let pace = Pace::new(&self.state)?;
        let mut users = JoinSet::new();
        let (finish, finished) = watch::channel(false);
        let mut next = self.commands.recv().await;
        while let Some(command) = next {
            next = match command {
                Phase::Finish => {
                    finish.send_replace(true);
                    if self.script.part(Part::Teardown).is_some() {
                        // Users that still hang after a while are dropped.
                        let all = async { while users.join_next().await.is_some() {} };
                        let _ = tokio::time::timeout(TEARDOWN_TIME, all).await;
                    }
                    return Ok(());
                }
                Phase::Pause => self.commands.recv().await,
                Phase::Offer { start } => {
                    if let Model::Closed { connections } = self.state.plan.load.model {
                        if users.is_empty() {
                            pace.until(start).await?;
                            self.loops(&mut users, connections, &finished);
                        }
                        self.commands.recv().await
                    } else {
                        let command = self.arrivals(&mut users, &pace, start).await?;
                        users.abort_all();
                        while users.join_next().await.is_some() {}
                        command
                    }
                }
            };
        }
        Ok(())
    }

    fn number(&self, k: u64) -> u64 {
        self.first_number + u64::from(self.stripe.index) + k * u64::from(self.stripe.of)
    }

    /// Starts users who run the script repeatedly.
    fn loops(&self, users: &mut JoinSet<()>, connections: usize, finished: &watch::Receiver<bool>) {
        for k in 0..share(connections as u64, self.stripe) {
            let mut user = User::new(&self.state, self.number(k));
            let script = self.script.clone();
            let mut finished = finished.clone();
            users.spawn_local(async move {
                if script.part(Part::Teardown).is_none() {
                    run_repeatedly(&script, &mut user).await;
                    return;
                }
                tokio::select! {
                    biased;
                    () = over(&mut finished) => {}
                    () = run_repeatedly(&script, &mut user) => {}
                }
                // A request may be in flight on it.
                user.disconnect();
                leave(&script, &mut user).await;
            });
        }
    }

    /// Starts users on the schedule until the phase ends, and returns the command that ended it.
    async fn arrivals(&mut self, users: &mut JoinSet<()>, pace: &Pace, start: Nanos) -> io::Result<Option<Phase>> {
        let (places, runs) = match &self.state.plan.load.model {
            Model::Open { max_connections, .. } => (share(*max_connections as u64, self.stripe).max(1), None),
            Model::Users { requests_per_user, .. } => (u64::MAX, Some(*requests_per_user)),
            Model::Closed { .. } => return Ok(self.commands.recv().await),
        };
        let busy = Rc::new(Cell::new(0));
        loop {
            let due = self.state.accounting().next_due(start);
            let Some(due) = due else {
                return Ok(self.commands.recv().await);
            };
            tokio::select! {
                biased;
                command = self.commands.recv() => return Ok(command),
                reached = pace.until(due) => reached?,
            }
            // Users that have left are not kept.
            while users.try_join_next().is_some() {}
            let now = self.state.clock.now();
            let taken = self.state.accounting().take_arrival(start, due, now);
            let Some(k) = taken else { continue };
            let number = self.number(k);
            if let Some(runs) = runs {
                self.visit(users, number, runs);
            } else if busy.get() < places {
                busy.set(busy.get() + 1);
                self.place(users, number, Rc::clone(&busy));
            }
        }
    }

    /// Starts a user who runs the script `runs` times and leaves.
    fn visit(&self, users: &mut JoinSet<()>, number: u64, runs: u64) {
        let mut user = User::new(&self.state, number);
        let script = self.script.clone();
        users.spawn_local(async move {
            let mut failures = 0;
            if once(&script, Part::Setup, &mut user, None, &mut failures).await {
                for _ in 0..runs {
                    once(&script, Part::Run, &mut user, None, &mut failures).await;
                }
                leave(&script, &mut user).await;
            }
            user.state.accounting().user_leaves(user.place, true);
        });
    }

    /// Starts a place, which runs waiting arrivals, each as a new user, until none waits.
    fn place(&self, users: &mut JoinSet<()>, mut number: u64, busy: Rc<Cell<u64>>) {
        let state = Arc::clone(&self.state);
        let script = self.script.clone();
        users.spawn_local(async move {
            let mut waited = false;
            loop {
                let next = state.accounting().next_arrival();
                let Some(due) = next else {
                    break;
                };
                let now = state.clock.now();
                state.accounting().placed(now.saturating_sub(due), waited);
                let mut user = User::new(&state, number);
                if once(&script, Part::Setup, &mut user, Some(due), &mut 0).await {
                    once(&script, Part::Run, &mut user, None, &mut 0).await;
                    leave(&script, &mut user).await;
                }
                // Numbers of further users of this place are derived from the first one, which keeps them unique.
                number = number.wrapping_add(1 << 40);
                waited = true;
            }
            busy.set(busy.get() - 1);
        });
    }
}

/// Resolves when the load is over.
async fn over(finished: &mut watch::Receiver<bool>) {
    // An error means that the worker is gone, which ends everything.
    let _ = finished.wait_for(|finished| *finished).await;
}

/// Runs a closed loop: the set-up until it succeeds, then the script repeatedly.
async fn run_repeatedly(script: &Script, user: &mut User) {
    let mut failures = 0;
    while !once(script, Part::Setup, user, None, &mut failures).await {}
    loop {
        once(script, Part::Run, user, None, &mut failures).await;
    }
}

/// Runs a user's tear-down.
async fn leave(script: &Script, user: &mut User) {
    once(script, Part::Teardown, user, None, &mut 0).await;
}

/// Runs a part of a script and records its outcome. An arrival is pending until its first request. Returns false if the
/// part failed.
async fn once(script: &Script, part: Part, user: &mut User, arrival_due: Option<Nanos>, failures: &mut u32) -> bool {
    let state = Arc::clone(&user.state);
    let place = user.place;
    let Some(function) = script.part(part) else {
        state.accounting().set_arrival(place, arrival_due);
        return true;
    };
    state.accounting().set_arrival(place, arrival_due);
    state.accounting().script_begins(place, part, state.clock.now());
    match part {
        Part::Setup => user.step(USER_SETUP),
        Part::Run => user.step = None,
        Part::Teardown => user.step(USER_TEARDOWN),
    }
    let outcome = guarded(function, user).await;
    let now = state.clock.now();
    let failed = !matches!(outcome, Outcome::Fine);
    let error = match outcome {
        Outcome::Fine => None,
        Outcome::Panicked(text) => {
            user.renew();
            Some((part.panicked(), text))
        }
        // Already counted as a failed request.
        Outcome::Failed(error) if error.downcast_ref::<RequestError>().is_some() => None,
        Outcome::Failed(error) => Some((part.returned_an_error(), format!("{error:#}"))),
    };
    user.step = None;
    let asked = state.accounting().has_asked(place);
    state.accounting().script_ends(place, part, error, failed, now);
    if part != Part::Run && !failed {
        return true;
    }
    if failed {
        // Avoid a busy loop if the server refuses connections or the script fails immediately.
        *failures = failures.saturating_add(1).min(7);
        tokio::time::sleep(Duration::from_millis(2 << *failures)).await;
    } else {
        *failures = 0;
        if !asked {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    !failed
}

impl Part {
    fn panicked(self) -> &'static str {
        match self {
            Self::Setup => "the script's user set-up panicked",
            Self::Run => "the script panicked",
            Self::Teardown => "the script's user tear-down panicked",
        }
    }

    fn returned_an_error(self) -> &'static str {
        match self {
            Self::Setup => "the script's user set-up returned an error",
            Self::Run => "the script returned an error",
            Self::Teardown => "the script's user tear-down returned an error",
        }
    }
}

enum Outcome {
    Fine,
    Failed(anyhow::Error),
    Panicked(String),
}

/// Runs the script; a panic ends only this run.
async fn guarded(script: &Function, user: &mut User) -> Outcome {
    // The script is called inside, to catch a panic before its first await, too.
    match panics::catch_panic_async(async move { script(user).await }).await {
        Ok(Ok(())) => Outcome::Fine,
        Ok(Err(error)) => Outcome::Failed(error),
        Err(text) => Outcome::Panicked(text),
    }
}
