//! Fixtures of the sandbox tests: a server that needs only the standard library, and the options of a sandbox.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use wsgibench_harness::{
    declare::{Limits, ServerSpec, Source},
    sandbox::{SandboxChoice, SandboxOptions},
};

/// A wsgiref server: `serve.py PORT`.
pub(crate) const SERVE: &str = r#"
import os, sys
from wsgiref.simple_server import make_server

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exit":
        os._exit(3)
    if path == "/eat":
        environ["wsgibench.hoard"] = HOARD.append(bytearray(b"x" * (256 << 20)))
    if path == "/burn":
        sum(range(20_000_000))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"OK"]

HOARD = []
print("serving on port", sys.argv[1], flush=True)
make_server("0.0.0.0", int(sys.argv[1]), application).serve_forever()
"#;

/// A folder for one test, with its progress messages.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) said: Arc<Mutex<Vec<String>>>,
    /// Unique, so that concurrent tests can tell their objects apart.
    pub(crate) run_id: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        // Next to the test programs: a virtual environment needs a folder without `noexec`.
        let folder = tempfile::Builder::new()
            .prefix("sandbox-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let bench = Self {
            folder,
            said: Arc::default(),
            run_id: format!("test-{:08x}", rand::random::<u32>()),
        };
        bench.file(
            "image/Dockerfile",
            "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY serve.py /serve.py\nCOPY app /app\nWORKDIR /app\n",
        );
        bench.file("image/serve.py", SERVE);
        bench.file("app/marker.txt", "here");
        bench
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn file(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn options(&self, choice: SandboxChoice) -> SandboxOptions {
        let said = self.said.clone();
        SandboxOptions {
            choice,
            run_id: self.run_id.clone(),
            run_dir: self.path("run"),
            target_dir: self.path("target"),
            server_cpus: vec![0],
            published_port: false,
            progress: Arc::new(move |what, line| {
                println!("{what}: {line}");
                said.lock().unwrap().push(format!("{what}: {line}"));
            }),
        }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Returns the fixture's server for a container.
    pub(crate) fn container_spec(&self, name: &str) -> ServerSpec {
        let mut spec = spec(
            name,
            Source::Folder(self.path("image")),
            &["python3", "/serve.py", "{port}"],
        );
        spec.app = Some(self.path("app"));
        spec
    }

    /// Returns the fixture's server for a process.
    pub(crate) fn process_spec(&self, name: &str) -> ServerSpec {
        let mut spec = self.container_spec(name);
        let script = self.path("image/serve.py").display().to_string();
        spec.command = vec!["python".into(), script, "{port}".into()];
        spec
    }
}

pub(crate) fn spec(name: &str, source: Source, command: &[&str]) -> ServerSpec {
    let mut spec = ServerSpec::new(name, source);
    spec.command = command.iter().map(|word| (*word).to_owned()).collect();
    spec.env = vec![("MARK".into(), "on {port}".into())];
    spec.limits = Limits::new().memory(128 << 20);
    spec.ready_within = Duration::from_secs(60);
    spec
}

/// Runs the ignored test `name` of this test program in a process of its own, and returns it once it has printed `READY`.
pub(crate) fn helper(name: &str, bench: &Bench) -> std::process::Child {
    use std::io::{BufRead, BufReader};
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env("HELPER_FOLDER", bench.folder.path())
        .env("HELPER_RUN", &bench.run_id)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        println!("  helper: {line}");
        if line.contains("READY") {
            return child;
        }
    }
    let _ = child.kill();
    panic!("the helper ended: {:?}", child.wait());
}

/// Returns, in a helper, the folder and run of the test that started it.
pub(crate) fn of_helper(mut options: SandboxOptions) -> SandboxOptions {
    options.run_id = std::env::var("HELPER_RUN").unwrap();
    options.target_dir = PathBuf::from(std::env::var("HELPER_FOLDER").unwrap()).join("target");
    options
}

/// Returns the whole response to a request, or the part received until the connection ended.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits for `done`, for at most 30 seconds.
pub(crate) async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come about: {what}");
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Returns a server from requirement lines; pip must reach a package index.
pub(crate) fn gunicorn_spec(bench: &Bench) -> ServerSpec {
    bench.file(
        "app/application.py",
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'OK']\n",
    );
    let requirements = Source::Requirements(vec!["gunicorn==27.0.1".into(), "packaging==26.3".into()]);
    let command = [
        "gunicorn",
        "--workers",
        "2",
        "--no-control-socket",
        "--bind",
        "{host}:{port}",
        "application:application",
    ];
    let mut spec = spec("pip-fixture", requirements, &command);
    spec.app = Some(bench.path("app"));
    spec
}
