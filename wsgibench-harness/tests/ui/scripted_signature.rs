//! Invalid signatures of scripted scenarios.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario(users = [1])]
async fn without_user() -> Result<()> {
    Ok(())
}

#[scenario(users = [1], connections = [1])]
async fn another_first(connections: usize) -> Result<()> {
    Ok(())
}

#[scenario(users = [1])]
async fn by_value(user: User) -> Result<()> {
    Ok(())
}

#[scenario(users = [1])]
async fn shared(user: &User) -> Result<()> {
    Ok(())
}

#[scenario(users = [1])]
async fn two(user: &mut User, other: &mut User) -> Result<()> {
    Ok(())
}

#[scenario]
fn not_async(user: &mut User) -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario]
fn half_scripted(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(users = [1])]
async fn declared(user: &mut User) -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(users = [1])]
async fn without_result(user: &mut User) {}

fn main() {}
