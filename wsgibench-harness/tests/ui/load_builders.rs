//! Settings on the wrong kind of load, before the first request, or on the load in place of the request.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario]
fn no_request() -> Load {
    Load::closed(64)
}

#[scenario]
fn open_setting_of_a_closed_load() -> Load {
    Load::closed(64).max_connections(9).request(get("/"))
}

#[scenario]
fn capacity_of_users() -> Load {
    Load::users(5).of_capacity().request(get("/"))
}

#[scenario]
fn seed_without_random_arrivals() -> Load {
    Load::rate(100).seed(7).request(get("/"))
}

#[scenario]
fn users_setting_of_a_rate() -> Load {
    Load::poisson(100).every(secs(1)).request(get("/"))
}

#[scenario]
fn duration_of_a_ramp() -> Load {
    Load::ramp(0..=100, secs(5)).duration(secs(9)).request(get("/"))
}

#[scenario]
fn setting_after_the_request() -> Load {
    Load::poisson(100).request(get("/")).seed(7)
}

#[scenario]
fn method_on_the_load() -> Load {
    Load::closed(64).get("/")
}

#[scenario]
fn check_on_the_load() -> Load {
    Load::closed(64).request(get("/")).expect_status(200)
}

#[scenario(load = Load::users(5).request(get("/")))]
async fn script_with_requests(user: &mut User) -> Result<()> {
    Ok(())
}

fn main() {}
