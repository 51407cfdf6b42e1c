//! The reference servers, scenarios and profiles of wsgibench.
//!
//! `use wsgibench_suites as _;` in a bench target links them; each function under `#[server]`, `#[scenario]` and `profile!` registers
//! itself. The server functions are re-exported at the root, for your own scenarios:
//! `#[scenario(servers = [wsgibench_suites::bjoern])]`. `images/README.md` describes how to add a server.

#![expect(
    clippy::must_use_candidate,
    reason = "servers and scenarios are functions that the harness calls"
)]

pub mod profiles;
pub mod scenarios;
pub mod servers;

pub use servers::{
    bjoern::*, cherrypy::*, database::*, fastwsgi::*, gevent::*, granian::*, gunicorn::*, hypercorn::*, meinheld::*,
    mod_wsgi::*, nginx::*, pythons::*, pyvoy::*, twisted::*, uvicorn::*, uwsgi::*, waitress::*, wsgiref::*,
};
