//! Checks of single values that their functions return.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use super::{Limits, Profile, Server, Source, Work, python, server::Companion};
use crate::load::{Load, LoadPlan, Model, Target};

/// Smallest memory limit that a container engine accepts, bytes.
const LEAST_MEMORY: u64 = 6 << 20;

/// What is wrong with limits.
pub(crate) fn limits(limits: &Limits) -> Vec<String> {
    let mut problems = Vec::new();
    if limits.cpus == 0 {
        problems.push("`cpus` is 0; a server needs at least 1".to_owned());
    }
    if limits
        .cpu_quota
        .is_some_and(|quota| !(quota.is_finite() && quota >= 0.01))
    {
        problems.push("`cpu_quota` must be at least 0.01 cores".to_owned());
    }
    if limits.memory < LEAST_MEMORY {
        problems.push(format!(
            "`memory` is {} bytes; the least is {LEAST_MEMORY} (6 MiB)",
            limits.memory
        ));
    }
    for (name, value) in [
        ("descriptors", limits.descriptors),
        ("backlog", limits.backlog.into()),
        ("pids", limits.pids.into()),
    ] {
        if value == 0 {
            problems.push(format!("`{name}` is 0"));
        }
    }
    problems
}

/// Signals by which servers reload.
const RELOADS: [&str; 3] = ["SIGHUP", "SIGUSR1", "SIGUSR2"];

/// What is wrong with a server.
pub(crate) fn server(server: &Server, manifest_dir: &Path) -> Vec<String> {
    let mut problems = limits(&server.limits);
    if server.port == 0 {
        problems.push("its port is 0; say where it listens with `.port(8000)`".into());
    }
    if !server.ready_path.starts_with('/') {
        problems.push(format!(
            "its readiness path `{}` does not begin with `/`",
            server.ready_path
        ));
    }
    if server.ready_within.is_zero() {
        problems.push("it is given no time to become ready".into());
    }
    if let Some(signal) = &server.reload
        && !RELOADS.contains(&signal.as_str())
    {
        problems.push(format!(
            "it reloads on `{signal}`; choose one of {}",
            RELOADS.join(", ")
        ));
    }
    if let Some(version) = &server.python {
        problems.extend(python::find(version).err());
        if let Source::Image(_) | Source::Running(_) = server.source {
            problems.push(format!(
                "it asks for Python {version}, and nothing is built for it that could be given one; leave out `.python_version(...)`"
            ));
        }
    }
    for (index, companion) in server.companions.iter().enumerate() {
        problems.extend(check_companion(companion, &server.companions[..index]));
        problems.extend(folder_as_image(manifest_dir, &companion.source).map(|folder| {
            let name = &companion.name;
            format!("`Companion::image(\"{name}\", \"{folder}\")` names a folder of this crate; write `Companion::dockerfile(\"{name}\", \"{folder}\")`")
        }));
    }
    problems.extend(folder_as_image(manifest_dir, &server.source).map(|folder| {
        format!("`Server::image(\"{folder}\")` names a folder of this crate; write `Server::dockerfile(\"{folder}\")`")
    }));
    match &server.source {
        Source::Requirements(lines) if lines.is_empty() => {
            problems.push("it has no requirement lines, e.g. `Server::python([\"gunicorn==27.0.1\"])`".into());
        }
        Source::Image(name) if name.trim().is_empty() => problems.push("its image has no name".into()),
        Source::Running(address) if !is_address(address) => {
            problems.push(format!(
                "`{address}` is no address; write `host:port`, e.g. `127.0.0.1:8000`"
            ));
        }
        _ => {}
    }
    problems
}

/// The image reference, where it is the path of an existing folder: the caller meant `dockerfile`.
fn folder_as_image<'a>(manifest_dir: &Path, source: &'a Source) -> Option<&'a str> {
    match source {
        Source::Image(name) if !name.trim().is_empty() && manifest_dir.join(name).is_dir() => Some(name),
        _ => None,
    }
}

/// Returns the problems of one companion, given those declared before it.
fn check_companion(companion: &Companion, before: &[Companion]) -> Vec<String> {
    let mut problems = Vec::new();
    let name = &companion.name;
    let is_host =
        |name: &str| !name.is_empty() && name.len() < 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !is_host(name) {
        problems.push(format!(
            "its companion `{name}` has a name that no host can have; use letters, digits and `-`"
        ));
    }
    if before.iter().any(|other| other.name == *name) {
        problems.push(format!("it has two companions called `{name}`"));
    }
    if companion.port == 0 {
        problems.push(format!(
            "its companion `{name}` has no port; say where it listens, e.g. `Companion::image(\"{name}\", \"redis:8\").port(6379)`"
        ));
    }
    if let Source::Running(address) = &companion.source {
        problems.push(format!(
            "its companion `{name}` runs already at {address}: a companion is started by the harness"
        ));
    }
    problems
}

pub(crate) fn is_address(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// What is wrong with a profile.
pub(crate) fn profile(profile: &Profile) -> Vec<String> {
    let mut problems = Vec::new();
    if profile.name.trim().is_empty() {
        problems.push("it has no name".into());
    }
    for (name, value) in [("launches", profile.launches), ("rounds", profile.rounds)] {
        if value == 0 {
            problems.push(format!("`{name}` is 0; the least is 1"));
        }
    }
    if profile.measurement_time.is_zero() {
        problems.push("`measurement_time` is 0".into());
    }
    if profile
        .statistics_interval
        .is_some_and(|every| every < std::time::Duration::from_secs(1))
    {
        problems.push("`statistics_interval` must be at least a second, e.g. \"10s\"".into());
    }
    for pattern in &profile.cases {
        if let Err(error) = regex::Regex::new(pattern) {
            problems.push(format!("`{pattern}` in `cases` is no regular expression: {error}"));
        }
    }
    if let Some(these) = &profile.limits {
        problems.extend(limits(these).into_iter().map(|problem| format!("limits: {problem}")));
    }
    problems
}

/// What is wrong with the work of a parameter set.
pub(crate) fn work(work: &Work) -> Vec<String> {
    match work {
        Work::Load(load) => {
            let mut problems = engine(load);
            if load.requests.is_empty() {
                problems.push("its load asks for nothing; add a request, e.g. `.get(\"/\")`".into());
            } else if load.requests.iter().all(|request| request.weight == 0) {
                problems.push("all requests of its mix have weight 0".into());
            }
            if load.of_capacity && !matches!(load.model, Model::Open { .. }) {
                problems.push(
                    "only the rates of an open load can be shares of a capacity; begin with Load::rate, poisson, ramp or stages".into(),
                );
            }
            problems.extend(faults(load));
            problems
        }
        Work::Script { load, .. } => {
            let mut problems = engine(load);
            if !load.requests.is_empty() {
                problems.push(
                    "its `load` has requests, and what a scripted user asks stands in the script; leave them out"
                        .into(),
                );
            }
            if load.of_capacity {
                problems.push("the rates of a script cannot be shares of a capacity, which is found with declared requests; say requests per second".into());
            }
            problems.extend(faults(load));
            if load.idle_connections > 0 {
                problems.push(
                    "idle connections are held beside a declared load only; leave out `.idle_connections(n)`".into(),
                );
            }
            problems
        }
    }
}

/// What is wrong with what is done to the server: a fault needs time before it and after it.
fn faults(load: &Load) -> Option<String> {
    let last = load.faults.iter().map(|fault| fault.after).max()?;
    match load.own_length() {
        None => Some(format!(
            "it does something to the server after {last:?} and does not say how long a round lasts; add `.duration(...)`"
        )),
        Some(length) if length <= last => Some(format!(
            "it does something to the server after {last:?}, and a round lasts {length:?}; say `.duration(...)` with more"
        )),
        Some(_) => None,
    }
}

/// What the load engine has against a load on any machine.
fn engine(load: &Load) -> Vec<String> {
    // Nobody is asked at this address: only the load is looked at.
    let target = Target {
        address: (Ipv4Addr::LOCALHOST, 80).into(),
        host: "localhost".into(),
    };
    let plan = LoadPlan::new(target, load.clone());
    let mut problems: Vec<String> = plan.validate().err().iter().map(ToString::to_string).collect();
    if load.own_length() == Some(Duration::ZERO) {
        problems.push("it fixes a round of 0 s".into());
    } else if let (
        Model::Users {
            every, arriving_for, ..
        },
        None,
    ) = (&load.model, load.measurement_time)
        && arriving_for < every
    {
        problems.push(format!(
            "its users come for {arriving_for:?}, and a round lasts no longer; say `.duration(...)`"
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::{limits, profile, server, work};
    use crate::{
        declare::{Limits, Profile, Server, Source, Work, server::Companion},
        load::{Fault, Load, Stage, script::script},
    };

    fn about_script(load: Load) -> String {
        let script = script(|_| Box::pin(async { Ok(()) }));
        work(&Work::Script { load, script }).join("\n")
    }

    fn about(load: Load) -> String {
        work(&Work::Load(load)).join("\n")
    }

    fn problems(declared: &Server) -> Vec<String> {
        server(declared, Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    #[test]
    fn an_image_that_is_a_folder_of_the_crate_is_refused() {
        let told = problems(&Server::image("src")).join("");
        assert!(told.contains("write `Server::dockerfile(\"src\")`"), "{told}");
        let companion = Server::image("x:1").with_companion(Companion::image("db", "src").port(1));
        let told = problems(&companion).join("");
        assert!(
            told.contains("write `Companion::dockerfile(\"db\", \"src\")`"),
            "{told}"
        );
        assert!(problems(&Server::image("shop/src:1")).is_empty());
    }

    #[test]
    fn what_is_usual_passes() {
        assert!(limits(&Limits::default()).is_empty());
        assert!(problems(&Server::dockerfile("images/x")).is_empty());
        assert!(problems(&Server::running("[::1]:8000")).is_empty());
        assert!(profile(&Profile::default()).is_empty() && profile(&Profile::quick()).is_empty());
        for load in [
            Load::closed(1),
            Load::rate(10),
            Load::ramp(0..=10, Duration::from_secs(1)),
            Load::users(1),
        ] {
            assert_eq!(about(load.get("/")), "");
        }
    }

    #[test]
    fn a_script_has_a_load_without_requests() {
        for load in [Load::closed(3), Load::poisson(10), Load::users(1)] {
            assert_eq!(about_script(load), "");
        }
        assert!(about_script(Load::closed(1).get("/")).contains("stands in the script"));
        assert!(about_script(Load::closed(1).idle_connections(2)).contains("idle connections"));
        assert!(about_script(Load::closed(0)).contains("0 connections"));
    }

    #[test]
    fn each_mistake_is_told() {
        assert!(about(Load::closed(64)).contains(".get("));
        assert!(about(Load::closed(0).get("/")).contains("0 connections"));
        assert!(about(Load::rate(0).get("/")).contains("no arrivals"));
        assert!(about(Load::rate(f64::NAN).get("/")).contains("a rate must be"));
        assert!(about(Load::rate(1).max_connections(0).get("/")).contains("max_connections"));
        let open_ended = [Stage::constant(1.0, None), Stage::constant(2.0, None)];
        assert!(about(Load::stages(open_ended).get("/")).contains("only the last stage"));
        assert!(about(Load::users(1).every(Duration::ZERO).get("/")).contains("time between arrivals above 0"));
        assert!(about(Load::users(1).requests_per_user(0).get("/")).contains("0 requests"));
        let at_once = Load::users(1).arriving_for(Duration::from_millis(1)).get("/");
        assert!(about(at_once.clone()).contains("say `.duration(...)`"));
        assert_eq!(about(at_once.duration(Duration::from_secs(1))), "");
        assert!(about(Load::users(1).arriving_for(Duration::ZERO).get("/")).contains("a round of 0 s"));
        assert!(about(Load::closed(1).timeout(Duration::ZERO).get("/")).contains("timeout"));
        assert!(about(Load::closed(1).of_capacity().get("/")).contains("only the rates of an open load"));
        let killed = Load::closed(1).get("/").fault(Fault::kill_worker());
        assert!(about(killed.clone()).contains("how long a round lasts"));
        assert!(about(killed.clone().duration(Duration::from_secs(2))).contains("with more"));
        assert_eq!(about(killed.duration(Duration::from_secs(9))), "");
        assert!(
            problems(&Server::dockerfile("x").reloads_on("HUP"))
                .join("")
                .contains("SIGHUP")
        );
        let told = problems(&Server::dockerfile("x").python_version("3.91")).join("");
        assert!(
            told.contains("`3.91` is no Python") && told.contains("did you mean `3.9`?"),
            "{told}"
        );
        let told = problems(&Server::image("x").python_version("3.9")).join("");
        assert!(told.contains("leave out `.python_version(...)`"), "{told}");
        assert!(problems(&Server::running("somewhere")).join("").contains("host:port"));
        assert!(
            problems(&Server::python(Vec::<String>::new()))
                .join("")
                .contains("requirement")
        );
        assert!(problems(&Server::dockerfile("x").port(0)).join("").contains("port"));
        let companions = Server::dockerfile("x")
            .with_companion(Companion::image("db", "postgres:17").port(5432))
            .with_companion(Companion::image("db", "redis:8"))
            .with_companion(Companion::new("a b", Source::Running("h:1".into())).port(1));
        let told = problems(&companions).join("\n");
        for text in [
            "two companions called `db`",
            "`db` has no port",
            "no host can have",
            "runs already at h:1",
        ] {
            assert!(told.contains(text), "{text}: {told}");
        }
        let none = Limits {
            cpus: 0,
            memory: 1,
            descriptors: 0,
            cpu_quota: Some(0.0),
            ..Limits::default()
        };
        assert_eq!(limits(&none).len(), 4);
        let bad = Profile {
            launches: 0,
            cases: vec!["(".into()],
            ..Profile::default()
        };
        assert_eq!(profile(&bad).len(), 2);
    }
}
