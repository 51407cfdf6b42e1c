use std::path::PathBuf;

use super::*;
use crate::{
    declare::{DeclaredServer, Location, ParamSet, Scenario, Server, Work},
    load::{Load, get},
};

const HERE: Location = Location {
    file: "src/lib.rs",
    line: 1,
    column: 1,
};

fn declarations() -> Declarations {
    let server = |name: &str, tag: &str| DeclaredServer {
        name: name.into(),
        description: String::new(),
        location: HERE,
        manifest_dir: PathBuf::from("/project"),
        setting: None,
        server: Server::dockerfile("x").tag(tag),
    };
    let scenario = |name: &str, ignore: Option<&str>| Scenario {
        name: name.into(),
        location: HERE,
        description: String::new(),
        servers: None,
        baseline: None,
        tags: vec![],
        ignore: ignore.map(Into::into),
        setup: None,
        teardown: None,
        params: [64, 1_000]
            .map(|n| {
                let values = vec![("connections".to_owned(), n.to_string())];
                ParamSet::new(None, values, Work::Load(Load::closed(n).request(get("/"))))
            })
            .into(),
    };
    Declarations {
        servers: vec![server("bjoern", "c"), server("gunicorn_sync", "python")],
        scenarios: vec![scenario("ping", None), scenario("soak", Some("needs an hour"))],
        profiles: vec![],
    }
}

fn profile(cases: &[&str]) -> Profile {
    Profile {
        cases: cases.iter().map(|&case| case.to_owned()).collect(),
        ..Profile::default()
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn ids(selector: &Selector, profile: &Profile) -> Vec<String> {
    let cases = selector.select(&declarations(), profile).unwrap();
    cases.into_iter().map(|case| case.id).collect()
}

fn error(selector: &Selector, profile: &Profile) -> String {
    selector.select(&declarations(), profile).unwrap_err().to_string()
}

#[test]
fn profile_selects_the_cases_without_arguments() {
    let none = Selector::default();
    assert_eq!(ids(&none, &profile(&[])).len(), 8);
    assert_eq!(
        ids(&none, &profile(&["^ping/.*/c64$"])),
        ["ping/bjoern/c64", "ping/gunicorn_sync/c64"]
    );
}

#[test]
fn filters_and_scenarios_override_the_default_profile() {
    let default = profile(&["^ping/.*/c64$"]);
    let filters = Selector {
        filters: strings(&["soak/bjoern", "c1000"]),
        ..Selector::default()
    };
    assert_eq!(
        ids(&filters, &default),
        [
            "ping/bjoern/c1000",
            "ping/gunicorn_sync/c1000",
            "soak/bjoern/c64",
            "soak/bjoern/c1000",
            "soak/gunicorn_sync/c1000"
        ]
    );
    let scenario = Selector {
        scenarios: strings(&["soak"]),
        ..Selector::default()
    };
    assert_eq!(ids(&scenario, &default).len(), 4);
}

#[test]
fn named_profile_applies_and_servers_only_narrow() {
    let study = profile(&["^ping/"]);
    let named = Selector {
        filters: strings(&["c64"]),
        profile_named: true,
        ..Selector::default()
    };
    assert_eq!(ids(&named, &study), ["ping/bjoern/c64", "ping/gunicorn_sync/c64"]);
    let server = Selector {
        servers: strings(&["bjoern"]),
        ..Selector::default()
    };
    assert_eq!(ids(&server, &study), ["ping/bjoern/c64", "ping/bjoern/c1000"]);
    let tag = Selector {
        tags: strings(&["python"]),
        skip: strings(&["c1000$"]),
        ..Selector::default()
    };
    assert_eq!(ids(&tag, &study), ["ping/gunicorn_sync/c64"]);
}

#[test]
fn exact_filter_is_the_whole_id() {
    let exact = |filter: &str| Selector {
        filters: strings(&[filter]),
        exact: true,
        ..Selector::default()
    };
    assert_eq!(ids(&exact("ping/bjoern/c64"), &profile(&[])), ["ping/bjoern/c64"]);
    let text = error(&exact("ping/bjoern/c6"), &profile(&[]));
    assert!(
        text.contains("`ping/bjoern/c6` matches no case; similar: ping/bjoern/c64"),
        "{text}"
    );
    let skip = Selector {
        skip: strings(&["ping/bjoern/c64", "ping"]),
        exact: true,
        ..Selector::default()
    };
    assert_eq!(ids(&skip, &profile(&[])).len(), 7);
}

#[test]
fn ignored_cases_are_marked_included_or_selected_alone() {
    let only = Selector {
        ignored: Ignored::Only,
        ..Selector::default()
    };
    assert!(ids(&only, &profile(&[])).iter().all(|id| id.starts_with("soak/")));
    let marked = Selector::default()
        .select(&declarations(), &profile(&["soak"]))
        .unwrap();
    assert!(
        marked
            .iter()
            .all(|case| case.ignored.as_deref() == Some("needs an hour"))
    );
}

#[test]
fn unknown_name_is_reported_with_the_valid_names() {
    let text = error(
        &Selector {
            servers: strings(&["gunicron_sync"]),
            ..Selector::default()
        },
        &profile(&[]),
    );
    assert_eq!(
        text,
        "server `gunicron_sync` not found; did you mean `gunicorn_sync`?\nservers: bjoern, gunicorn_sync"
    );
    let text = error(
        &Selector {
            scenarios: strings(&["xyz"]),
            ..Selector::default()
        },
        &profile(&[]),
    );
    assert_eq!(text, "scenario `xyz` not found\nscenarios: ping, soak");
    let text = error(
        &Selector {
            tags: strings(&["pyton"]),
            ..Selector::default()
        },
        &profile(&[]),
    );
    assert!(text.contains("did you mean `python`?"), "{text}");
}

#[test]
fn filter_without_a_match_is_an_error() {
    let text = error(
        &Selector {
            filters: strings(&["ping", "bjorn"]),
            ..Selector::default()
        },
        &profile(&[]),
    );
    assert!(
        text.starts_with("filter `bjorn` matches no case; similar: ping/bjoern/c1000"),
        "{text}"
    );
    let text = error(
        &Selector {
            filters: strings(&["("]),
            ..Selector::default()
        },
        &profile(&[]),
    );
    assert!(text.starts_with("`(` is not a regular expression"), "{text}");
}

#[test]
fn empty_selection_names_the_combined_criteria() {
    let selector = Selector {
        servers: strings(&["bjoern"]),
        ..Selector::default()
    };
    let text = error(&selector, &profile(&["gunicorn"]));
    assert!(
        text.contains("--server bjoern; the profile `default` with its cases gunicorn"),
        "{text}"
    );
    assert!(text.contains("name a scenario or a filter"), "{text}");
    let selector = Selector {
        filters: strings(&["ping"]),
        skip: strings(&["ping"]),
        ..Selector::default()
    };
    assert!(error(&selector, &profile(&[])).contains("filters ping; --skip ping; leave one of them out"));
}

#[test]
fn name_of_a_function_selects_all_its_variants() {
    let mut declarations = declarations();
    let variant = |workers: &str| DeclaredServer {
        name: format!("app@workers={workers}"),
        setting: Some(crate::declare::Setting {
            function: "app".into(),
            values: vec![("workers".into(), workers.into())],
            default: false,
        }),
        ..declarations.servers[0].clone()
    };
    declarations.servers = vec![variant("1"), variant("2"), declarations.servers[0].clone()];
    let select = |name: &str| {
        let selector = Selector {
            servers: strings(&[name]),
            scenarios: strings(&["ping"]),
            ..Selector::default()
        };
        selector
            .select(&declarations, &profile(&["c64"]))
            .map(|cases| cases.into_iter().map(|case| case.id).collect::<Vec<_>>())
    };
    assert_eq!(
        select("app").unwrap(),
        [
            "ping/app@workers=1/c64",
            "ping/app@workers=2/c64",
            "ping/app@workers=1/c1000",
            "ping/app@workers=2/c1000"
        ]
    );
    assert_eq!(select("app@workers=2").unwrap().len(), 2);
    let error = select("apq").unwrap_err().to_string();
    assert!(
        error.contains("did you mean `app`?") && error.contains("app, app@workers=1"),
        "{error}"
    );
}
