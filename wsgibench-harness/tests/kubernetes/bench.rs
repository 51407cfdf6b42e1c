//! The bench as a separate process, and the cluster that it uses.

use std::{
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use wsgibench_harness::store::record::RunRecord;

use crate::ROLE;

/// The folder of a cluster that `.ci/cluster start` has made.
pub(crate) const CLUSTER: &str = "WSGIBENCH_CLUSTER";

pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os(CLUSTER)
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
}

/// Why there is no cluster.
pub(crate) fn missing() -> Option<&'static str> {
    let there = folder().is_some_and(|folder| folder.join("kubeconfig").is_file());
    (!there).then_some("no cluster: set WSGIBENCH_CLUSTER to the folder of `.ci/cluster start`")
}

/// A bench with a target folder and a namespace of its own.
pub(crate) struct Bench {
    pub(crate) target: tempfile::TempDir,
    pub(crate) namespace: String,
}

pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) err: String,
}

impl Bench {
    /// Creates a namespace with the role of the examples.
    pub(crate) fn new(name: &str) -> Self {
        // Of an earlier test, a namespace may still be ending.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("{name}-{}-{count}", std::process::id());
        kubectl(&["create", "namespace", &namespace]);
        let role = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/kubernetes/role.yaml");
        kubectl(&["--namespace", &namespace, "apply", "-f", role]);
        Self {
            target: tempfile::Builder::new()
                .prefix("kubernetes-")
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .unwrap(),
            namespace,
        }
    }

    /// Returns the command of a bench with short rounds.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let cluster = folder().unwrap();
        let loader = format!(
            "{} load {}",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/cluster"),
            cluster.display()
        );
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--bench", "--noplot"])
            .args(arguments)
            .env(ROLE, "1")
            // As variables, which a test's own options replace.
            .env("WSGIBENCH_SANDBOX", "kubernetes")
            .env("WSGIBENCH_NAMESPACE", &self.namespace)
            .env("WSGIBENCH_IMAGE_LOADER", loader)
            .env("WSGIBENCH_LOAD_POD_CPU", "50m")
            .env("WSGIBENCH_LAUNCHES", "1")
            .env("WSGIBENCH_ROUNDS", "1")
            .env("WSGIBENCH_WARM_UP_TIME", "0.3")
            .env("WSGIBENCH_MEASUREMENT_TIME", "2")
            .env("KUBECONFIG", cluster.join("kubeconfig"))
            .env("CARGO_TARGET_DIR", self.target.path())
            .env("WSGIBENCH_LOCK_DIR", self.target.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        ended(arguments, &self.command(arguments).output().unwrap())
    }

    /// Starts a bench, and returns when so many of its pods with a role run.
    pub(crate) fn start_until(&self, arguments: &[&str], role: &str, count: usize) -> Child {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while self.running(role).len() < count {
            assert!(begun.elapsed() < Duration::from_secs(120), "no {role} pods run");
            assert!(child.try_wait().unwrap().is_none(), "the bench has ended");
            std::thread::sleep(Duration::from_millis(100));
        }
        child
    }

    /// Names of running pods with a role.
    pub(crate) fn running(&self, role: &str) -> Vec<String> {
        let selector = format!("wsgibench.io/role={role}");
        let text = self.kubectl(&[
            "get",
            "pods",
            "-l",
            &selector,
            "--field-selector=status.phase=Running",
            "-o",
            "name",
        ]);
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// Asserts that nothing of a run is left after at most this time.
    pub(crate) fn assert_empty_within(&self, within: Duration) {
        let begun = Instant::now();
        loop {
            let kinds = "pods,configmaps,leases,networkpolicies";
            let left = self.kubectl(&["get", kinds, "-l", "wsgibench.io/run", "-o", "name"]);
            if left.trim().is_empty() {
                return;
            }
            assert!(begun.elapsed() < within, "left after {within:?}:\n{left}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub(crate) fn record(&self) -> RunRecord {
        let runs = self.target.path().join("wsgibench/runs");
        let mut folders: Vec<PathBuf> = std::fs::read_dir(runs).unwrap().map(|e| e.unwrap().path()).collect();
        folders.sort();
        let json = std::fs::read(folders.last().unwrap().join("run.json")).unwrap();
        serde_json::from_slice(&json).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Without waiting for the namespace's end.
        kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

pub(crate) fn ended(arguments: &[&str], output: &Output) -> Ended {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("--- {arguments:?}: {:?}\n{out}\n{err}", output.status.code());
    Ended {
        status: output.status.code(),
        err,
    }
}

pub(crate) fn kubectl(arguments: &[&str]) -> String {
    let cluster = folder().unwrap();
    let output = Command::new("kubectl")
        .args(arguments)
        .env("KUBECONFIG", cluster.join("kubeconfig"))
        .env("HOME", &cluster)
        .output()
        .unwrap();
    if !output.status.success() {
        println!("kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}
