//! The docker sandbox, with a real engine. Without one the tests are ignored; `WSGIBENCH_REQUIRE_DOCKER=1` makes them fail.

use std::{collections::HashMap, time::Duration};

use bollard::query_parameters::{
    InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveImageOptionsBuilder,
};
use libtest_mimic::Trial;
use wsgibench_harness::{
    __private::engine_usage,
    declare::{Source, server::Companion},
    sandbox::{Launch, LaunchError, PrepareError, Sandbox, SandboxChoice, SandboxKind, Signal},
};

use crate::{
    Needs,
    needs::trials,
    support::{Bench, eventually, get, gunicorn_spec, helper, of_helper, read},
};

/// Returns the tests of this file.
pub(crate) fn trials(needs: &Needs) -> Vec<Trial> {
    let mut tests = Vec::from(
        trials!(needs.engine.clone().and(needs.index.clone()), async; requirement_lines_are_enough_for_an_image),
    );
    tests.extend(
        trials!(needs.engine, async; servers_with_the_same_folder_share_an_image, server_runs_from_start_to_stop, restarted_server_keeps_its_address, container_is_confined_and_limited, failed_start_is_reported_and_removes_the_container, failed_build_shows_the_output_of_the_failing_step, tag_depends_on_content_and_old_images_are_pruned, external_kill_is_detected_and_reported, published_port_is_used_if_requested, companion_starts_first_and_is_found_by_name, container_is_removed_on_drop_cancellation_and_panic, next_start_removes_objects_of_killed_runs_only, emergency_cleanup_removes_everything, engine_and_control_group_report_the_same_usage),
    );
    // Started by other tests, or takes a minute, root and the network.
    let ignored = trials!(needs.engine, async; helper_that_ends_badly, base_image_is_made_from_debian_packages_without_a_registry);
    tests.extend(ignored.map(|test| test.with_ignored_flag(true)));
    tests
}

async fn open(bench: &Bench) -> Sandbox {
    Sandbox::open(bench.options(SandboxChoice::Docker)).await.unwrap()
}

/// Containers and networks of a test's run.
async fn left_of(run_id: &str) -> Vec<String> {
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let filters = HashMap::from([("label", vec![format!("wsgibench.run={run_id}")])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await.unwrap();
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.unwrap();
    let containers = containers.into_iter().filter_map(|container| container.id);
    containers
        .chain(networks.into_iter().filter_map(|network| network.name))
        .collect()
}

/// Removes an image. For images of which no other test has an equal one: equal images have one name.
async fn remove_image(image: &str) {
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let options = RemoveImageOptionsBuilder::new().force(true).build();
    docker.remove_image(image, Some(options), None).await.unwrap();
}

async fn launch(sandbox: &Sandbox, bench: &Bench) -> Launch {
    let prepared = sandbox.prepare(&bench.container_spec("fixture")).await.unwrap();
    sandbox.launch(&prepared, &bench.path("log")).await.unwrap()
}

/// Returns the output of a command in the server's container.
async fn printed(launch: &Launch, command: &str) -> String {
    let output = launch.exec(&["sh", "-c", command]).await.unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

async fn servers_with_the_same_folder_share_an_image() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    bench.file("app/marker.txt", &bench.run_id);
    let specs = ["one", "two", "three"].map(|name| bench.container_spec(name));
    let specs: Vec<_> = specs.iter().collect();
    let prepared = sandbox.prepare_all(&specs, |_| true).await;
    let images: Vec<String> = prepared
        .into_iter()
        .map(|prepared| prepared.unwrap().unwrap().image)
        .collect();
    assert!(images.iter().all(|image| *image == images[0]), "{images:?}");
    let said = bench.said.lock().unwrap().join("\n");
    assert_eq!(said.matches("building its image").count(), 1, "{said}");
    remove_image(&images[0]).await;
}

async fn server_runs_from_start_to_stop() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    assert_eq!(sandbox.kind(), SandboxKind::Docker);
    let prepared = sandbox.prepare(&bench.container_spec("fixture")).await.unwrap();
    assert!(prepared.versions["python"].starts_with('3'), "{:?}", prepared.versions);
    assert!(prepared.bytes > Some(1 << 20) && prepared.digest.is_some());
    let log = bench.path("run/logs/one.log");
    let launch = sandbox.launch(&prepared, &log).await.unwrap();
    println!("started in {:?} at {}", launch.start_up(), launch.address());
    assert!(get(launch.address(), "/").ends_with("\r\n\r\nOK"));
    assert!(launch.is_alive());

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
    assert_eq!(left_of(&bench.run_id).await, [] as [String; 0]);
}

async fn restarted_server_keeps_its_address() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let launch = launch(&sandbox, &bench).await;
    let before = launch.pids();
    launch.restart().await.unwrap();
    eventually("it accepts connections again", || {
        std::net::TcpStream::connect(launch.address()).is_ok()
    })
    .await;
    assert!(get(launch.address(), "/").ends_with("\r\n\r\nOK"));
    let after = launch.pids();
    assert!(
        !after.is_empty() && after.iter().all(|pid| !before.contains(pid)),
        "{before:?} {after:?}"
    );
    assert!(launch.is_alive() && launch.usage().is_ok());
    launch.stop().await.unwrap();
    sandbox.close().await;
    assert_eq!(left_of(&bench.run_id).await, [] as [String; 0]);
}

async fn container_is_confined_and_limited() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let mut spec = bench.container_spec("fixture");
    spec.tmpfs = vec!["/scratch".into()];
    // More than most engines grant.
    spec.limits.descriptors = 1 << 40;
    spec.limits.pids = 77;
    let prepared = sandbox.prepare(&spec).await.unwrap();
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();

    let status = printed(&launch, "cat /proc/1/status").await;
    for line in [
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Uid:\t65534",
        "Cpus_allowed_list:\t0\n",
    ] {
        assert!(status.contains(line), "{line:?} is not in {status}");
    }
    assert!(printed(&launch, "touch /here").await.contains("Read-only file system"));
    assert_eq!(
        printed(
            &launch,
            "touch /tmp/a /dev/shm/b /scratch/c && cat /app/marker.txt; echo $MARK"
        )
        .await,
        "hereon 8000\n"
    );
    assert_eq!(
        printed(&launch, "cat /proc/sys/net/core/somaxconn").await.trim(),
        spec.limits.backlog.to_string()
    );
    // Its network has no route to the outside.
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let networks = left_of(&bench.run_id).await;
    let network = networks.iter().find(|name| name.starts_with("wsgibench-")).unwrap();
    let network = docker
        .inspect_network(network, None::<InspectNetworkOptions>)
        .await
        .unwrap();
    assert_eq!(network.internal, Some(true));
    let descriptors: u64 = printed(&launch, "ulimit -n").await.trim().parse().unwrap();
    assert!(descriptors >= 1024, "{descriptors}");
    let notices = format!("{:?}", sandbox.notices());
    assert!(
        notices.contains(&format!("to {descriptors}, the engine's own limit")),
        "{notices}"
    );

    // Above its memory limit: a quarter of a gigabyte.
    get(launch.address(), "/eat");
    eventually("its memory limit ends it", || !launch.is_alive()).await;
    let info = launch.stop().await.unwrap();
    assert!(info.oom_killed, "{info:?}");
    assert_eq!(info.exit, Some(128 + 9));
    sandbox.close().await;
}

async fn failed_start_is_reported_and_removes_the_container() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let try_command = async |command: &[&str], within: u64| {
        let mut spec = bench.container_spec("fixture");
        spec.command = command.iter().map(|word| (*word).to_owned()).collect();
        spec.ready_within = Duration::from_secs(within);
        let prepared = Box::pin(sandbox.prepare(&spec)).await.unwrap();
        let log = bench.path("log");
        Box::pin(sandbox.launch(&prepared, &log)).await.err().unwrap()
    };
    let error = try_command(&["no-such-program"], 60).await;
    assert!(
        matches!(error, LaunchError::NotStarted { .. }) && error.to_string().contains("no-such-program"),
        "{error}"
    );

    let error = try_command(&["sh", "-c", "echo no such setting >&2; exit 7"], 60).await;
    assert!(matches!(error, LaunchError::Died { exit: Some(7), .. }), "{error}");
    assert!(error.to_string().contains("no such setting"), "{error}");
    assert!(read(&bench.path("log")).contains("no such setting"));

    let error = try_command(&["sh", "-c", "echo thinking; sleep 300"], 10).await;
    assert!(
        matches!(error, LaunchError::NotReady { .. }) && error.to_string().contains("thinking"),
        "{error}"
    );
    sandbox.close().await;
    assert_eq!(left_of(&bench.run_id).await, [] as [String; 0]);
}

async fn failed_build_shows_the_output_of_the_failing_step() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let dockerfile = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo all is well\nRUN echo the reason is here; exit 9\n";
    bench.file("image/Dockerfile", dockerfile);
    let Err(PrepareError::Failed(text)) = sandbox.prepare(&bench.container_spec("broken")).await else {
        panic!("it builds")
    };
    assert!(
        text.contains("`broken`") && text.contains("exit 9") && text.contains("\n    the reason is here"),
        "{text}"
    );
    assert!(!text.contains("all is well"), "{text}");

    std::fs::remove_file(bench.path("image/Dockerfile")).unwrap();
    let Err(PrepareError::Failed(text)) = sandbox.prepare(&bench.container_spec("broken")).await else {
        panic!("it builds")
    };
    assert!(text.contains("has no Dockerfile"), "{text}");
}

async fn tag_depends_on_content_and_old_images_are_pruned() {
    let bench = Bench::new();
    let first = open(&bench).await;
    // A repository of this test's own.
    let name = format!("gen-{}", bench.run_id);
    std::fs::rename(bench.path("image"), bench.path(&name)).unwrap();
    let mut spec = bench.container_spec("generations");
    spec.source = Source::Folder(bench.path(&name));
    let mut images = Vec::new();
    for generation in 0..5 {
        // Content of this test run alone: an image built from the builder's cache has the date of its first build.
        bench.file("app/marker.txt", &format!("{generation} {}", bench.run_id));
        // A new run each time: the images of a run are in use and kept.
        let sandbox = open(&bench).await;
        let image = sandbox.prepare(&spec).await.unwrap().image;
        assert_eq!(
            image,
            sandbox.prepare(&spec).await.unwrap().image,
            "the same content, the same image"
        );
        images.push(image);
        // Generations are distinguished by their dates, in seconds.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    images.dedup();
    assert_eq!(images.len(), 5);
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let mut kept = Vec::new();
    for image in &images {
        kept.push(docker.inspect_image(image).await.is_ok());
    }
    assert_eq!(kept, [false, false, true, true, true]);
    for image in &images[2..] {
        remove_image(image).await;
    }
    first.close().await;
}

async fn external_kill_is_detected_and_reported() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let launch = launch(&sandbox, &bench).await;
    launch.signal(Signal::Kill).await.unwrap();
    eventually("it is seen to be dead", || !launch.is_alive()).await;
    assert_eq!(launch.stop().await.unwrap().exit, Some(128 + 9));
}

async fn published_port_is_used_if_requested() {
    let bench = Bench::new();
    let mut options = bench.options(SandboxChoice::Docker);
    options.published_port = true;
    let sandbox = Sandbox::open(options).await.unwrap();
    assert_eq!(sandbox.path(), "published port");
    let launch = launch(&sandbox, &bench).await;
    assert!(launch.address().ip().is_loopback() && get(launch.address(), "/").ends_with("OK"));
    assert!(format!("{:?}", sandbox.notices()).contains("suspect"));
    launch.stop().await.unwrap();
}

async fn companion_starts_first_and_is_found_by_name() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    // The companion uses an existing image, the fixture's.
    let image = sandbox.prepare(&bench.container_spec("fixture")).await.unwrap().image;
    let mut spec = bench.container_spec("with-companion");
    let companion = |name: &str, port: u16| {
        Companion::image(name, image.clone())
            .command(["python3", "/serve.py", "{port}"])
            .port(port)
    };
    spec.companions = vec![companion("store", 9001), companion("cache", 9002).confined()];
    let prepared = sandbox.prepare(&spec).await.unwrap();
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    let script =
        "import urllib.request as r; print([r.urlopen(u).read() for u in ('http://store:9001', 'http://cache:9002')])";
    let output = launch.exec(&["python3", "-c", script]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[b'OK', b'OK']\n");
    assert_eq!(left_of(&bench.run_id).await.len(), 4);
    // The first has its image's own settings, the second is confined like the server.
    let touch = ["sh", "-c", "touch /here /tmp/here; grep CapEff /proc/self/status"];
    let free = launch.exec_in("store", &touch).await.unwrap();
    let shut_in = launch.exec_in("cache", &touch).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&free.stderr), "");
    let error = String::from_utf8_lossy(&shut_in.stderr).into_owned();
    assert!(
        error.contains("/here': Read-only") && !error.contains("/tmp"),
        "{error}"
    );
    assert_eq!(shut_in.stdout, b"CapEff:\t0000000000000000\n");
    // Each has its own usage, and accepts commands.
    let used = || -> Vec<(String, f64)> {
        let all = launch.companion_usage().into_iter();
        all.map(|(name, usage)| (name, usage.cpu_total_seconds)).collect()
    };
    let before = (used(), launch.usage().unwrap().cpu_total_seconds);
    let burn = launch.exec_in("cache", &["python3", "-c", "sum(range(20_000_000)); print('done')"]);
    assert_eq!(burn.await.unwrap().stdout, b"done\n");
    let after = (used(), launch.usage().unwrap().cpu_total_seconds);
    let names: Vec<&str> = after.0.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["store", "cache"]);
    assert!(after.0[1].1 > before.0[1].1 + 0.05, "{before:?} {after:?}");
    assert!(
        after.0[0].1 < before.0[0].1 + 0.05 && after.1 < before.1 + 0.05,
        "{before:?} {after:?}"
    );
    let error = launch.exec_in("db", &["true"]).await.unwrap_err().to_string();
    assert!(
        error.contains("companion `db` not found; the server has store, cache"),
        "{error}"
    );
    launch.stop().await.unwrap();

    spec.companions[1].port = 9999;
    spec.companions[1].command = vec!["false".into()];
    let prepared = sandbox.prepare(&spec).await.unwrap();
    let error = sandbox.launch(&prepared, &bench.path("log")).await.err().unwrap();
    assert!(
        error.to_string().contains("companion `cache` failed to start"),
        "{error}"
    );
    sandbox.close().await;
    assert_eq!(left_of(&bench.run_id).await, [] as [String; 0]);
}

async fn container_is_removed_on_drop_cancellation_and_panic() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let prepared = sandbox.prepare(&bench.container_spec("fixture")).await.unwrap();
    let log = bench.path("log");
    drop(sandbox.launch(&prepared, &log).await.unwrap());
    assert!(read(&log).contains("serving on port"), "what it printed is kept");
    assert_eq!(left_of(&bench.run_id).await.len(), 1, "the network alone");

    // Cancelled at several points of its start.
    for after in [1, 20, 60, 150, 300] {
        let _ = tokio::time::timeout(Duration::from_millis(after), sandbox.launch(&prepared, &log)).await;
        assert_eq!(left_of(&bench.run_id).await.len(), 1, "cancelled after {after} ms");
    }

    let other = Bench::new();
    let options = other.options(SandboxChoice::Docker);
    let spec = other.container_spec("fixture");
    let outcome = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let sandbox = runtime.block_on(Sandbox::open(options)).unwrap();
        let prepared = runtime.block_on(sandbox.prepare(&spec)).unwrap();
        // Unwound outside of the runtime, where testcontainers alone would panic again and abort.
        let _launch = runtime
            .block_on(sandbox.launch(&prepared, "/dev/null".as_ref()))
            .unwrap();
        panic!("meant");
    })
    .join();
    assert!(outcome.is_err());
    assert_eq!(left_of(&other.run_id).await, [] as [String; 0]);
}

/// Launches a server and waits to be killed or to run the emergency cleanup.
/// Ignored: started by other tests.
async fn helper_that_ends_badly() {
    let bench = Bench::new();
    let sandbox = Sandbox::open(of_helper(bench.options(SandboxChoice::Docker)))
        .await
        .unwrap();
    let launch = launch(&sandbox, &bench).await;
    println!("READY {}", launch.address());
    let told = std::thread::spawn(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        Sandbox::emergency_cleanup();
        std::process::exit(130);
    });
    told.join().unwrap();
}

async fn next_start_removes_objects_of_killed_runs_only() {
    let (bench, dead) = (Bench::new(), Bench::new());
    let sandbox = open(&bench).await;
    let alive = launch(&sandbox, &bench).await;
    let mut helper = helper("docker::helper_that_ends_badly", &dead);
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert_eq!(left_of(&dead.run_id).await.len(), 2, "a container and a network");

    let next = Bench::new();
    let second = open(&next).await;
    assert_eq!(left_of(&dead.run_id).await, [] as [String; 0], "{}", next.said());
    assert!(alive.is_alive() && get(alive.address(), "/").ends_with("OK"));
    second.close().await;
    alive.stop().await.unwrap();
}

async fn emergency_cleanup_removes_everything() {
    let theirs = Bench::new();
    let mut helper = helper("docker::helper_that_ends_badly", &theirs);
    assert_eq!(left_of(&theirs.run_id).await.len(), 2);
    drop(helper.stdin.take());
    assert_eq!(helper.wait().unwrap().code(), Some(130));
    assert_eq!(left_of(&theirs.run_id).await, [] as [String; 0]);
}

/// Makes a base image if none can be pulled; needs a minute, 300 MB of downloads, and root.
/// Ignored: takes a minute, root and the network.
async fn base_image_is_made_from_debian_packages_without_a_registry() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let mut spec = bench.container_spec("trixie");
    spec.python = Some("3.13".into());
    let prepared = sandbox.prepare(&spec).await.unwrap();
    println!("{}", bench.said());
    assert!(
        prepared.versions["python"].starts_with("3.13"),
        "{:?}",
        prepared.versions
    );
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    assert!(get(launch.address(), "/").ends_with("OK"));
    launch.stop().await.unwrap();
    remove_image(&prepared.image).await;
}

async fn engine_and_control_group_report_the_same_usage() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let prepared = sandbox.prepare(&bench.container_spec("stats")).await.unwrap();
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    get(launch.address(), "/burn");
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let filters = HashMap::from([("label", vec![format!("wsgibench.run={}", bench.run_id)])]);
    let options = ListContainersOptionsBuilder::new().filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await.unwrap();
    let id = containers[0].id.clone().unwrap();
    // It is idle now.
    let (told, read) = (engine_usage(&id).await.unwrap(), launch.usage().unwrap());
    assert!(
        told.cpu_total_seconds > 0.0 && told.memory_bytes > 1 << 20 && told.pids >= 1,
        "{told:?}"
    );
    assert!(
        (told.cpu_total_seconds - read.cpu_total_seconds).abs() < 0.1,
        "{told:?} {read:?}"
    );
    assert!(
        told.memory_bytes.abs_diff(read.memory_bytes) < 4 << 20,
        "{told:?} {read:?}"
    );
    launch.stop().await.unwrap();
    assert!(engine_usage(&id).await.is_err());
}

async fn requirement_lines_are_enough_for_an_image() {
    let bench = Bench::new();
    let sandbox = open(&bench).await;
    let prepared = sandbox.prepare(&gunicorn_spec(&bench)).await.unwrap();
    assert_eq!(prepared.versions["gunicorn"], "27.0.1");
    let launch = sandbox.launch(&prepared, &bench.path("log")).await.unwrap();
    assert!(get(launch.address(), "/").ends_with("OK"));
    // It responds as soon as its first worker does; in a virtual machine its workers are not visible.
    eventually("a master and two workers run", || matches!(launch.pids().len(), 0 | 3)).await;
    launch.stop().await.unwrap();
    remove_image(&prepared.image).await;
}
