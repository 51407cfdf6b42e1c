//! Set-up and tear-down functions with a wrong signature.
#![allow(unused_variables, unused_imports, dead_code)]

use wsgibench_harness::prelude::*;

fn at_once(_ctx: &mut SetupContext) -> Result<()> {
    Ok(())
}

async fn without_context() -> Result<()> {
    Ok(())
}

async fn without_result(_ctx: &mut SetupContext) {}

#[scenario(setup = at_once)]
fn a() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(setup = without_context)]
fn b() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(teardown = without_result)]
fn c() -> Load {
    Load::closed(1).request(get("/"))
}

#[scenario(teardown = missing)]
fn d() -> Load {
    Load::closed(1).request(get("/"))
}

fn main() {}
