//! Scripted scenarios without a load model or with several.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

#[scenario]
async fn none(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(users = [1], rate = [2])]
async fn two(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(load = 3)]
async fn no_load(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(user = [1])]
async fn typo(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(users = 10)]
async fn no_list(user: &mut User) -> Result<()> {
    Ok(())
}

#[scenario(load = Load::closed(1))]
async fn taken(user: &mut User, load: usize, users: usize) -> Result<()> {
    Ok(())
}

fn main() {}
