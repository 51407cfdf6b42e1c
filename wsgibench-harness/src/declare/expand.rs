//! Expansion of registered functions into cases.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    DeclareError, DeclareErrors, Hook, Location, Profile, ProfileEntry, Scenario, ScenarioEntry, Server, ServerEntry,
    ServerVariant, Setting, Work, check, id, setting::MOST_VARIANTS, suggest,
};
use crate::panics;

/// A declared server and its place.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeclaredServer {
    /// Name, unique in a run.
    pub name: String,
    /// From its doc comment.
    pub description: String,
    /// Place of the declaration.
    pub location: Location,
    /// Folder of the declaring crate, the base of relative folders.
    pub manifest_dir: PathBuf,
    /// Its parameters, if it is a variant of a server with parameters.
    pub setting: Option<Setting>,
    /// The value that its function returned.
    pub server: Server,
}

impl DeclaredServer {
    /// Returns the name of its function, the same for all variants.
    #[must_use]
    pub fn function(&self) -> &str {
        self.setting.as_ref().map_or(&self.name, |setting| &setting.function)
    }

    /// Returns whether `name` selects it: its own name, or its function's, which selects all variants.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.function() == name
    }
}

/// All declarations, validated as a whole, in order of file and line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Declarations {
    /// Servers.
    pub servers: Vec<DeclaredServer>,
    /// Scenarios.
    pub scenarios: Vec<Scenario>,
    /// Registered profiles (the built-in ones are added by [`profiles`](super::profiles)).
    pub profiles: Vec<Profile>,
}

/// One server x one scenario x one parameter set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// `scenario/server/param`.
    pub id: String,
    /// Scenario.
    pub scenario: String,
    /// Server.
    pub server: String,
    /// Parameter set.
    pub param: String,
    /// Names and values of the parameters.
    pub values: Vec<(String, String)>,
    /// The load or script.
    pub work: Work,
    /// Doc comment of the scenario.
    pub description: String,
    /// Tags of the scenario, then the other tags of the server.
    pub tags: Vec<String>,
    /// Reason for skipping it by default.
    pub ignored: Option<String>,
    /// Server with which the others of the scenario are compared.
    pub baseline: Option<String>,
    /// Hook before the first request of a launch.
    pub setup: Option<Hook>,
    /// Hook after the last request of a launch.
    pub teardown: Option<Hook>,
}

impl Declarations {
    /// Collects and validates the declarations of all linked crates.
    ///
    /// # Errors
    /// All errors together: nothing registered, duplicates, collisions, functions that panic or return invalid values.
    pub fn collect() -> Result<Self, DeclareErrors> {
        Self::from_entries(
            &inventory::iter::<ServerEntry>.into_iter().collect::<Vec<_>>(),
            &inventory::iter::<ScenarioEntry>.into_iter().collect::<Vec<_>>(),
            &inventory::iter::<ProfileEntry>.into_iter().collect::<Vec<_>>(),
        )
    }

    /// Does the same for these entries.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    pub fn from_entries(
        servers: &[&ServerEntry],
        scenarios: &[&ScenarioEntry],
        profiles: &[&ProfileEntry],
    ) -> Result<Self, DeclareErrors> {
        let mut errors = Vec::new();
        let servers = read_servers(servers, &mut errors);
        let mut names: Vec<String> = servers.iter().map(|server| server.function().to_owned()).collect();
        names.dedup();
        let declarations = Self {
            scenarios: read_scenarios(scenarios, &names, &mut errors),
            profiles: read_profiles(profiles, &mut errors),
            servers,
        };
        if errors.is_empty() {
            Ok(declarations)
        } else {
            Err(DeclareErrors(errors))
        }
    }

    /// Returns all cases by scenario and parameter set, in order of declaration.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for scenario in &self.scenarios {
            let baseline = scenario.baseline.as_ref();
            let baseline = baseline.map(|name| self.reference(name).unwrap_or_else(|_| name.clone()));
            for set in &scenario.params {
                for server in self.servers.iter().filter(|server| is_for(scenario, server)) {
                    let mut tags = scenario.tags.clone();
                    tags.extend(
                        server
                            .server
                            .tags
                            .iter()
                            .filter(|tag| !scenario.tags.contains(tag))
                            .cloned(),
                    );
                    cases.push(Case {
                        id: format!("{}/{}/{}", id::safe(&scenario.name), id::safe(&server.name), set.id),
                        scenario: scenario.name.clone(),
                        server: server.name.clone(),
                        param: set.id.clone(),
                        values: set.values.clone(),
                        work: set.work.clone(),
                        description: scenario.description.clone(),
                        tags,
                        ignored: scenario.ignore.clone(),
                        baseline: baseline.clone(),
                        setup: scenario.setup,
                        teardown: scenario.teardown,
                    });
                }
            }
        }
        cases
    }

    /// Returns the server of this name.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<&DeclaredServer> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// Returns the name of the server with which others are compared: of a server with parameters, the default variant.
    ///
    /// # Errors
    /// The server has parameters, and no variant is marked as the default one.
    pub fn reference(&self, name: &str) -> Result<String, String> {
        let variants: Vec<_> = self.servers.iter().filter(|server| server.is_called(name)).collect();
        let Some(first) = variants.first().filter(|first| first.name != name) else {
            return Ok(name.to_owned());
        };
        let default = variants.iter().find(|server| server.server.default_variant);
        default.map(|server| server.name.clone()).ok_or_else(|| {
            format!(
                "server `{name}` has parameters and no default variant; name one, e.g. `{}`, or mark one with \
                 `Server::default_variant(...)`",
                first.name
            )
        })
    }
}

fn is_for(scenario: &Scenario, server: &DeclaredServer) -> bool {
    match &scenario.servers {
        Some(names) => names.iter().any(|name| server.is_called(name)),
        None => !server.server.opt_in,
    }
}

fn read_servers(entries: &[&ServerEntry], errors: &mut Vec<DeclareError>) -> Vec<DeclaredServer> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| order(entry.location));
    if entries.is_empty() {
        errors.push(DeclareError::Nothing { what: "server" });
    }
    unique(
        "server",
        entries.iter().map(|entry| (entry.name, entry.location)),
        errors,
    );
    let mut servers = Vec::new();
    for entry in entries {
        let invalid = invalid("server", entry.name, entry.location);
        match calling(entry.variants) {
            Ok(variants) => {
                errors.extend(check_variants(&variants).into_iter().map(&invalid));
                for variant in variants {
                    let problems = check::server(&variant.server, Path::new(entry.manifest_dir));
                    errors.extend(problems.into_iter().map(|problem| match &variant.id {
                        None => invalid(problem),
                        Some(id) => invalid(format!("`{id}`: {problem}")),
                    }));
                    servers.push(declared(entry, variant));
                }
            }
            Err(panic) => errors.push(invalid(panic)),
        }
    }
    // Variants are servers too: none may have the files of another server.
    let variants = servers.iter().filter(|server| server.setting.is_some());
    unique(
        "server",
        variants.map(|server| (server.name.as_str(), server.location)),
        errors,
    );
    servers
}

fn declared(entry: &ServerEntry, variant: ServerVariant) -> DeclaredServer {
    DeclaredServer {
        name: variant.name(entry.name),
        description: entry.description.to_owned(),
        location: entry.location,
        manifest_dir: PathBuf::from(entry.manifest_dir),
        setting: variant.id.is_some().then(|| Setting {
            function: entry.name.to_owned(),
            values: variant.values,
            default: variant.server.default_variant,
        }),
        server: variant.server,
    }
}

/// Returns the problems of the variants as a whole.
fn check_variants(variants: &[ServerVariant]) -> Vec<String> {
    let mut problems = Vec::new();
    if variants.is_empty() {
        problems.push("its parameter lists are empty, so it has no variant; give each parameter a value".into());
    }
    if variants.len() > MOST_VARIANTS {
        problems.push(format!(
            "its parameters make {} variants, more than {MOST_VARIANTS}; shorten the lists, or name combinations with `cases(...)`",
            variants.len()
        ));
    }
    let defaults: Vec<&str> = variants
        .iter()
        .filter(|variant| variant.server.default_variant)
        .map(|variant| variant.id.as_deref().unwrap_or_default())
        .collect();
    match defaults.as_slice() {
        [""] => problems.push("it has no parameters; leave out `.default_variant(...)`".into()),
        [first, second, ..] => problems.push(format!(
            "the variants `{first}` and `{second}` are both the default one; make the condition of `.default_variant(...)` hold for \
             one variant only"
        )),
        _ => {}
    }
    problems
}

fn read_scenarios(entries: &[&ScenarioEntry], servers: &[String], errors: &mut Vec<DeclareError>) -> Vec<Scenario> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| order(entry.location));
    if entries.is_empty() {
        errors.push(DeclareError::Nothing { what: "scenario" });
    }
    unique(
        "scenario",
        entries.iter().map(|entry| (entry.name, entry.location)),
        errors,
    );
    let mut scenarios = Vec::new();
    for entry in entries {
        let invalid = invalid("scenario", entry.name, entry.location);
        let named = entry
            .servers
            .iter()
            .chain((!entry.baseline.is_empty()).then_some(&entry.baseline));
        for name in named.filter(|name| !servers.iter().any(|server| server == *name)) {
            let meant = suggest::did_you_mean(suggest::nearest(name, servers.iter().map(String::as_str)));
            errors.push(invalid(format!(
                "it names the server `{name}`, which is not registered{meant}"
            )));
        }
        let params = match calling(entry.params) {
            Ok(params) => params,
            Err(panic) => {
                errors.push(invalid(panic));
                continue;
            }
        };
        if params.is_empty() {
            errors.push(invalid("its parameter lists are empty, so it has no case".into()));
        }
        for set in &params {
            errors.extend(
                check::work(&set.work)
                    .into_iter()
                    .map(|problem| invalid(format!("`{}`: {problem}", set.id))),
            );
        }
        let scenario = Scenario {
            name: entry.name.to_owned(),
            location: entry.location,
            description: entry.description.to_owned(),
            servers: (!entry.servers.is_empty()).then(|| entry.servers.iter().map(|&name| name.to_owned()).collect()),
            baseline: (!entry.baseline.is_empty()).then(|| entry.baseline.to_owned()),
            tags: entry.tags.iter().map(|&tag| tag.to_owned()).collect(),
            ignore: (!entry.ignore.is_empty()).then(|| entry.ignore.to_owned()),
            setup: entry.setup,
            teardown: entry.teardown,
            params,
        };
        unique_params(&scenario, errors);
        scenarios.push(scenario);
    }
    scenarios
}

fn read_profiles(entries: &[&ProfileEntry], errors: &mut Vec<DeclareError>) -> Vec<Profile> {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| order(entry.location));
    let mut read: Vec<(Profile, Location)> = Vec::new();
    for entry in entries {
        match calling(entry.build) {
            Ok(profile) => {
                let invalid = invalid("profile", &profile.name, entry.location);
                errors.extend(check::profile(&profile).into_iter().map(invalid));
                read.push((profile, entry.location));
            }
            Err(panic) => errors.push(invalid("profile", "?", entry.location)(panic)),
        }
    }
    unique(
        "profile",
        read.iter()
            .map(|(profile, location)| (profile.name.as_str(), *location)),
        errors,
    );
    read.into_iter().map(|(profile, _)| profile).collect()
}

fn order(location: Location) -> (&'static str, u32, u32) {
    (location.file, location.line, location.column)
}

fn invalid(what: &'static str, name: &str, location: Location) -> impl Fn(String) -> DeclareError + use<> {
    let name = name.to_owned();
    move |problem| DeclareError::Invalid {
        what,
        name: name.clone(),
        location,
        problem,
    }
}

/// Calls a user's function and turns a panic into an error.
fn calling<T>(build: fn() -> T) -> Result<T, String> {
    panics::catch_panic(build).map_err(|panic| format!("its function panicked: {panic}"))
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = (&'a str, Location)>, errors: &mut Vec<DeclareError>) {
    let mut seen: HashMap<String, (&str, Location)> = HashMap::new();
    for (name, location) in names {
        let safe = id::safe(name);
        match seen.get(&id::folded(&safe)) {
            None => {
                seen.insert(id::folded(&safe), (name, location));
            }
            Some((other, first)) if *other == name => errors.push(DeclareError::Duplicate {
                what,
                name: name.to_owned(),
                first: *first,
                second: location,
            }),
            Some((other, first)) => errors.push(DeclareError::Collision {
                one: (*other).to_owned(),
                other: name.to_owned(),
                safe,
                first: *first,
                second: location,
            }),
        }
    }
}

/// Checks the parameter sets of a scenario for duplicate ids and for ids with the same file name.
fn unique_params(scenario: &Scenario, errors: &mut Vec<DeclareError>) {
    let mut seen: HashMap<String, &[(String, String)]> = HashMap::new();
    for set in &scenario.params {
        let Some(other) = seen.insert(id::folded(&set.id), &set.values) else {
            continue;
        };
        if other == set.values {
            errors.push(invalid("scenario", &scenario.name, scenario.location)(format!(
                "its lists contain {} twice",
                written(&set.values)
            )));
        } else {
            errors.push(DeclareError::Collision {
                one: format!("{}: {}", scenario.name, written(other)),
                other: format!("{}: {}", scenario.name, written(&set.values)),
                safe: set.id.clone(),
                first: scenario.location,
                second: scenario.location,
            });
        }
    }
}

fn written(values: &[(String, String)]) -> String {
    let pairs: Vec<_> = values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    pairs.join(", ")
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
