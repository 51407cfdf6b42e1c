//! The reference servers, scenarios and profiles of wsgibench.
//!
//! A bench target has them by `use wsgibench_suites as _;`: each function under `#[server]`, `#[scenario]` and `profile!`
//! registers itself. The servers' functions are also at the root of this crate, for scenarios of your own:
//! `#[scenario(servers = [wsgibench_suites::bjoern])]`. How to add a server is told in `images/README.md`.

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
