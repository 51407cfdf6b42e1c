//! Load models, accounting, and scripts that misbehave.

use std::time::Duration;

use anyhow::{Result, bail};
use rand::RngExt;

use super::{
    super::{
        super::{ErrorKind, Load, LoadError, RoundResult},
        ScriptSession, User, WHOLE_SCRIPT, script,
    },
    plan, round,
    server::Server,
};

const SHORT: Duration = Duration::from_millis(400);

fn errors(round: &RoundResult, kind: ErrorKind) -> u64 {
    round
        .errors
        .iter()
        .find(|(k, _)| *k == kind)
        .map_or(0, |(_, count)| *count)
}

async fn two_steps(user: &mut User) -> Result<()> {
    user.step("login");
    user.get("/login").await?.expect_status(200)?;
    user.think(Duration::from_millis(5)).await;
    user.step("look");
    user.get("/me").await?.expect_body("you")?;
    Ok(())
}

#[test]
fn closed_users_continue_over_several_rounds() {
    let server = Server::start();
    let plan = plan(&server, Load::closed(5).for_script());
    let mut session = ScriptSession::start(&plan, script(|user| Box::pin(two_steps(user)))).unwrap();
    session.warm_up_requests(10, Duration::from_secs(5)).unwrap();
    for _ in 0..2 {
        let round = session.round(SHORT).unwrap();
        assert!(round.counts.adds_up() && round.counts.done > 20, "{:?}", round.counts);
        assert_eq!(round.counts.failed, 0, "{:?}", round.failed_checks);
        assert_eq!((round.connections.wanted, round.connections.served), (5, 5));
        // All connections were opened before the first round.
        assert_eq!((round.connections.opened, round.connections.established), (0, 5));
        let names: Vec<_> = round.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, [WHOLE_SCRIPT, "login", "look"]);
        let whole = &round.steps[0].latency;
        assert!(whole.histogram.len() > 10 && whole.quantile(0.5).ns > 5_000_000);
        let of_steps = round.steps[1].latency.histogram.len() + round.steps[2].latency.histogram.len();
        assert_eq!(of_steps, round.counts.done + round.counts.censored);
        assert!(round.engine_cpu_seconds > 0.0);
    }
    assert!(session.watch().live().done > 0);
    session.finish().unwrap();
}

#[test]
fn an_open_load_runs_the_script_once_per_arrival() {
    let server = Server::start();
    let load = Load::rate(200).max_connections(50).for_script();
    let round = round(&server, load, Duration::from_millis(500), |user| {
        Box::pin(two_steps(user))
    });
    // 100 arrivals of two requests each; the last ones may not have finished.
    assert_eq!(
        round.offered_rate.map(|rate| (rate * round.seconds).round()),
        Some(100.0)
    );
    assert!((1..=200).contains(&round.counts.done), "{:?}", round.counts);
    // Each arrival started, after a lag or a wait, or is unsent.
    let let_in = round.client_lag.histogram.len() + round.queue_wait.histogram.len();
    assert!(
        let_in <= 100 && let_in + round.counts.unsent >= 100,
        "{let_in} {:?}",
        round.counts
    );
}

#[test]
fn arrivals_without_a_free_place_wait_and_are_counted() {
    let server = Server::start();
    let load = Load::rate(1_000).max_connections(2).for_script();
    let round = round(&server, load, SHORT, |user| {
        Box::pin(async move {
            user.get("/slow").await?;
            Ok(())
        })
    });
    assert_eq!(round.counts.done, 0);
    assert_eq!(round.counts.censored, 2);
    assert_eq!(round.counts.unsent, 398);
    assert!(round.response_time.quantile(0.5).at_least);
}

#[test]
fn users_arrive_run_the_script_and_leave() {
    let server = Server::start();
    let load = Load::users(3)
        .every(Duration::from_millis(50))
        .arriving_for(Duration::from_millis(150))
        .requests_per_user(2)
        .for_script();
    let round = round(&server, load, Duration::from_millis(600), |user| {
        Box::pin(two_steps(user))
    });
    let users = round.users.unwrap();
    assert_eq!((users.arrived, users.finished, users.active), (9, 9, 0));
    assert_eq!(round.counts.done, 9 * 2 * 2);
    assert!((round.connections.jain - 1.0).abs() < 1e-9);
}

#[test]
fn failed_checks_count_by_name_with_a_sample() {
    let server = Server::start();
    let round = round(&server, Load::closed(2).for_script(), SHORT, |user| {
        Box::pin(async move {
            let bad = user.rng().random_bool(0.5);
            if bad {
                user.get("/missing").await?.expect_status(200)?;
            } else {
                let answer = user.get("/json").await?;
                let holds = answer.body().is_empty();
                answer.expect("no body", holds)?;
            }
            Ok(())
        })
    });
    let (status, body) = (
        errors(&round, ErrorKind::Status),
        errors(&round, ErrorKind::CheckFailed),
    );
    assert!(status > 0 && body > 0, "{:?}", round.errors);
    assert_eq!(round.counts.failed, status + body);
    assert_eq!(errors(&round, ErrorKind::Script), 0);
    let check = round
        .failed_checks
        .iter()
        .find(|check| check.name == "status 200")
        .unwrap();
    assert_eq!(check.count, status);
    assert!(
        check.sample.contains("404") && check.sample.contains("no such thing"),
        "{}",
        check.sample
    );
    assert!(
        round
            .failed_checks
            .iter()
            .any(|check| check.name == "no body" && check.count == body)
    );
}

#[test]
fn an_error_status_is_a_failure_unless_accepted() {
    let server = Server::start();
    let round = round(&server, Load::closed(1).for_script(), SHORT, |user| {
        Box::pin(async move {
            user.get("/missing").await?;
            let _ = user.get("/missing").await?.any_status();
            user.get("/missing").await?.expect_status(404)?;
            Ok(())
        })
    });
    let failed = errors(&round, ErrorKind::Status);
    assert!(failed > 0);
    assert!(round.counts.done.abs_diff(2 * failed) <= 2, "{:?}", round.counts);
}

#[test]
fn errors_and_panics_of_a_script_are_counted_and_do_not_end_the_run() {
    let server = Server::start();
    let round = round(&server, Load::closed(4).for_script(), SHORT, |user| {
        Box::pin(async move {
            match user.number() {
                0 => bail!("out of ideas"),
                1 => panic!("at the disco"),
                2 => {
                    user.get("no-slash").await?;
                }
                _ => {
                    user.get("/login").await?.expect_status(200)?;
                }
            }
            Ok(())
        })
    });
    assert!(round.counts.done > 0);
    assert!(errors(&round, ErrorKind::Script) >= 3, "{:?}", round.errors);
    let of = |name: &str| round.failed_checks.iter().find(|check| check.name == name).unwrap();
    assert_eq!(of("the script returned an error").sample, "out of ideas");
    let panicked = &of("the script panicked").sample;
    assert!(
        panicked.starts_with("at the disco (at ") && panicked.contains("models.rs:"),
        "{panicked}"
    );
}

#[test]
fn a_script_that_waits_forever_is_censored() {
    let server = Server::start();
    let round = round(&server, Load::closed(3).for_script(), SHORT, |user| {
        Box::pin(async move {
            if user.number() == 0 {
                std::future::pending::<()>().await;
            }
            if user.number() == 1 {
                user.think(Duration::from_secs(60)).await;
            }
            user.get("/login").await?;
            Ok(())
        })
    });
    assert!(round.counts.done > 0);
    // One hangs, and at most one request is in flight; a user who pauses does not hang.
    assert!((1..=2).contains(&round.counts.censored), "{:?}", round.counts);
    let hanging: Vec<_> = round.failed_checks.iter().map(|c| (c.name.as_str(), c.count)).collect();
    assert_eq!(hanging, [("the script hangs", 1)]);
    // A user who only pauses is not counted as starved; one who hangs is.
    assert_eq!((round.connections.wanted, round.connections.served), (2, 1));
    assert!(round.response_time.quantile(1.0).at_least);
}

#[test]
fn a_script_that_blocks_its_thread_does_not_delay_the_round() {
    let server = Server::start();
    let plan = plan(&server, Load::closed(2).for_script());
    let stuck = script(|_| {
        Box::pin(async {
            // A script that never awaits.
            std::thread::sleep(Duration::from_secs(3_600));
            Ok(())
        })
    });
    let mut session = ScriptSession::start(&plan, stuck).unwrap();
    let round = session.round(SHORT).unwrap();
    assert_eq!((round.counts.offered, round.counts.censored), (1, 1));
    assert!(matches!(session.finish(), Err(LoadError::ScriptHolds)));
}

#[test]
fn a_trial_is_one_run_by_a_separate_user() {
    let server = Server::start();
    let (sender, receiver) = std::sync::mpsc::channel();
    let tried = script(move |user| {
        let _ = sender.send(user.number());
        Box::pin(two_steps(user))
    });
    // Under every load model, one user runs the script once.
    for load in [
        Load::closed(20).for_script(),
        Load::rate(1_000).for_script(),
        Load::users(7).for_script(),
    ] {
        let mut session = ScriptSession::trial(&plan(&server, load), tried.clone()).unwrap();
        let trial = session.try_once(Duration::from_secs(3_600)).unwrap();
        session.finish().unwrap();
        assert!(trial.finished);
        assert_eq!((trial.round.counts.offered, trial.round.counts.done), (2, 2));
        assert!(trial.round.seconds < 3_600.0, "the trial waited for its timeout");
    }
    let numbers: Vec<u64> = receiver.try_iter().collect();
    assert_eq!(numbers, [1 << 48; 3]);
}

#[test]
fn a_trial_of_an_endless_script_ends_at_its_timeout() {
    let server = Server::start();
    let timeout = Duration::from_millis(300);
    let endless = script(|user| {
        Box::pin(async move {
            loop {
                user.get("/login").await?;
                user.think(Duration::from_millis(5)).await;
            }
        })
    });
    let mut session = ScriptSession::trial(&plan(&server, Load::closed(1).for_script()), endless).unwrap();
    let trial = session.try_once(timeout).unwrap();
    session.finish().unwrap();
    assert!(!trial.finished && trial.round.counts.done > 1 && trial.round.counts.failed == 0);

    let hanging = script(|_| Box::pin(std::future::pending()));
    let mut session = ScriptSession::trial(&plan(&server, Load::closed(1).for_script()), hanging).unwrap();
    let trial = session.try_once(timeout).unwrap();
    session.finish().unwrap();
    assert!(!trial.finished);
    assert_eq!(trial.round.failed_checks[0].name, "the script hangs");
}

#[test]
fn timeouts_and_refused_connections_have_separate_kinds() {
    let server = Server::start();
    let slow = round(
        &server,
        Load::closed(1).timeout(Duration::from_millis(50)).for_script(),
        SHORT,
        |user| {
            Box::pin(async move {
                user.get("/slow").await?;
                Ok(())
            })
        },
    );
    assert!(
        slow.counts.timed_out >= 1 && slow.counts.failed == 0,
        "{:?}",
        slow.counts
    );
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = round(
        &Server { address: nobody },
        Load::closed(1).for_script(),
        SHORT,
        |user| {
            Box::pin(async move {
                user.get("/").await?;
                Ok(())
            })
        },
    );
    // Retries are delayed: there are not thousands.
    let count = errors(&refused, ErrorKind::Refused);
    assert!((1..100).contains(&count), "{count}");
}

#[test]
fn the_same_seed_gives_the_same_random_numbers() {
    let server = Server::start();
    let drawn = || {
        let (sender, receiver) = std::sync::mpsc::channel();
        let load = Load::users(4)
            .arriving_for(Duration::from_millis(1))
            .requests_per_user(1)
            .for_script();
        round(&server, load, Duration::from_millis(50), move |user| {
            let number: u64 = user.rng().random();
            let _ = sender.send((user.number(), number));
            Box::pin(async { Ok(()) })
        });
        let mut all: Vec<_> = receiver.iter().collect();
        all.sort_unstable();
        all
    };
    let first = drawn();
    assert_eq!(first.len(), 4);
    assert_eq!(first, drawn());
    assert!(first.windows(2).all(|pair| pair[0].1 != pair[1].1));
}

#[test]
fn busy_worker_misses_no_round() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static HELD: AtomicBool = AtomicBool::new(false);
    async fn talk(user: &mut User) -> Result<()> {
        user.get("/echo").await?;
        if !HELD.swap(true, Ordering::Relaxed) {
            // Blocks the thread from before the end of the first round until after the beginning of the second.
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }
    let server = Server::start();
    let load = Load::rate(50.0);
    let mut session =
        ScriptSession::start(&plan(&server, load.for_script()), script(|user| Box::pin(talk(user)))).unwrap();
    for _ in 0..2 {
        let round = session.round(Duration::from_millis(400)).unwrap();
        assert!(round.counts.adds_up(), "{:?}", round.counts);
        // All due arrivals are counted, sent or not, in addition to the hanging script.
        let hangs: u64 = round.failed_checks.iter().map(|check| check.count).sum();
        assert_eq!(round.counts.offered - hangs, 20, "{:?}", round.counts);
    }
    let third = session.round(Duration::from_millis(400)).unwrap();
    assert!(third.counts.done > 0, "{:?} {:?}", third.counts, third.errors);
    session.finish().unwrap();
}

#[test]
fn scripted_poisson_arrivals_follow_the_seed_of_the_run() {
    use crate::{Stripe, schedule::Schedule};
    async fn talk(user: &mut User) -> Result<()> {
        user.get("/echo").await?;
        Ok(())
    }
    let server = Server::start();
    let mut seen = Vec::new();
    for seed in [1, 2, 3] {
        let mut plan = plan(&server, Load::poisson(100.0).for_script());
        plan.seed = seed;
        let schedule = Schedule::of_model(&plan.load.model, seed).unwrap();
        let due = schedule.arrivals(Stripe::default()).take_while(|at| *at < 300_000_000);
        let due = due.count() as u64;
        let mut session = ScriptSession::start(&plan, script(|user| Box::pin(talk(user)))).unwrap();
        let round = session.round(Duration::from_millis(300)).unwrap();
        session.finish().unwrap();
        assert_eq!(round.counts.offered, due, "{:?}", round.counts);
        seen.push(due);
    }
    assert!(seen.iter().any(|n| *n != seen[0]), "{seen:?}");
}
