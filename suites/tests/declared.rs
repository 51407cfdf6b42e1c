//! The suite's declarations: they expand, all their files exist, and each profile selects the documented cases.

use std::{collections::BTreeSet, path::Path};

use wsgibench_harness::declare::{Declarations, Machine, Profile, Selector, Source, resolve};
use wsgibench_suites as _;

const MACHINE: Machine = Machine {
    server_cpus: 3,
    memory: 1 << 40,
};

const STUDY: [&str; 10] = [
    "bjoern",
    "cherrypy",
    "gevent",
    "gunicorn_gevent",
    "gunicorn_gthread",
    "gunicorn_sync",
    "meinheld",
    "mod_wsgi",
    "uwsgi",
    "wsgiref",
];

fn declarations() -> Declarations {
    match Declarations::collect() {
        Ok(declarations) => declarations,
        Err(errors) => panic!("{errors}"),
    }
}

fn chosen(declarations: &Declarations, name: &str) -> (Profile, Vec<String>) {
    let profile = declarations.profiles.iter().find(|profile| profile.name == name);
    let profile = profile.unwrap_or_else(|| panic!("profile {name} not found")).clone();
    let selector = Selector {
        profile_named: true,
        ..Selector::default()
    };
    let cases = selector
        .select(declarations, &profile)
        .unwrap_or_else(|error| panic!("{error}"));
    (profile, cases.into_iter().map(|case| case.id).collect())
}

#[test]
fn every_folder_of_a_server_exists() {
    for declared in &declarations().servers {
        let (spec, _) = resolve(declared, None, &MACHINE);
        assert_eq!(spec.check_files(), Ok(()));
        assert!(
            !spec.command.is_empty() && !spec.description.is_empty(),
            "{}",
            spec.name
        );
        assert!(spec.limits.pids >= 1_024);
    }
}

#[test]
fn every_folder_with_a_dockerfile_has_a_server() {
    let declarations = declarations();
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("images");
    let named: BTreeSet<_> = declarations
        .servers
        .iter()
        .flat_map(|declared| {
            let (spec, _) = resolve(declared, None, &MACHINE);
            spec.companions
                .into_iter()
                .map(|companion| companion.source)
                .chain([spec.source])
        })
        .filter_map(|source| match source {
            Source::Folder(folder) => Some(folder),
            _ => None,
        })
        .collect();
    for entry in std::fs::read_dir(images).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("Dockerfile").is_file() {
            assert!(
                named.contains(&folder),
                "no server is declared for {}",
                folder.display()
            );
        }
    }
}

#[test]
fn default_profile_pings_every_server_of_the_studies() {
    let declarations = declarations();
    for name in ["default", "quick"] {
        let (profile, ids) = chosen(&declarations, name);
        let expected: BTreeSet<_> = STUDY.iter().map(|server| format!("ping/{server}/c64")).collect();
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected, "{name}");
        assert_eq!(
            (profile.launches, profile.rounds),
            if name == "default" { (6, 2) } else { (2, 1) }
        );
    }
}

#[test]
fn study_profiles_have_the_cases_and_limits_of_the_studies() {
    let declarations = declarations();
    let (appdynamics, ids) = chosen(&declarations, "appdynamics");
    assert_eq!(ids.len(), 7 * 5, "{ids:?}");
    let limits = appdynamics.limits.unwrap();
    assert_eq!((limits.cpus, limits.memory, limits.descriptors), (3, 1 << 30, 10_240));
    assert_eq!((appdynamics.launches, appdynamics.rounds), (2, 1));
    let (_, ids) = chosen(&declarations, "kubeup");
    assert!(ids.iter().all(|id| id.starts_with("kubeup/")) && ids.contains(&"kubeup/bjoern/default".into()));
    let (_, ids) = chosen(&declarations, "pitfalls");
    assert_eq!(ids.len(), 3 * 2, "{ids:?}");
    let (_, all) = chosen(&declarations, "full");
    assert_eq!(all.len(), declarations.cases().len());
}

#[test]
fn servers_with_a_database_run_only_the_database_scenarios() {
    let declarations = declarations();
    let cases = declarations.cases();
    let of = |server: &str| -> BTreeSet<String> {
        let cases = cases.iter().filter(|case| case.server == server);
        cases.map(|case| case.scenario.clone()).collect()
    };
    for server in ["gunicorn_gthread", "gunicorn_gevent", "uwsgi", "granian"] {
        assert_eq!(
            of(&format!("{server}_database")),
            BTreeSet::from(["database".into(), "database_update".into()])
        );
        assert!(of(server).contains("ping") && !of(server).contains("database"));
    }
    for declared in &declarations.servers {
        let has_database = declared.server.tags.iter().any(|tag| tag == "database");
        assert_eq!(
            has_database,
            !declared.server.companions.is_empty(),
            "{}",
            declared.name
        );
    }
}

#[test]
fn book_lists_every_scenario_and_profile() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/suite.md");
    let book = std::fs::read_to_string(&book).unwrap_or_else(|error| panic!("{}: {error}", book.display()));
    let declarations = declarations();
    let scenarios = declarations.scenarios.iter().map(|scenario| &scenario.name);
    let profiles = declarations.profiles.iter().map(|profile| &profile.name);
    for name in scenarios.chain(profiles) {
        let named = format!("`{name}`");
        let told = book.lines().any(|line| line.starts_with('|') && line.contains(&named));
        assert!(told, "docs/reference/suite.md has no line for {named}");
    }
}

#[test]
fn python_variants_differ_from_their_server_only_in_python() {
    let declarations = declarations();
    let (_, ids) = chosen(&declarations, "pythons");
    assert_eq!(ids.len(), 2 * 8, "{ids:?}");
    for declared in declarations.servers.iter().filter(|it| it.name.contains("_python3")) {
        let (base, digits) = declared.name.split_once("_python3").unwrap();
        assert_eq!(declared.server.python, Some(format!("3.{digits}")), "{}", declared.name);
        assert_eq!(declared.server.tags, ["python"]);
        for scenario in ["ping", "json"] {
            assert!(ids.contains(&format!("{scenario}_by_python/{}/c64", declared.name)));
        }
        // Only the Python differs.
        let command = |name: &str| {
            let (spec, _) = resolve(declarations.server(name).unwrap(), None, &MACHINE);
            (spec.command, spec.source, spec.limits)
        };
        assert_eq!(command(&declared.name), command(base));
    }
    let (_, full) = chosen(&declarations, "full");
    assert!(!full.iter().any(|id| id.starts_with("ping/") && id.contains("_python3")));
}

#[test]
fn command_lines_follow_the_cores() {
    let declarations = declarations();
    let command = |name: &str| {
        resolve(declarations.server(name).unwrap(), None, &MACHINE)
            .0
            .command
            .join(" ")
    };
    // The default of one core, not the machine's three.
    assert!(
        command("gunicorn_sync")
            .starts_with("gunicorn --worker-class sync --workers 3 --bind {host}:{port} --backlog 4096")
    );
    assert!(
        command("bjoern").starts_with("python -m wsgibench_serve --port {port} --workers 1 --backlog 4096 application")
    );
    for server in &declarations.servers {
        assert!(
            command(&server.name).contains("{port}"),
            "the command of {} has no {{port}}",
            server.name
        );
    }
}

#[test]
fn servers_to_tune_are_variants_with_a_default_and_only_in_their_scenarios() {
    let declarations = declarations();
    let cases = declarations.cases();
    for (function, variants) in [
        ("gthread", 12),
        ("sync_workers", 8),
        ("gevent_workers", 3),
        ("uwsgi_threads", 12),
        ("granian_threads", 12),
        ("cherrypy_threads", 6),
        ("waitress_threads", 7),
        ("gthread_database", 12),
    ] {
        let names: Vec<&str> = declarations
            .servers
            .iter()
            .filter(|server| server.function() == function)
            .map(|server| server.name.as_str())
            .collect();
        assert_eq!(names.len(), variants, "{names:?}");
        assert!(
            declarations.reference(function).is_ok(),
            "{function} has no default variant"
        );
        let mut of_function = cases.iter().filter(|case| names.contains(&case.server.as_str()));
        assert!(of_function.clone().next().is_some(), "{function} is in no scenario");
        let other = of_function.find(|case| !case.tags.iter().any(|tag| tag == "tuning"));
        assert_eq!(other.map(|case| &case.id), None, "{function} is to be tuned only");
    }
    // The default variant is the tuned server.
    let command = |name: &str| resolve(declarations.server(name).unwrap(), None, &MACHINE).0.command;
    for (variant, server) in [
        ("gthread@workers=1-threads=4", "gunicorn_gthread"),
        ("sync_workers@workers=3-preload=false", "gunicorn_sync"),
        ("gevent_workers@workers=1", "gunicorn_gevent"),
        ("uwsgi_threads@processes=1-threads=4", "uwsgi"),
        ("granian_threads@workers=1-threads=4", "granian"),
        ("cherrypy_threads@threads=4", "cherrypy"),
        ("gthread_database@workers=1-threads=4", "gunicorn_gthread_database"),
    ] {
        assert_eq!(command(variant), command(server));
    }
}
