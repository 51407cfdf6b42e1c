//! The docker sandbox, with a real engine. Without one the tests print why they do nothing; `WSGIBENCH_REQUIRE_DOCKER=1` makes
//! that a failure.
#![cfg(feature = "docker")]

mod sandbox_support;

use sandbox_support::{Bench, get, read};
use wsgibench_harness::sandbox::{Sandbox, SandboxChoice, SandboxKind};

/// A sandbox, or nothing where no engine answers.
async fn open(bench: &Bench) -> Option<Sandbox> {
    match Sandbox::open(bench.options(SandboxChoice::Docker)).await {
        Ok(sandbox) => Some(sandbox),
        Err(error) if std::env::var("WSGIBENCH_REQUIRE_DOCKER").is_ok_and(|value| value == "1") => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

#[tokio::test]
async fn a_server_from_start_to_end() {
    let bench = Bench::new();
    let Some(sandbox) = open(&bench).await else { return };
    assert_eq!(sandbox.kind(), SandboxKind::Docker);
    let prepared = sandbox.prepare(&bench.container_spec("fixture")).await.unwrap();
    assert!(prepared.versions["python"].starts_with('3'), "{:?}", prepared.versions);
    assert!(prepared.bytes > Some(1 << 20) && prepared.digest.is_some());
    let log = bench.path("run/logs/one.log");
    let launch = sandbox.launch(&prepared, &log).await.unwrap();
    println!("started in {:?} at {}", launch.start_up(), launch.address());
    assert!(get(launch.address(), "/").ends_with("\r\n\r\nOK"));

    let before = launch.usage().unwrap();
    get(launch.address(), "/burn");
    let after = launch.usage().unwrap();
    assert!(
        after.cpu_total_seconds > before.cpu_total_seconds + 0.05,
        "{before:?} {after:?}"
    );
    assert!(after.memory_bytes > 1 << 20, "{after:?}");

    let info = launch.stop().await.unwrap();
    assert_eq!((info.exit, info.oom_killed), (None, false));
    assert!(read(&log).contains("serving on port 8000"));
    sandbox.close().await;
}
