//! pyvoy: Envoy with Python inside.

use wsgibench_harness::prelude::*;

use super::{THREADS, image, words};

/// pyvoy (Envoy with Python inside): one process with 4 threads a core.
#[server]
pub fn pyvoy() -> Server {
    image("pyvoy")
        .command_for_cpus(|cpus| {
            words(&format!(
                "pyvoy --interface wsgi --address {{host}} --port {{port}} --worker-threads {} application:application",
                THREADS * cpus
            ))
        })
        .tag("catalogue")
}

/// pyvoy with its default settings: 200 threads.
#[server]
pub fn pyvoy_default() -> Server {
    image("pyvoy")
        .command(words(
            "pyvoy --interface wsgi --address {host} --port {port} application:application",
        ))
        .untuned()
}
