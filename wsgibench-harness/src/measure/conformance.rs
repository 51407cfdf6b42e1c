//! Check before you time: each request of a load is asked once, and its answer must pass its checks.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::load::{ErrorKind, Load, Model, Plan, Session, Stripe, Target};

/// The answer was not what the scenario wants; no number is given for such a server.
#[derive(Debug)]
pub(super) struct WrongAnswer {
    /// Method and path.
    pub(super) request: String,
    /// What was wrong.
    pub(super) what: String,
}

impl fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was answered wrongly, so nothing was timed: {}",
            self.request, self.what
        )
    }
}

impl std::error::Error for WrongAnswer {}

/// How long the first answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection is driven before it is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// Asks each request of the mix, one after the other on one connection, through the engine itself, so that what is
/// checked is what will be timed.
///
/// # Errors
/// The first wrong answer.
pub(super) fn check(target: &Target, load: &Load, cpus: &[usize], seed: u64) -> Result<(), WrongAnswer> {
    for request in &load.requests {
        let mut single = Load::new(Model::Closed { connections: 1 });
        single.requests = vec![request.clone()];
        single.keep_alive = load.keep_alive;
        single.timeout = PATIENCE;
        let plan = Plan {
            target: target.clone(),
            load: single,
            warm_up: Duration::ZERO,
            rounds: 1,
            measurement_time: LOOK,
            cpus: cpus.iter().copied().take(1).collect(),
            seed,
            stripe: Stripe::default(),
            busy_poll: false,
        };
        ask(&plan).map_err(|what| WrongAnswer {
            request: format!("{} {}", request.method, request.path),
            what,
        })?;
    }
    Ok(())
}

fn ask(plan: &Plan) -> Result<(), String> {
    let mut session = Session::start(plan).map_err(|e| e.to_string())?;
    let begun = Instant::now();
    let mut verdict = Err(format!("no answer within {} s", PATIENCE.as_secs()));
    while begun.elapsed() < PATIENCE + LOOK {
        let result = session.round(LOOK).map_err(|e| e.to_string())?;
        if let Some(failed) = result.failed_checks.first() {
            verdict = Err(format!("expected {}, got {}", failed.name, failed.sample));
            break;
        }
        if let Some((kind, _)) = result.errors.iter().find(|(_, n)| *n > 0) {
            verdict = Err(describe(*kind).to_owned());
            break;
        }
        if result.counts.done > 0 {
            verdict = Ok(());
            break;
        }
    }
    session.finish().map_err(|e| e.to_string())?;
    verdict
}

fn describe(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Dns => "the name did not resolve",
        ErrorKind::Refused => "the connection was refused",
        ErrorKind::Unreachable => "there is no route to the server",
        ErrorKind::ConnectTimeout => "the connection was not accepted in time",
        ErrorKind::ConnectReset => "the connection was reset",
        ErrorKind::NoPorts => "this machine has no free port left",
        ErrorKind::NoDescriptors => "this process has no free descriptor left",
        ErrorKind::WriteReset => "the connection was reset while the request was sent",
        ErrorKind::ReadReset => "the connection was reset while the answer was read",
        ErrorKind::PrematureEnd => "the connection was closed before the answer was whole",
        ErrorKind::Malformed => "the answer is not HTTP/1.x",
        ErrorKind::ResponseTimeout => "no whole answer in time",
        ErrorKind::Status => "another status than expected",
        ErrorKind::CheckFailed => "a header or the body is not as expected",
        ErrorKind::Script => "the script failed",
    }
}
