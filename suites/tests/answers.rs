//! The application's responses pass every check of every scenario: runs each load, reduced, against the application under
//! the standard library's server.

#[macro_use]
#[path = "../../wsgibench-harness/tests/needs/mod.rs"]
mod needs;

use std::{
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use wsgibench_harness::{
    declare::{Declarations, Work},
    load::{self, Load, LoadPlan, Model, Target, script::ScriptSession},
};
use wsgibench_suites as _;

/// A threaded server, so that a second connection does not wait for the first. Prints its port.
const SERVE: &str = "
import socketserver, wsgiref.simple_server as s
from application import application
class Server(socketserver.ThreadingMixIn, s.WSGIServer):
    daemon_threads = True
    def handle_error(self, *args):
        pass  # Connections that the load closes are expected.
class Quiet(s.WSGIRequestHandler):
    def log_message(self, *args):
        pass
server = s.make_server('127.0.0.1', 0, application, Server, Quiet)
print(server.server_port, flush=True)
server.serve_forever()
";

fn main() -> std::process::ExitCode {
    let tests = trials!(needs::Need::python(); every_script_completes_with_its_expected_responses, every_scenario_gets_its_expected_responses);
    needs::run_waiting(tests.into())
}

struct Served {
    child: Child,
    port: u16,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the application.
fn serve() -> Served {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("app");
    assert!(app.is_dir(), "{} not found", app.display());
    let mut child = Command::new("python3")
        .args(["-B", "-c", SERVE])
        .current_dir(app)
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it tells its port");
    let port = line.trim().parse().unwrap_or_else(|_| panic!("not a port: {line:?}"));
    Served { child, port }
}

/// Reduces a load to two connections with the same requests and checks.
fn small(load: &Load) -> Load {
    let mut small = load.clone();
    small.model = Model::Closed { connections: 2 };
    small.idle_connections = load.idle_connections.min(4);
    small.measurement_time = None;
    small
}

fn every_script_completes_with_its_expected_responses() {
    let declarations = Declarations::collect().expect("the suite is right");
    let server = serve();
    let mut scripts = 0;
    for scenario in &declarations.scenarios {
        for set in &scenario.params {
            let Some(script) = set.work.script() else { continue };
            scripts += 1;
            let target = Target::new((Ipv4Addr::LOCALHOST, server.port).into(), "localhost");
            let plan = LoadPlan::new(target, set.work.load().clone());
            let mut session = ScriptSession::trial(&plan, script.clone()).expect("it starts");
            let trial = session.try_once(Duration::from_secs(20)).expect("it runs");
            session.finish().expect("it ends");
            let round = &trial.round;
            let what = format!(
                "{}/{}: {:?} {:?}",
                scenario.name, set.id, round.errors, round.failed_checks
            );
            assert!(
                trial.finished && round.counts.failed == 0 && round.counts.done > 0,
                "{what}"
            );
        }
    }
    assert!(scripts > 0, "the suite has scripted users");
}

fn every_scenario_gets_its_expected_responses() {
    let declarations = Declarations::collect().expect("the suite is right");
    let server = serve();
    let mut plans = Vec::new();
    for scenario in &declarations.scenarios {
        if scenario.name == "upload_chunked" {
            continue; // The standard library's server does not support chunked uploads.
        }
        let has_companion = |name: &String| {
            let mut variants = declarations.servers.iter().filter(|server| server.function() == name);
            variants.any(|server| !server.server.companions.is_empty())
        };
        if scenario.servers.iter().flatten().any(has_companion) {
            continue; // It needs a companion: tests/containers runs it.
        }
        for set in &scenario.params {
            let Work::Load(load) = &set.work else { continue };
            let target = Target::new((Ipv4Addr::LOCALHOST, server.port).into(), "localhost");
            let mut plan = LoadPlan::new(target, small(load));
            let large = scenario.name == "upload_large";
            plan.measurement_time = Duration::from_millis(if large { 6_000 } else { 300 });
            plans.push((format!("{}/{}", scenario.name, set.id), plan));
        }
    }
    assert!(plans.len() > 10, "{}", plans.len());
    let queue = Mutex::new(plans);
    let work = || {
        while let Some((case, plan)) = { queue.lock().unwrap().pop() } {
            let result = load::run(&plan).unwrap_or_else(|error| panic!("{case}: {error}"));
            let round = &result.rounds[0];
            let what = format!("{case}: {:?} {:?}", round.errors, round.failed_checks);
            assert_eq!(round.counts.failed, 0, "{what}");
            assert!(round.counts.done > 0, "{what}: no request was completed");
        }
    };
    // A panic in one of the threads fails the test.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
}
