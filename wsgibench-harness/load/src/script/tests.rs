//! Runs scripts against a hyper server, over HTTP/1.1, HTTP/2 and TLS.

mod models;
mod requests;
mod server;

use std::time::Duration;

use server::Server;

use super::{
    super::{Load, LoadPlan, RoundResult, Stripe, Target},
    Running, ScriptSession, User, script,
};

/// A plan against `server` on one worker.
fn plan(server: &Server, load: Load) -> LoadPlan {
    LoadPlan {
        target: Target {
            address: server.address,
            host: format!("localhost:{}", server.address.port()),
            tls: None,
        },
        load,
        warm_up: Duration::ZERO,
        rounds: 1,
        measurement_time: Duration::from_millis(300),
        cpus: Vec::new(),
        seed: 7,
        stripe: Stripe::default(),
        busy_poll: false,
        before_request: None,
    }
}

/// Runs one round of a script.
fn round<F>(server: &Server, load: Load, length: Duration, function: F) -> RoundResult
where
    F: for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync + 'static,
{
    let mut session = ScriptSession::start(&plan(server, load), script(function)).unwrap();
    let round = session.round(length).unwrap();
    session.finish().unwrap();
    assert!(round.counts.adds_up(), "{:?}", round.counts);
    round
}

/// Runs a script once; its failures fail the test.
fn once<F>(server: &Server, function: F) -> RoundResult
where
    F: for<'a> Fn(&'a mut User) -> Running<'a> + Send + Sync + 'static,
{
    let load = Load::users(1)
        .arriving_for(Duration::from_millis(1))
        .requests_per_user(1)
        .for_script();
    let round = round(server, load, Duration::from_millis(600), function);
    assert_eq!(round.users.unwrap().finished, 1, "{round:?}");
    assert_eq!(round.counts.failed, 0, "{:?} {:?}", round.errors, round.failed_checks);
    round
}
