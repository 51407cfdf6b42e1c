//! Checks responses before anything is timed: each request of a load is sent once, a script is run once, and all responses must
//! pass their checks. The load generator sends them, not the client for probes, so that the checked requests are the timed ones.

use std::{fmt, time::Duration};

use super::interrupt::Interrupt;
use crate::{
    declare::Work,
    load::{
        ErrorKind, Load, LoadError, LoadPlan, Model, RoundResult, Session, Target,
        probe::speaks_tls,
        script::{RefusedCookie, Script, ScriptSession, Trial},
        tls::IS_TLS,
    },
};

/// A failed response check; the server is not timed.
#[derive(Debug)]
pub(super) enum Wrong {
    /// A declared request failed: method, path and reason.
    Request(String, Fault),
    /// A script run failed.
    Script(Fault),
    /// The check could not be run.
    Engine(LoadError),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(request, what) => {
                write!(f, "{request} got a wrong response, so nothing was timed: {what}")
            }
            Self::Script(what) => write!(f, "the script failed in its trial run, so nothing was timed: {what}"),
            Self::Engine(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Wrong {}

impl Wrong {
    /// Returns whether the failure may be the trace of a server that has just ended: a connection that it closed or refused.
    pub(super) fn may_be_an_end(&self) -> bool {
        let (Self::Request(_, fault) | Self::Script(fault)) = self else {
            return false;
        };
        let closed = [
            ErrorKind::Refused,
            ErrorKind::ConnectReset,
            ErrorKind::WriteReset,
            ErrorKind::ReadReset,
            ErrorKind::PrematureEnd,
        ];
        fault.kind.is_some_and(|kind| closed.contains(&kind))
    }
}

/// The first failure of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Kind of the request's error, where there is one.
    kind: Option<ErrorKind>,
    text: String,
}

impl Fault {
    fn other(text: String) -> Self {
        Self { kind: None, text }
    }

    /// Adds the remedy where a server that was asked in plain HTTP speaks TLS: some answer a plain request with a status.
    fn with_tls_remedy(mut self, target: &Target) -> Self {
        if target.tls.is_none() && speaks_tls(target.address, Duration::from_secs(1)) {
            self.text = format!("{}; {IS_TLS}", self.text);
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<LoadError> for Wrong {
    fn from(error: LoadError) -> Self {
        Self::Engine(error)
    }
}

/// The result of a passed check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    Requests,
    /// Duration of one complete script run.
    Script(Duration),
    /// The script had not failed and not finished after this time.
    Unending(Duration),
}

impl Tried {
    /// Returns whether a quick measurement is long enough for a complete script run.
    pub(super) fn long_enough_for_one_run(self, round: Duration) -> Duration {
        match self {
            Self::Requests => round,
            Self::Script(took) | Self::Unending(took) => round + took,
        }
    }

    /// Returns a warning about rounds of this length, if one applies.
    pub(super) fn note_for_rounds(self, round: Duration) -> Option<String> {
        match self {
            Self::Script(took) if took > round => Some(format!(
                "one run of the script took {:.1} s, but a round lasts {:.1} s: no round contains a complete run; lengthen it \
                 (--measurement-time, or .duration(...) where the scenario fixes its length)",
                took.as_secs_f64(),
                round.as_secs_f64()
            )),
            Self::Unending(after) => Some(format!(
                "the script did not finish within {} s; its requests are measured, complete script runs are not",
                after.as_secs()
            )),
            Self::Requests | Self::Script(_) => None,
        }
    }
}

/// Notice for servers that set `Secure` cookies on a plain connection.
const SECURE_COOKIES: &str =
    "the server sets Secure cookies over plain HTTP; users keep and send them, as behind a TLS proxy";
/// Minimum timeout of the first response.
const FIRST_RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after the timeout of a request in which the load generator reports it.
const GRACE: Duration = Duration::from_millis(40);
/// Timeout of one script run, in addition to the timeout of a pending request.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends each request once through the load generator, so that the checked requests are the timed ones.
///
/// # Errors
/// Returns the first wrong response, or the script's failure.
pub(super) fn check(
    plan: &LoadPlan,
    work: &Work,
    interrupt: &Interrupt,
    note: impl FnMut(String),
) -> Result<Tried, Wrong> {
    match work {
        Work::Load(load) => {
            each_request(plan, load, FIRST_RESPONSE_TIMEOUT)?;
            Ok(Tried::Requests)
        }
        Work::Script { script, .. } => once(plan, script, interrupt, note),
    }
}

/// Sends each request of the mix in sequence on one connection. A first response may take longer than later ones: its timeout is at
/// least `first_response_timeout`.
fn each_request(plan: &LoadPlan, load: &Load, first_response_timeout: Duration) -> Result<(), Wrong> {
    for request in &load.requests {
        let mut single = Load::new(Model::Users {
            batch: 1,
            every: Duration::from_secs(3_600),
            arriving_for: Duration::from_millis(1),
            requests_per_user: 1,
        });
        single.requests = vec![request.clone()];
        single.keep_alive = load.keep_alive;
        single.timeout = load.timeout.max(first_response_timeout);
        let mut alone = LoadPlan::new(plan.target.clone(), single);
        alone.measurement_time = GRACE;
        alone.cpus = plan.cpus.iter().copied().take(1).collect();
        alone.seed = plan.seed;
        ask(&alone).map_err(|fault| {
            let request = format!("{} {}", request.method, request.path);
            Wrong::Request(request, fault.with_tls_remedy(&plan.target))
        })?;
    }
    Ok(())
}

/// Sends the one request of the plan.
fn ask(plan: &LoadPlan) -> Result<(), Fault> {
    let failed = |error: LoadError| Fault::other(error.to_string());
    let mut session = Session::start(plan).map_err(failed)?;
    let timeout = plan.load.timeout;
    let round = session.until_answered(1, timeout + GRACE);
    session.finish().map_err(failed)?;
    let round = round.map_err(failed)?;
    match fault(&round) {
        Some(fault) => Err(fault),
        None if round.counts.done > 0 => Ok(()),
        None => Err(Fault::other(no_answer(timeout))),
    }
}

/// Runs the script once with one user.
fn once(plan: &LoadPlan, script: &Script, interrupt: &Interrupt, mut note: impl FnMut(String)) -> Result<Tried, Wrong> {
    let mut session = ScriptSession::trial(plan, script.clone())?;
    let canceller = session.watch();
    interrupt.on_first(Some(Box::new(move || canceller.cancel())));
    let trial = session.try_once(SCRIPT_TIMEOUT);
    session.finish()?;
    let trial = trial?;
    if interrupt.asked() {
        // Ignore the result of an interrupted run.
        return Ok(Tried::Script(Duration::ZERO));
    }
    if trial.secure_cookies_over_http {
        note(SECURE_COOKIES.to_owned());
    }
    if let Some(text) = note_of_refused(&trial.refused_cookies) {
        note(text);
    }
    judged(&trial).map_err(|fault| Wrong::Script(fault.with_tls_remedy(&plan.target)))
}

/// Returns the notice of cookies that users do not send back, since the server set them for another host.
fn note_of_refused(cookies: &[RefusedCookie]) -> Option<String> {
    let list: Vec<String> = cookies
        .iter()
        .map(|cookie| match cookie.count {
            1 => cookie.to_string(),
            count => format!("{cookie} {count} times"),
        })
        .collect();
    (!list.is_empty()).then(|| {
        format!(
            "users refuse cookies whose Domain does not match the host, as browsers do: {}; send the server's name with \
             `Server::host(\"...\")`, or remove the attribute",
            list.join(", ")
        )
    })
}

fn judged(trial: &Trial) -> Result<Tried, Fault> {
    let round = &trial.round;
    if let Some(fault) = fault(round) {
        return Err(fault);
    }
    if round.counts.timed_out > 0 {
        return Err(Fault {
            kind: Some(ErrorKind::ResponseTimeout),
            text: sample(round, ErrorKind::ResponseTimeout)
                .unwrap_or(ErrorKind::ResponseTimeout.description())
                .to_owned(),
        });
    }
    if round.counts.done == 0 {
        return Err(Fault::other(if trial.finished {
            "it sent no request; await one, e.g. `user.get(\"/\").await?`".to_owned()
        } else {
            format!("no response within {} s", SCRIPT_TIMEOUT.as_secs())
        }));
    }
    let took = Duration::from_secs_f64(round.seconds.max(0.0));
    Ok(if trial.finished {
        Tried::Script(took)
    } else {
        Tried::Unending(took)
    })
}

/// Returns the first failure of a round.
fn fault(round: &RoundResult) -> Option<Fault> {
    let kind = round.errors.iter().find(|(_, n)| *n > 0).map(|(kind, _)| *kind);
    let text = match (round.failed_checks.first(), kind) {
        (Some(failed), _) if failed.name.starts_with("the script ") => format!("{}: {}", failed.name, failed.sample),
        (Some(failed), _) if failed.sample.is_empty() => format!("`{}` does not hold", failed.name),
        (Some(failed), _) => format!("expected {}, got {}", failed.name, failed.sample),
        (None, Some(kind)) => match sample(round, kind) {
            Some(text) => format!("{}: {text}", kind.description()),
            None => kind.description().to_owned(),
        },
        (None, None) => return None,
    };
    Some(Fault { kind, text })
}

fn no_answer(timeout: Duration) -> String {
    format!("no response within {} s", timeout.as_secs_f64())
}

/// Returns the explanation of the first failure of a kind.
fn sample(round: &RoundResult, kind: ErrorKind) -> Option<&str> {
    let (_, text) = round.error_samples.iter().find(|(known, _)| *known == kind)?;
    Some(text)
}

#[cfg(test)]
#[path = "response_check_tests.rs"]
mod tests;
