//! mod_wsgi-express.

use wsgibench_harness::prelude::*;

use super::{BACKLOG, THREADS, image};

/// mod_wsgi-express (Apache 2.4, event MPM): a daemon process a core with 4 threads each, keep-alive; one Apache process in front.
#[server]
fn mod_wsgi() -> Server {
    image("mod_wsgi")
        .command_for_cpus(|cpus| {
            let (processes, threads) = (cpus.to_string(), THREADS.to_string());
            [
                "python",
                "-m",
                "wsgibench_serve",
                "--tuned",
                "--port",
                "{port}",
                "--processes",
                &processes,
                "--threads",
                &threads,
                "--server-backlog",
                BACKLOG,
                "--daemon-backlog",
                BACKLOG,
                "--keep-alive-timeout",
                "75",
                "--limit-request-body",
                "1073741824",
                "--disable-reloading",
                "--log-to-terminal",
                "/app/application.py",
            ]
            .map(str::to_owned)
        })
        // Its event MPM holds about 1,040 threads.
        .limits(Limits {
            pids: 2_048,
            ..Limits::default()
        })
        .tag("study")
}
