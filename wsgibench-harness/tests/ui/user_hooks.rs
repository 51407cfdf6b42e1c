//! User hooks with a wrong signature.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

fn at_once(user: &mut User) -> Result<()> {
    Ok(())
}

async fn of_a_launch(ctx: &mut SetupContext) -> Result<()> {
    Ok(())
}

#[scenario(users = [1], user_setup = at_once)]
async fn a(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(users = [1], user_setup = of_a_launch)]
async fn b(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(users = [1], user_teardown = "leave")]
async fn c(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(user_setup = at_once)]
fn declared() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {}
