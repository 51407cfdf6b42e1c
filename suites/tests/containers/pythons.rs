//! A server of the suite on its oldest and newest Python. Without access to a registry it makes base images from Debian's packages: a
//! minute each, once, as root.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use libtest_mimic::Trial;
use wsgibench_harness::{
    declare::{Declarations, Machine, resolve},
    sandbox::{PrepareError, PreparedServer, Sandbox, SandboxChoice, SandboxOptions},
};

use crate::needs::{self, Need};

const MACHINE: Machine = Machine {
    server_cpus: 1,
    memory: 1 << 40,
};

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // In one write: bjoern needs the whole request line in one read.
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// A server of the suite and the Python that it must run on.
const SERVERS: [(&str, &str); 2] = [("bjoern_python39", "3.9."), ("bjoern_python313", "3.13.")];

/// Switch that turns ignored tests into failures.
const REQUIRE: &str = "WSGIBENCH_REQUIRE_DOCKER";

/// The prepared servers and their tests.
pub(crate) struct Pythons {
    runtime: tokio::runtime::Runtime,
    sandbox: Arc<Sandbox>,
    folder: tempfile::TempDir,
}

impl Pythons {
    /// Prepares the servers of the selected tests and returns the tests. Only the preparation shows whether this machine can obtain a
    /// base image of each Python.
    pub(crate) fn prepare(engine: &Need) -> (Option<Self>, Vec<Trial>) {
        let selected: Vec<(&str, &str)> = SERVERS
            .into_iter()
            .filter(|(server, _)| needs::selects(&test_name(server)))
            .collect();
        if !engine.is_met() || selected.is_empty() {
            let trials =
                SERVERS.map(|(server, _)| engine.trial(&test_name(server), || unreachable!("no engine answers")));
            return (None, trials.into());
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let sandbox = Arc::new(runtime.block_on(Sandbox::open(options(folder.path()))).unwrap());
        let declarations = Declarations::collect().unwrap();
        let specs: Vec<_> = selected
            .iter()
            .map(|(server, _)| resolve(declarations.server(server).unwrap(), None, &MACHINE).0)
            .collect();
        let specs: Vec<_> = specs.iter().collect();
        let prepared = runtime.block_on(sandbox.prepare_all(&specs, |_| true));
        let prepared: Vec<_> = prepared
            .into_iter()
            .map(|server| server.expect("all were begun"))
            .collect();
        let mut trials = Vec::new();
        for ((server, python), prepared) in selected.into_iter().zip(prepared) {
            let missing = match &prepared {
                Err(PrepareError::NotAvailable(why)) => Some(why.clone()),
                _ => None,
            };
            let (sandbox, runtime) = (Arc::clone(&sandbox), runtime.handle().clone());
            let log = folder.path().join(server);
            trials.push(
                Need::new(missing.as_deref(), REQUIRE).trial(&test_name(server), move || {
                    let prepared = prepared.unwrap_or_else(|error| panic!("{server}: {error}"));
                    runtime.block_on(responds(&sandbox, &prepared, python, &log));
                }),
            );
        }
        let pythons = Self {
            runtime,
            sandbox,
            folder,
        };
        (Some(pythons), trials)
    }

    /// Removes the sandbox after the tests.
    pub(crate) fn close(self) {
        if let Some(sandbox) = Arc::into_inner(self.sandbox) {
            self.runtime.block_on(sandbox.close());
        }
        drop(self.folder);
    }
}

fn test_name(server: &str) -> String {
    format!("pythons::{server}_responds_on_its_python")
}

fn options(folder: &Path) -> SandboxOptions {
    SandboxOptions {
        choice: SandboxChoice::Docker,
        run_id: format!("pythons-{}", std::process::id()),
        run_dir: folder.join("run"),
        target_dir: folder.to_owned(),
        server_cpus: vec![0],
        published_port: false,
        progress: Arc::new(|what, line| println!("{what}: {line}")),
    }
}

async fn responds(sandbox: &Sandbox, server: &PreparedServer, python: &str, log: &Path) {
    let version = &server.versions["python"];
    assert!(version.starts_with(python), "{version}");
    let launch = sandbox.launch(server, log).await.unwrap();
    let response = get(launch.address(), "/");
    assert!(response.ends_with("\r\n\r\nOK"), "{response:?}");
    launch.stop().await.unwrap();
}
