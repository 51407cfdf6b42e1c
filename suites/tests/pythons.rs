//! Runs a server of the suite on its oldest and newest Python in real containers. Without access to a registry it makes base
//! images from Debian's packages: a minute each, once, as root. Without an engine the test is ignored;
//! `WSGIBENCH_REQUIRE_DOCKER=1` makes it fail.

#[macro_use]
#[path = "../../wsgibench-harness/tests/needs/mod.rs"]
mod needs;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use wsgibench_harness::{
    declare::{Declarations, Machine, resolve},
    sandbox::{PrepareError, Sandbox, SandboxChoice, SandboxOptions},
};
use wsgibench_suites as _;

const MACHINE: Machine = Machine {
    server_cpus: 1,
    memory: 1 << 40,
};

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // In one write: bjoern needs the whole request line in one read.
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn main() -> std::process::ExitCode {
    needs::run(trials!(needs::Need::engine(), async; same_server_responds_on_each_python).into())
}

async fn same_server_responds_on_each_python() {
    let required = wsgibench_harness::__private::switch("WSGIBENCH_REQUIRE_DOCKER").unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let options = SandboxOptions {
        choice: SandboxChoice::Docker,
        run_id: format!("pythons-{}", std::process::id()),
        run_dir: folder.path().join("run"),
        target_dir: folder.path().to_owned(),
        server_cpus: vec![0],
        published_port: false,
        say: Arc::new(|what, line| println!("{what}: {line}")),
    };
    let sandbox = Sandbox::open(options).await.unwrap();
    let declarations = Declarations::collect().unwrap();
    let mut images = Vec::new();
    let expected = [("bjoern_python39", "3.9."), ("bjoern_python313", "3.13.")];
    let specs = expected.map(|(server, _)| resolve(declarations.server(server).unwrap(), None, &MACHINE).0);
    // Side by side: each may build a base image first.
    let prepared = sandbox.prepare_all(&specs.each_ref(), |_| true).await;
    assert_eq!(prepared.len(), expected.len());
    for ((server, python), prepared) in expected.into_iter().zip(prepared) {
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(PrepareError::NotAvailable(why)) if !required => {
                println!("skipped: {why}");
                continue;
            }
            Err(error) => panic!("{server}: {error}"),
        };
        assert!(
            prepared.versions["python"].starts_with(python),
            "{:?}",
            prepared.versions
        );
        let launch = sandbox.launch(&prepared, &folder.path().join("log")).await.unwrap();
        let answer = get(launch.address(), "/");
        assert!(answer.ends_with("\r\n\r\nOK"), "{server}: {answer:?}");
        launch.stop().await.unwrap();
        images.push(prepared.image);
    }
    images.dedup();
    assert!(!required || images.len() == 2, "{images:?}");
    sandbox.close().await;
}
