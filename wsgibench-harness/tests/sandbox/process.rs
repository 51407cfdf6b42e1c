//! The process sandbox, with real processes.
//! Without Python the tests are ignored, and those that install packages without a package index; `WSGIBENCH_REQUIRE_PYTHON=1` and
//! `WSGIBENCH_REQUIRE_INDEX=1` make them fail.

use libtest_mimic::Trial;
use wsgibench_harness::{
    declare::Source,
    sandbox::{LaunchError, PrepareError, Sandbox, SandboxChoice, SandboxKind, Signal},
};

use crate::{
    Needs,
    needs::trials,
    support::{Bench, eventually, get, gunicorn_spec, helper, of_helper, read},
};

/// Returns the tests of this file.
pub(crate) fn trials(needs: &Needs) -> Vec<Trial> {
    let mut tests = Vec::from(
        trials!(needs.python.clone().and(needs.index.clone()), async; gunicorn_is_installed_from_the_index_once),
    );
    tests.extend(
        trials!(needs.python, async; server_runs_from_start_to_stop, dropped_launch_kills_children_in_other_sessions, external_kill_is_detected_and_reported, failed_start_is_reported_with_the_servers_output, occupied_fixed_port_is_reported, user_settings_of_pip_and_python_do_not_affect_environments, index_settings_of_the_configuration_file_are_passed_to_pip, servers_that_cannot_be_prepared_are_reported_by_cause, next_start_removes_objects_of_killed_runs_only, named_engine_is_never_replaced_by_processes, emergency_cleanup_removes_everything),
    );
    // Started by other tests.
    let helpers = trials!(needs.python, async; helper_with_pip_settings, helper_with_an_index, helper_that_waits_to_be_killed, helper_with_a_named_engine, helper_with_an_emergency_cleanup);
    tests.extend(helpers.map(|test| test.with_ignored_flag(true)));
    tests
}

async fn open(bench: &Bench) -> Sandbox {
    Sandbox::open(bench.options(SandboxChoice::Process)).await.unwrap()
}

async fn server_runs_from_start_to_stop() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    assert_eq!((sandbox.kind(), sandbox.path()), (SandboxKind::Process, "loopback"));
    let prepared = sandbox.prepare(&bench.process_spec("wsgiref")).await.unwrap();
    assert!(prepared.versions["python"].starts_with('3'), "{:?}", prepared.versions);
    let log = bench.path("run/logs/one.log");
    let launch = sandbox.launch(&prepared, &log).await.unwrap();
    assert!(get(launch.address(), "/").ends_with("\r\n\r\nOK"));
    assert!(launch.is_alive() && launch.start_up().as_nanos() > 0);

    let before = launch.usage().unwrap();
    get(launch.address(), "/burn");
    let after = launch.usage().unwrap();
    assert!(
        after.cpu_total_seconds > before.cpu_total_seconds + 0.05,
        "{before:?} {after:?}"
    );
    assert!(after.memory_bytes > 1 << 20 && after.pids >= 1, "{after:?}");

    let pids = launch.pids();
    assert!(!pids.is_empty());
    if cfg!(target_os = "linux") {
        let status = read(format!("/proc/{}/status", pids[0]).as_ref());
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        let limits = read(format!("/proc/{}/limits", pids[0]).as_ref());
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let soft: u64 = line.split_ascii_whitespace().nth(3).unwrap().parse().unwrap();
        let clamped = format!("{:?}", sandbox.notices()).contains(&format!("to {soft}, the hard limit"));
        assert!(soft == prepared.spec.limits.descriptors || clamped, "{line}");
    }
    let output = launch
        .exec(&["python", "-c", "import os; print(os.environ['MARK'], os.getcwd())"])
        .await
        .unwrap();
    let wanted = format!(
        "on {} {}\n",
        launch.address().port(),
        bench.path("app").canonicalize().unwrap().display()
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
    assert_eq!(output.status, Some(0));

    let info = launch.stop().await.unwrap();
    assert_eq!((info.exit, info.oom_killed), (None, false));
    assert!(read(&log).contains("serving on port"));
    assert_gone(&pids);
    assert_eq!(
        std::fs::read_dir(bench.path("target/wsgibench/tmp")).unwrap().count(),
        0,
        "its folder is gone"
    );
    sandbox.close().await;
}

fn assert_gone(pids: &[u32]) {
    for pid in pids {
        // A zombie is dead and waits for its new parent to reap it.
        let stat = read(format!("/proc/{pid}/stat").as_ref());
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}

async fn dropped_launch_kills_children_in_other_sessions() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let mut spec = bench.process_spec("forks");
    // A child in a session of its own, like a daemonized server.
    let script = format!(
        "setsid sleep 300 & exec python {} {{port}}",
        bench.path("image/serve.py").display()
    );
    spec.command = vec!["sh".into(), "-c".into(), script];
    let prepared = sandbox.prepare(&spec).await.unwrap();
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    let pids = launch.pids();
    assert!(pids.len() >= 2, "{pids:?}");
    drop(launch);
    assert_gone(&pids);

    // Also when its start is cancelled.
    spec.command = vec!["sleep".into(), "300".into()];
    let prepared = sandbox.prepare(&spec).await.unwrap();
    let soon = std::time::Duration::from_millis(100);
    assert!(
        tokio::time::timeout(soon, sandbox.launch(&prepared, &bench.path("log")))
            .await
            .is_err()
    );
    let target = bench.path("target").display().to_string();
    assert_eq!(processes_with("WSGIBENCH_LAUNCH", &target), [] as [u32; 0]);
}

async fn external_kill_is_detected_and_reported() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let prepared = sandbox.prepare(&bench.process_spec("killed")).await.unwrap();
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    launch.signal(Signal::Kill).await.unwrap();
    eventually("it is seen to be dead", || !launch.is_alive()).await;
    assert_eq!(launch.stop().await.unwrap().exit, Some(128 + 9));
}

async fn failed_start_is_reported_with_the_servers_output() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let mut spec = bench.process_spec("dies");
    spec.command = [
        "python",
        "-c",
        "import sys; print('no such setting', file=sys.stderr); sys.exit(7)",
    ]
    .map(Into::into)
    .into();
    spec.port = free_port();
    let prepared = sandbox.prepare(&spec).await.unwrap();
    let error = sandbox.launch(&prepared, &bench.path("log")).await.err().unwrap();
    assert!(matches!(&error, LaunchError::Died { exit: Some(7), .. }), "{error}");
    assert!(error.to_string().contains("no such setting"), "{error}");

    let mut spec = bench.process_spec("mute");
    spec.command = [
        "python",
        "-c",
        "import time; print('thinking', flush=True); time.sleep(300)",
    ]
    .map(Into::into)
    .into();
    spec.port = free_port();
    spec.ready_within = std::time::Duration::from_secs(10);
    let prepared = sandbox.prepare(&spec).await.unwrap();
    let error = sandbox.launch(&prepared, &bench.path("log")).await.err().unwrap();
    assert!(
        matches!(error, LaunchError::NotReady { .. }) && error.to_string().contains("thinking"),
        "{error}"
    );
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

async fn occupied_fixed_port_is_reported() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = bench.process_spec("taken");
    spec.env.clear();
    spec.port = taken.local_addr().unwrap().port();
    spec.command = vec!["python".into(), "serve.py".into(), spec.port.to_string()];
    let prepared = sandbox.prepare(&spec).await.unwrap();
    let error = sandbox.launch(&prepared, &bench.path("log")).await.err().unwrap();
    assert!(error.to_string().contains("is not free"), "{error}");
}

/// Prepares a server whose requirements include a wheel, with the environment that the parent set.
async fn helper_with_pip_settings() {
    let bench = Bench::new();
    write_wheel(&bench.path("image/fixture-1.0-py3-none-any.whl"));
    bench.file("image/requirements.txt", "-r more/base.txt\n");
    bench.file("image/more/base.txt", "-c limits.txt\n./fixture-1.0-py3-none-any.whl\n");
    bench.file("image/more/limits.txt", "fixture<2\n");
    let sandbox = open(&bench).await;
    let spec = bench.process_spec("settings");
    let prepared = sandbox.prepare(&spec).await.unwrap();
    assert_eq!(prepared.versions["fixture"], "1.0");

    // Moved with its target folder, as by a CI cache: it is made again at the new place.
    std::fs::rename(bench.path("target"), bench.path("moved")).unwrap();
    let mut options = bench.options(SandboxChoice::Process);
    options.target_dir = bench.path("moved");
    let moved = Sandbox::open(options).await.unwrap().prepare(&spec).await.unwrap();
    let script = read(std::path::Path::new(&moved.image).join("bin/pip").as_ref());
    assert!(script.contains(&bench.path("moved").display().to_string()), "{script}");
    println!("PREPARED");
}

/// A package without code: a wheel is an archive with three files of metadata.
fn write_wheel(path: &std::path::Path) {
    let script = "import sys, zipfile\n\
        wheel = zipfile.ZipFile(sys.argv[1], 'w')\n\
        info = 'fixture-1.0.dist-info/'\n\
        wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: fixture\\nVersion: 1.0\\n')\n\
        wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
        wheel.writestr(info + 'RECORD', '')\n\
        wheel.close()\n";
    let status = std::process::Command::new("python3")
        .args(["-E", "-c", script])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

async fn user_settings_of_pip_and_python_do_not_affect_environments() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    let config = folder.path().join("pip.conf");
    std::fs::write(
        &config,
        format!("[global]\nuser = true\n[install]\nprefix = {}\n", elsewhere.display()),
    )
    .unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "process::helper_with_pip_settings",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("PIP_CONFIG_FILE", &config)
        .env("PIP_USER", "1")
        .env("PIP_TARGET", &elsewhere)
        .env("PYTHONHOME", "/nowhere")
        .env("PYTHONPATH", "/nowhere")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("PREPARED"), "{said}");
    assert!(!elsewhere.exists(), "nothing is installed outside the environment");
}

/// Prints the index that pip was called with.
async fn helper_with_an_index() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let mut spec = bench.process_spec("index");
    spec.source = Source::Requirements(vec!["wsgibench-no-such-package".into()]);
    let error = sandbox.prepare(&spec).await.unwrap_err();
    assert!(matches!(error, PrepareError::Failed(_)), "{error}");
    let venvs = std::fs::read_dir(bench.path("target/wsgibench/venvs")).unwrap();
    for log in venvs
        .filter_map(Result::ok)
        .filter(|file| file.path().extension().is_some_and(|end| end == "log"))
    {
        println!("{}", read(&log.path()));
    }
}

async fn index_settings_of_the_configuration_file_are_passed_to_pip() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("pip.conf");
    std::fs::write(
        &config,
        "[global]\nuser = true\nindex-url = http://127.0.0.1:9/simple\nretries = 0\n",
    )
    .unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["process::helper_with_an_index", "--exact", "--ignored", "--nocapture"]);
    for name in ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"] {
        command.env_remove(name);
    }
    let output = command.env("PIP_CONFIG_FILE", &config).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("http://127.0.0.1:9/simple"),
        "{said}"
    );
}

async fn servers_that_cannot_be_prepared_are_reported_by_cause() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let mut spec = bench.process_spec("missing");
    spec.source = Source::Requirements(vec!["/nowhere/none.whl".into()]);
    let Err(PrepareError::Failed(reason)) = sandbox.prepare(&spec).await else {
        panic!("a failed installation is a failure")
    };
    assert!(reason.contains("nowhere"), "{reason}");

    let spec = bench.process_spec("include");
    bench.file("image/requirements.txt", "-r none.txt\n");
    let Err(PrepareError::Failed(reason)) = sandbox.prepare(&spec).await else {
        panic!("a missing include is a failure")
    };
    assert!(
        reason.contains("requirements.txt:1: ") && reason.contains("none.txt"),
        "{reason}"
    );
    std::fs::remove_file(bench.path("image/requirements.txt")).unwrap();

    let mut spec = bench.process_spec("python");
    spec.python = Some("3.99".into());
    let Err(PrepareError::NotAvailable(reason)) = sandbox.prepare(&spec).await else {
        panic!("it is available")
    };
    assert!(reason.starts_with("python3.99 not found"), "{reason}");

    let mut spec = bench.process_spec("image");
    spec.source = Source::Image("python:3".into());
    assert!(matches!(
        sandbox.prepare(&spec).await,
        Err(PrepareError::NotAvailable(_))
    ));

    let mut spec = bench.process_spec("slip");
    spec.app = Some(bench.path("none"));
    let Err(PrepareError::Failed(reason)) = sandbox.prepare(&spec).await else {
        panic!("it was prepared")
    };
    assert!(
        reason.contains("application folder") && reason.contains("not found"),
        "{reason}"
    );
}

/// Launches a server, prints `READY`, and waits to be killed.
async fn helper_that_waits_to_be_killed() {
    let bench = Bench::new();
    let sandbox = Sandbox::open(of_helper(bench.options(SandboxChoice::Process)))
        .await
        .unwrap();
    let prepared = sandbox.prepare(&bench.process_spec("left")).await.unwrap();
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    println!("READY {:?}", launch.pids());
    std::thread::sleep(std::time::Duration::from_secs(120));
}

async fn next_start_removes_objects_of_killed_runs_only() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let prepared = sandbox.prepare(&bench.process_spec("alive")).await.unwrap();
    let alive = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();

    let mut helper = helper("process::helper_that_waits_to_be_killed", &bench);
    let folders = || std::fs::read_dir(bench.path("target/wsgibench/tmp")).unwrap().count();
    assert_eq!(folders(), 2);
    let mine = |name: &str| processes_with(name, &bench.path("target").display().to_string());
    let left = mine("WSGIBENCH_LAUNCH");
    assert_eq!(left.len(), 2, "{left:?}");
    helper.kill().unwrap();
    helper.wait().unwrap();

    let second = open(&bench).await;
    assert!(bench.said().contains("of killed runs"), "{}", bench.said());
    eventually("its server is gone", || mine("WSGIBENCH_LAUNCH").len() == 1).await;
    assert_eq!(folders(), 1);
    assert!(alive.is_alive() && get(alive.address(), "/").ends_with("OK"));
    second.close().await;
    alive.stop().await.unwrap();
}

/// Opens both sandboxes with the engine named by the parent, and prints the results.
async fn helper_with_a_named_engine() {
    let bench = Bench::new();
    for choice in [SandboxChoice::Auto, SandboxChoice::Docker] {
        match Sandbox::open(bench.options(choice)).await {
            Ok(sandbox) => println!("OPENED {choice:?} {:?} {}", sandbox.kind(), sandbox.reason()),
            Err(error) => println!("ERROR {choice:?} {error}"),
        }
    }
}

fn with_engine(variables: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([
        "process::helper_with_a_named_engine",
        "--exact",
        "--ignored",
        "--nocapture",
    ]);
    for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

async fn named_engine_is_never_replaced_by_processes() {
    for (variables, wanted) in [
        (
            &[("DOCKER_HOST", "unix:///nowhere/docker.sock")][..],
            "no container engine answers",
        ),
        (&[("DOCKER_HOST", "ssh://me@box")], "ssh is not supported"),
        (&[("DOCKER_CONTEXT", "no-such-context")], "`no-such-context`"),
        (
            &[
                ("DOCKER_HOST", "tcp://127.0.0.1:9"),
                ("DOCKER_TLS_VERIFY", "1"),
                ("DOCKER_CONFIG", "/nowhere"),
            ],
            "/nowhere/ca.pem was not found",
        ),
    ] {
        let said = with_engine(variables);
        for choice in ["ERROR Auto", "ERROR Docker"] {
            let line = said.lines().find(|line| line.contains(choice));
            let line = line.unwrap_or_else(|| panic!("{variables:?}: {said}"));
            assert!(line.contains(wanted) && line.contains("--sandbox process"), "{line}");
        }
    }
}

/// Launches a server, and runs the emergency cleanup on request.
async fn helper_with_an_emergency_cleanup() {
    let bench = Bench::new();
    let sandbox = Sandbox::open(of_helper(bench.options(SandboxChoice::Process)))
        .await
        .unwrap();
    let prepared = sandbox.prepare(&bench.process_spec("left")).await.unwrap();
    let _launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    println!("READY");
    let told = std::thread::spawn(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        Sandbox::emergency_cleanup();
        std::process::exit(130);
    });
    told.join().unwrap();
}

async fn emergency_cleanup_removes_everything() {
    let bench = Bench::new();
    let mut helper = helper("process::helper_with_an_emergency_cleanup", &bench);
    let target = bench.path("target").display().to_string();
    assert_eq!(processes_with("WSGIBENCH_LAUNCH", &target).len(), 1);
    drop(helper.stdin.take());
    assert_eq!(helper.wait().unwrap().code(), Some(130));
    assert_eq!(processes_with("WSGIBENCH_LAUNCH", &target), [] as [u32; 0]);
    assert_eq!(
        std::fs::read_dir(bench.path("target/wsgibench/tmp")).unwrap().count(),
        0,
        "its folder is gone"
    );
}

/// Returns the processes whose environment has a variable with `text` in its value.
fn processes_with(variable: &str, text: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        environ
            .split('\0')
            .any(|entry| entry.starts_with(variable) && entry.contains(text))
    })
    .collect()
}

async fn gunicorn_is_installed_from_the_index_once() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let spec = gunicorn_spec(&bench);
    let prepared = sandbox.prepare(&spec).await.unwrap();
    assert_eq!(prepared.versions["gunicorn"], "27.0.1");
    sandbox.prepare(&spec).await.unwrap();
    assert_eq!(bench.said().matches("making its virtual environment").count(), 1);
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    assert!(get(launch.address(), "/").ends_with("OK"));
    // It responds as soon as its first worker does.
    eventually("a master and two workers run", || launch.pids().len() == 3).await;
    let pids = launch.pids();
    launch.stop().await.unwrap();
    assert_gone(&pids);
}
