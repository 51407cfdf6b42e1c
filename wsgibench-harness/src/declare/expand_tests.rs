use super::*;
use crate::{
    declare::ParamSet,
    load::{Load, get},
};

const fn at(file: &'static str, line: u32) -> Location {
    Location { file, line, column: 1 }
}

fn server(name: &'static str, line: u32) -> ServerEntry {
    ServerEntry {
        name,
        module: "suite",
        location: at("src/servers.rs", line),
        manifest_dir: "/project",
        description: "",
        variants: || {
            vec![ServerVariant::new(
                None,
                Vec::new(),
                Server::dockerfile("images/x").tag("c").tag("study"),
            )]
        },
    }
}

fn scenario(name: &'static str, line: u32) -> ScenarioEntry {
    ScenarioEntry {
        name,
        module: "suite",
        location: at("src/scenarios.rs", line),
        manifest_dir: "/project",
        description: "Ping.",
        servers: &[],
        baseline: "",
        tags: &["study"],
        ignore: "",
        setup: None,
        teardown: None,
        params: || {
            [64, 100]
                .map(|n| set("connections", &n.to_string(), Load::closed(n).request(get("/"))))
                .into()
        },
    }
}

fn set(name: &str, value: &str, load: Load) -> ParamSet {
    ParamSet::new(None, vec![(name.into(), value.into())], Work::Load(load))
}

#[test]
fn opt_in_server_is_only_in_scenarios_that_name_it() {
    let mut special = server("special", 2);
    special.variants = || {
        vec![ServerVariant::new(
            None,
            Vec::new(),
            Server::dockerfile("images/x").opt_in(),
        )]
    };
    let usual = server("usual", 1);
    let (all, mut one) = (scenario("all", 1), scenario("one", 2));
    one.servers = &["special"];
    let declared = Declarations::from_entries(&[&usual, &special], &[&all, &one], &[]).unwrap();
    let ids: Vec<_> = declared.cases().into_iter().map(|case| case.id).collect();
    assert_eq!(
        ids,
        ["all/usual/c64", "all/usual/c100", "one/special/c64", "one/special/c100"]
    );
}

fn errors(servers: &[&ServerEntry], scenarios: &[&ScenarioEntry], profiles: &[&ProfileEntry]) -> String {
    Declarations::from_entries(servers, scenarios, profiles)
        .expect_err("this is a mistake")
        .to_string()
}

#[test]
fn cases_are_in_order_of_declaration() {
    let (a, b) = (server("b_second", 20), server("z_first", 10));
    let (one, two) = (scenario("one", 1), scenario("two", 2));
    let declared = Declarations::from_entries(&[&a, &b], &[&two, &one], &[]).unwrap();
    let ids: Vec<_> = declared.cases().into_iter().map(|case| case.id).collect();
    assert_eq!(
        ids[..5],
        [
            "one/z_first/c64",
            "one/b_second/c64",
            "one/z_first/c100",
            "one/b_second/c100",
            "two/z_first/c64"
        ]
    );
    assert_eq!(ids.len(), 8);
    assert_eq!(declared.cases()[0].tags, ["study", "c"]);
    assert_eq!(
        declared.cases()[0].values,
        [("connections".to_owned(), "64".to_owned())]
    );
    assert!(declared.server("z_first").is_some() && declared.server("z").is_none());
}

#[test]
fn scenario_is_limited_to_its_servers() {
    let (a, b) = (server("a", 1), server("b", 2));
    let only = ScenarioEntry {
        servers: &["b"],
        baseline: "b",
        ignore: "slow",
        ..scenario("ping", 1)
    };
    let cases = Declarations::from_entries(&[&a, &b], &[&only], &[]).unwrap().cases();
    assert_eq!(cases.len(), 2);
    assert!(cases.iter().all(|case| case.server == "b"));
    assert_eq!(cases[0].baseline.as_deref(), Some("b"));
    assert_eq!(cases[0].ignored.as_deref(), Some("slow"));
}

#[test]
fn missing_registrations_are_reported_with_a_remedy() {
    let text = errors(&[], &[], &[]);
    assert!(
        text.contains("no server is registered") && text.contains("no scenario is registered"),
        "{text}"
    );
    assert!(text.contains("use my_suite as _;"), "{text}");
}

#[test]
fn duplicate_names_are_reported_with_both_places() {
    let text = errors(
        &[&server("a", 1), &server("a", 7)],
        &[&scenario("s", 1), &scenario("s", 9)],
        &[],
    );
    assert!(
        text.contains("two servers are named `a`, at src/servers.rs:1:1 and at src/servers.rs:7:1"),
        "{text}"
    );
    assert!(
        text.contains("two scenarios are named `s`, at src/scenarios.rs:1:1 and at src/scenarios.rs:9:1"),
        "{text}"
    );
}

#[test]
fn colliding_file_names_are_reported_with_both_places() {
    let text = errors(
        &[&server("Gunicorn", 1), &server("gunicorn", 7)],
        &[&scenario("s", 1)],
        &[],
    );
    assert!(
        text.contains("`Gunicorn` at src/servers.rs:1:1 and `gunicorn` at src/servers.rs:7:1 have the same file name"),
        "{text}"
    );
}

#[test]
fn colliding_parameter_values_are_rejected() {
    let odd = ScenarioEntry {
        params: || {
            ["a/b", "a:b"]
                .map(|path| set("path", path, Load::closed(1).request(get("/"))))
                .into()
        },
        ..scenario("s", 3)
    };
    let text = errors(&[&server("a", 1)], &[&odd], &[]);
    assert!(
        text.contains("`s: path = a/b` at src/scenarios.rs:3:1 and `s: path = a:b` at src/scenarios.rs:3:1"),
        "{text}"
    );
    let twice = ScenarioEntry {
        params: || {
            [64, 64]
                .map(|n| set("connections", &n.to_string(), Load::closed(n).request(get("/"))))
                .into()
        },
        ..scenario("s", 3)
    };
    assert!(errors(&[&server("a", 1)], &[&twice], &[]).contains("contain connections = 64 twice"));
}

#[test]
fn invalid_scenarios_are_reported_with_their_place() {
    let odd = ScenarioEntry {
        servers: &["gunicron"],
        params: || vec![ParamSet::new(None, vec![], Work::Load(Load::closed(0).for_script()))],
        ..scenario("s", 3)
    };
    let text = errors(&[&server("gunicorn", 1)], &[&odd], &[]);
    assert!(
        text.contains("scenario `s` at src/scenarios.rs:3:1: it names the server `gunicron`"),
        "{text}"
    );
    assert!(text.contains("did you mean `gunicorn`?"), "{text}");
    assert!(
        text.contains("`default`: 0 connections") && text.contains("its load has no request"),
        "{text}"
    );
    let empty = ScenarioEntry {
        params: Vec::new,
        ..scenario("s", 3)
    };
    assert!(errors(&[&server("a", 1)], &[&empty], &[]).contains("no case"));
}

#[test]
fn panic_in_a_declared_function_is_an_error() {
    let bad = ServerEntry {
        variants: || panic!("no {} here", "luck"),
        ..server("a", 4)
    };
    let text = errors(&[&bad], &[&scenario("s", 1)], &[]);
    assert!(
        text.contains("server `a` at src/servers.rs:4:1: its function panicked: no luck here (at "),
        "{text}"
    );
}

#[test]
fn profiles_are_validated_and_unique() {
    let profile = |line, build| ProfileEntry {
        location: at("src/profiles.rs", line),
        build,
    };
    let (one, two) = (
        profile(1, Profile::quick),
        profile(2, Profile::quick as fn() -> Profile),
    );
    let text = errors(&[&server("a", 1)], &[&scenario("s", 1)], &[&one, &two]);
    assert!(text.contains("two profiles are named `quick`"), "{text}");
    let bad = profile(1, || Profile {
        rounds: 0,
        ..Profile::default()
    });
    let text = errors(&[&server("a", 1)], &[&scenario("s", 1)], &[&bad]);
    assert!(
        text.contains("profile `default` at src/profiles.rs:1:1: `rounds` is 0"),
        "{text}"
    );
}

fn with_workers(server: impl Fn(usize) -> Server) -> Vec<ServerVariant> {
    let variant = |workers: usize| {
        let values = vec![("workers".to_owned(), workers.to_string())];
        ServerVariant::new(None, values, server(workers))
    };
    [1, 2, 4].map(variant).into()
}

#[test]
fn server_with_parameters_expands_into_variants() {
    let app = ServerEntry {
        variants: || with_workers(|workers| Server::dockerfile("images/x").default_variant(workers == 2)),
        ..server("app", 1)
    };
    let only = ScenarioEntry {
        servers: &["app"],
        baseline: "app",
        params: || vec![set("connections", "8", Load::closed(8).request(get("/")))],
        ..scenario("ping", 1)
    };
    let declared = Declarations::from_entries(&[&app, &server("other", 2)], &[&only], &[]).unwrap();
    let cases = declared.cases();
    let ids: Vec<_> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "ping/app@workers=1/c8",
            "ping/app@workers=2/c8",
            "ping/app@workers=4/c8"
        ]
    );
    assert!(
        cases
            .iter()
            .all(|case| case.baseline.as_deref() == Some("app@workers=2"))
    );
    assert_eq!(declared.reference("other"), Ok("other".to_owned()));
    assert_eq!(declared.reference("app@workers=4"), Ok("app@workers=4".to_owned()));
    let setting = declared.server("app@workers=2").unwrap().setting.clone().unwrap();
    assert_eq!((setting.function.as_str(), setting.default), ("app", true));
    assert_eq!(setting.values, [("workers".to_owned(), "2".to_owned())]);
    let running: crate::declare::RunningServer = "app=127.0.0.1:8000".parse().unwrap();
    let error = declared.check_running(&running).unwrap_err();
    assert!(error.contains("`app_running=http://127.0.0.1:8000`"), "{error}");
}

#[test]
fn reference_to_a_server_without_a_default_variant_is_an_error() {
    let app = ServerEntry {
        variants: || with_workers(|_| Server::dockerfile("images/x")),
        ..server("app", 1)
    };
    let declared = Declarations::from_entries(&[&app], &[&scenario("s", 1)], &[]).unwrap();
    let error = declared.reference("app").unwrap_err();
    assert!(
        error.contains("no default variant; name one, e.g. `app@workers=1`"),
        "{error}"
    );
}

#[test]
fn invalid_variants_are_reported_with_their_parameters() {
    let text = |variants: fn() -> Vec<ServerVariant>| {
        let app = ServerEntry {
            variants,
            ..server("app", 1)
        };
        errors(&[&app], &[&scenario("s", 1)], &[])
    };
    assert!(text(Vec::new).contains("has no variant"));
    let two = text(|| with_workers(|workers| Server::dockerfile("x").default_variant(workers > 1)));
    assert!(
        two.contains("`workers=2` and `workers=4` are both the default one"),
        "{two}"
    );
    let one = text(|| {
        vec![ServerVariant::new(
            None,
            vec![],
            Server::dockerfile("x").default_variant(true),
        )]
    });
    assert!(
        one.contains("it has no parameters; leave out `.default_variant"),
        "{one}"
    );
    let port = text(|| with_workers(|workers| Server::dockerfile("x").port(u16::from(workers > 1))));
    assert!(port.contains("`workers=1`: its port is 0"), "{port}");
    let twice = text(|| {
        let mut variants = with_workers(|_| Server::dockerfile("x"));
        variants.extend(with_workers(|_| Server::dockerfile("x")));
        variants
    });
    assert!(twice.contains("two servers are named `app@workers=1`"), "{twice}");
    let many = text(|| {
        let numbered = |n: usize| ServerVariant::new(None, vec![("n".into(), n.to_string())], Server::dockerfile("x"));
        (0..1000).map(numbered).collect()
    });
    assert!(
        many.contains("make 1000 variants, more than 200; shorten the lists"),
        "{many}"
    );
}
