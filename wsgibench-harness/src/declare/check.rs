//! Checks of what `#[server]`, `#[scenario]` and profile functions return.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use super::{Limits, Profile, Server, Source, Work, python, server::Companion};
use crate::{
    load::{Action, Arrivals, Fault, Load, LoadPlan, Model, RoundResult, Target, request_names, tls},
    stats::Threshold,
};

/// Smallest memory limit that a container engine accepts, bytes.
const LEAST_MEMORY: u64 = 6 << 20;

/// Returns the problems of limits.
pub(crate) fn limits(limits: &Limits) -> Vec<String> {
    let mut problems = Vec::new();
    if limits.cpus == 0 {
        problems.push("`cpus` is 0; give the server at least 1".to_owned());
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

/// Returns the problems of a server.
pub(crate) fn server(server: &Server, manifest_dir: &Path) -> Vec<String> {
    let mut problems = limits(&server.limits);
    if server.port == 0 {
        problems.push("its port is 0; set the port it listens on, e.g. `.port(8000)`".into());
    }
    if !server.ready_path.starts_with('/') {
        problems.push(format!(
            "its readiness path `{}` does not begin with `/`",
            server.ready_path
        ));
    }
    if server.ready_within.is_zero() {
        problems.push("its readiness timeout is 0; make it longer".into());
    }
    if let Some(signal) = &server.reload
        && !RELOADS.contains(&signal.as_str())
    {
        problems.push(format!(
            "its reload signal `{signal}` is not supported; choose one of {}",
            RELOADS.join(", ")
        ));
    }
    if let Some(version) = &server.python {
        problems.extend(python::find(version).err());
        if let Source::Image(_) | Source::Running(_) = server.source {
            problems.push(format!(
                "it sets Python {version}, but no image is built for it; leave out `.python_version(...)`"
            ));
        }
    }
    if let Some(name) = server.tls.as_ref().and_then(|tls| tls.server_name.as_ref()) {
        problems.extend(tls::parse_name(name).err());
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
            problems.push(
                "its requirements are empty; name the packages, e.g. `Server::python([\"gunicorn==27.0.1\"])`".into(),
            );
        }
        Source::Image(name) if name.trim().is_empty() => problems.push("its image has no name".into()),
        Source::Running(address) if !is_address(address) => {
            problems.push(format!(
                "`{address}` is not an address; write `host:port`, e.g. `127.0.0.1:8000`"
            ));
        }
        _ => {}
    }
    problems
}

/// Returns the image reference if it is the path of an existing folder, for which `dockerfile` was meant.
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
            "the name of its companion `{name}` is not a host name; use letters, digits and `-`"
        ));
    }
    if before.iter().any(|other| other.name == *name) {
        problems.push(format!("it has two companions named `{name}`; rename one"));
    }
    if companion.port == 0 {
        problems.push(format!(
            "its companion `{name}` has no port; set one, e.g. `Companion::image(\"{name}\", \"redis:8\").port(6379)`"
        ));
    }
    if let Source::Running(address) = &companion.source {
        problems.push(format!(
            "its companion `{name}` is a running server at {address}, but the harness starts companions; use `Companion::image` or `Companion::dockerfile`"
        ));
    }
    problems
}

pub(crate) fn is_address(address: &str) -> bool {
    // The colons of an IPv6 address are in brackets.
    let is_host = |host: &str| match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inside) => inside.contains(':'),
        None => !host.is_empty() && !host.contains([':', '[', ']']),
    };
    let is_other = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '@');
    address.rsplit_once(':').is_some_and(|(host, port)| {
        is_host(host) && !host.contains(is_other) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// Returns the problems of a profile.
pub(crate) fn profile(profile: &Profile) -> Vec<String> {
    let mut problems = Vec::new();
    if profile.name.trim().is_empty() {
        problems.push("its `name` is empty".into());
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
            problems.push(format!("`{pattern}` in `cases` is not a regular expression: {error}"));
        }
    }
    if let Some(these) = &profile.limits {
        problems.extend(limits(these).into_iter().map(|problem| format!("limits: {problem}")));
    }
    problems
}

/// Returns the problems of the work of a parameter set.
pub(crate) fn work(work: &Work) -> Vec<String> {
    match work {
        Work::Load(load) => {
            let mut problems = engine(load);
            if load.requests.is_empty() {
                problems.push("its load has no request; add one, e.g. `.request(get(\"/\"))`".into());
            } else if load.requests.iter().all(|request| request.weight == 0) {
                problems.push("all requests of its mix have weight 0; give one a weight above 0".into());
            }
            if load.of_capacity && !matches!(load.model, Model::Open { .. }) {
                problems.push(
                    "`of_capacity` needs a schedule of requests; begin with Load::rate, poisson, ramp or stages".into(),
                );
            }
            problems.extend(faults(load));
            problems.extend(thresholds(load));
            problems
        }
        Work::Script { load, .. } => {
            let mut problems = engine(load);
            if !load.requests.is_empty() {
                problems.push(
                    "its `load` has requests, but the script sends the requests; leave out `.request(...)`".into(),
                );
            }
            if load.of_capacity {
                problems.push("`of_capacity` is not supported for scripts, since the capacity is measured with declared requests; give rates in requests per second".into());
            }
            problems.extend(faults(load));
            problems.extend(thresholds(load));
            if load.idle_connections > 0 {
                problems.push(
                    "idle connections are not supported with scripted users; leave out `.idle_connections(n)`".into(),
                );
            }
            problems
        }
    }
}

/// Checks that each fault has an effect, and that a round is longer than the time of its last fault.
fn faults(load: &Load) -> Option<String> {
    let harmless = |fault: &Fault| matches!(fault.action, Action::Ask { times: 0, .. });
    if load.faults.iter().any(harmless) {
        return Some("it injects 0 harmful requests; use `Fault::harmful_requests(path, n)` with n above 0".into());
    }
    let last = load.faults.iter().map(|fault| fault.after).max()?;
    match load.own_length() {
        None => Some(format!(
            "it injects a fault after {last:?} but its round has no length of its own; add `.duration(...)`"
        )),
        Some(length) if length <= last => Some(format!(
            "it injects a fault after {last:?} into a round of {length:?}; set a longer `.duration(...)`"
        )),
        Some(_) => None,
    }
}

/// Checks the limits of thresholds, that no metric has two, and that the load has figures to judge.
fn thresholds(load: &Load) -> Vec<String> {
    let mut problems: Vec<String> = load.thresholds.iter().filter_map(Threshold::problem).collect();
    problems.extend(Threshold::contradiction(&load.thresholds));
    let known = request_names(&load.requests);
    for threshold in &load.thresholds {
        // The steps of a script are known once it has run.
        let Some(name) = threshold.request.as_ref().filter(|_| !load.requests.is_empty()) else {
            continue;
        };
        if known.is_empty() {
            problems.push(format!(
                "threshold `{threshold}`: requests are measured individually in mixes of 2 to {}; leave out {{{name}}}",
                RoundResult::MOST_RECORDED
            ));
        } else if !known.contains(name) {
            problems.push(format!(
                "threshold `{threshold}`: request not found; the mix has {}",
                known.join(", ")
            ));
        }
    }
    if !load.thresholds.is_empty() && !load.faults.is_empty() {
        problems.push(
            "it has thresholds and faults, but a load with faults has no rate to judge; leave out the thresholds"
                .into(),
        );
    }
    problems
}

/// Returns the problems that a load has on any machine.
fn engine(load: &Load) -> Vec<String> {
    // No connection is opened: only the load is validated.
    let target = Target::new((Ipv4Addr::LOCALHOST, 80).into(), "localhost");
    let plan = LoadPlan::new(target, load.clone());
    let mut problems: Vec<String> = plan.validate().err().iter().map(ToString::to_string).collect();
    if let Model::Open { stages, seed, .. } = &load.model
        && *seed != 0
        && stages.iter().all(|stage| stage.arrivals == Arrivals::Constant)
    {
        problems.push(
            "it has a seed but no Poisson arrivals; add `.poisson()` to a stage, or leave out `.seed(...)`".into(),
        );
    }
    if load.own_length() == Some(Duration::ZERO) {
        problems.push("its round lasts 0 s; give it a length".into());
    } else if let (
        Model::Users {
            every, arriving_for, ..
        },
        None,
    ) = (&load.model, load.measurement_time)
        && arriving_for < every
    {
        problems.push(format!(
            "its users arrive for {arriving_for:?}, less than the time between arrivals, and the round is as long; add `.duration(...)`"
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
        load::{Fault, Load, Stage, Values, get, script::script},
        stats::Threshold,
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
    fn image_that_is_a_folder_of_the_crate_is_rejected() {
        let message = problems(&Server::image("src")).join("");
        assert!(message.contains("write `Server::dockerfile(\"src\")`"), "{message}");
        let companion = Server::image("x:1").with_companion(Companion::image("db", "src").port(1));
        let message = problems(&companion).join("");
        assert!(
            message.contains("write `Companion::dockerfile(\"db\", \"src\")`"),
            "{message}"
        );
        assert!(problems(&Server::image("shop/src:1")).is_empty());
    }

    #[test]
    fn valid_declarations_have_no_problems() {
        assert!(limits(&Limits::default()).is_empty());
        assert!(problems(&Server::dockerfile("images/x")).is_empty());
        assert!(problems(&Server::running("[::1]:8000")).is_empty());
        assert!(profile(&Profile::default()).is_empty() && profile(&Profile::quick()).is_empty());
        for load in [
            Load::closed(1).request(get("/")),
            Load::rate(10).request(get("/")),
            Load::ramp(0..=10, Duration::from_secs(1)).request(get("/")),
            Load::users(1).request(get("/")),
        ] {
            assert_eq!(about(load), "");
        }
    }

    #[test]
    fn scripted_users_need_a_load_without_requests() {
        for load in [
            Load::closed(3).for_script(),
            Load::poisson(10).for_script(),
            Load::users(1).for_script(),
        ] {
            assert_eq!(about_script(load), "");
        }
        assert!(about_script(Load::closed(1).request(get("/"))).contains("the script sends the requests"));
        assert!(about_script(Load::closed(1).idle_connections(2).for_script()).contains("idle connections"));
        assert!(about_script(Load::closed(0).for_script()).contains("0 connections"));
    }

    #[test]
    fn invalid_thresholds_are_reported_with_their_remedy() {
        let threshold = |limits: &[Threshold]| {
            let load = limits.iter().fold(Load::closed(1).request(get("/")), |load, limit| {
                load.threshold(limit.clone())
            });
            about(load)
        };
        let p99 = |milliseconds| Threshold::p99_below(Duration::from_millis(milliseconds));
        assert_eq!(threshold(&[p99(50), Threshold::errors_below(0.01)]), "");
        assert!(threshold(&[p99(0)]).contains("a number above 0"));
        assert!(threshold(&[Threshold::errors_below(10.0)]).contains("below 100 %"));
        assert!(threshold(&[p99(50), p99(60)]).contains("p99 has two thresholds"));
        assert!(threshold(&[p99(50).of_request("GET /")]).contains("mixes of 2 to 32"));
        let mix = |limit: Threshold| {
            let load = Load::closed(1).request(get("/")).request(get("/health"));
            about(load.threshold(p99(60)).threshold(limit))
        };
        assert_eq!(mix(p99(50).of_request("GET /health")), "");
        let missing = mix(p99(50).of_request("GET /healthz"));
        assert!(
            missing.contains("request not found; the mix has GET /, GET /health"),
            "{missing}"
        );
        assert!(mix(Threshold::memory_below(1).of_request("GET /")).contains("not measured per request"));
    }

    #[test]
    fn each_problem_is_reported_with_its_remedy() {
        assert!(about(Load::closed(64).for_script()).contains(".request(get("));
        assert!(about(Load::closed(0).request(get("/"))).contains("0 connections"));
        assert!(about(Load::rate(0).request(get("/"))).contains("no arrivals"));
        assert!(about(Load::rate(f64::NAN).request(get("/"))).contains("a rate must be"));
        assert!(about(Load::rate(1).max_connections(0).request(get("/"))).contains("max_connections"));
        let open_ended = [Stage::unlimited(1.0), Stage::unlimited(2.0)];
        assert!(about(Load::stages(open_ended).request(get("/"))).contains("only the last stage"));
        assert!(
            about(Load::users(1).every(Duration::ZERO).request(get("/"))).contains("time between arrivals above 0")
        );
        assert!(about(Load::users(1).requests_per_user(0).request(get("/"))).contains("0 requests"));
        let at_once = Load::users(1).arriving_for(Duration::from_millis(1));
        assert!(about(at_once.clone().request(get("/"))).contains("add `.duration(...)`"));
        assert_eq!(about(at_once.duration(Duration::from_secs(1)).request(get("/"))), "");
        assert!(about(Load::users(1).arriving_for(Duration::ZERO).request(get("/"))).contains("round lasts 0 s"));
        assert!(about(Load::closed(1).timeout(Duration::ZERO).request(get("/"))).contains("timeout"));
        let mut closed = Load::closed(1).request(get("/"));
        closed.of_capacity = true;
        assert!(about(closed).contains("begin with Load::rate"));
        let constant = Load::stages([Stage::constant(9, Duration::from_secs(1))]).seed(7);
        assert!(about(constant.request(get("/"))).contains("no Poisson arrivals"));
        let unclosed = Load::closed(1).request(get("/").expect_body_matches("["));
        assert!(about(unclosed).contains("request GET /: \"[\" is not a regular expression"));
        let twice = Load::closed(1).request(get("/").expect_status(200).expect_status(201));
        assert!(about(twice).contains("the status is checked twice"));
        let unused = Load::closed(1).request(get("/").values("id", Values::Counter));
        assert!(about(unused).contains("write {id} in the path"));
        assert!(about(Load::closed(1).request(get("/").timeout(Duration::ZERO))).contains("a timeout of 0"));
        let faulty = Load::closed(1)
            .duration(Duration::from_secs(9))
            .fault(Fault::kill_worker());
        let faulty = faulty
            .threshold(Threshold::p99_below(Duration::from_millis(50)))
            .request(get("/"));
        assert!(about(faulty).contains("no rate to judge"));
        let killed = Load::closed(1).fault(Fault::kill_worker());
        assert!(about(killed.clone().request(get("/"))).contains("add `.duration(...)`"));
        let lasting = |seconds| {
            let load = killed.clone().duration(Duration::from_secs(seconds));
            about(load.request(get("/")))
        };
        let none = Load::closed(1).fault(Fault::harmful_requests("/raise", 0));
        assert!(about(none.request(get("/"))).contains("n above 0"));
        assert!(lasting(2).contains("longer `.duration(...)`"));
        assert_eq!(lasting(9), "");
        assert!(
            problems(&Server::dockerfile("x").reloads_on("HUP"))
                .join("")
                .contains("SIGHUP")
        );
        let message = problems(&Server::dockerfile("x").python_version("3.91")).join("");
        assert!(
            message.contains("Python `3.91` is not supported") && message.contains("did you mean `3.9`?"),
            "{message}"
        );
        let message = problems(&Server::image("x").python_version("3.9")).join("");
        assert!(message.contains("leave out `.python_version(...)`"), "{message}");
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
        let message = problems(&companions).join("\n");
        for text in [
            "two companions named `db`",
            "`db` has no port",
            "is not a host name",
            "running server at h:1",
        ] {
            assert!(message.contains(text), "{text}: {message}");
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
