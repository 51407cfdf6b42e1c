//! Builds the runner's plan from arguments and declarations.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Failure, args::Args, cluster, exit::ExitStatus};
use crate::{
    against::{Declared, DeclaredCase},
    declare::{
        Case, Declarations, Ignored, Limits, Machine, Profile, SelectError, Selector, ServerSpec, profiles, resolve,
    },
    measure::{Job, RunPlan, environment},
    sandbox::cpus::{self, Partition},
    store::{
        arms::CANDIDATE,
        record::{Notice, RunRecord},
    },
};

/// A complete plan.
pub(super) struct Plan {
    /// Cases, in order of declaration.
    pub(super) cases: Vec<Case>,
    /// Plan of the runner.
    pub(super) order: RunPlan,
    /// Notices, e.g. on clamped settings.
    pub(super) notices: Vec<Notice>,
    /// Cargo's target folder.
    pub(super) target_dir: PathBuf,
    /// The interrupted run to resume.
    pub(super) resumes: Option<Box<RunRecord>>,
}

/// Selected cases and their profile.
pub(super) struct Selected {
    pub(super) cases: Vec<Case>,
    pub(super) profile: Profile,
}

/// Selects the cases of `--list`. Test runners also list ignored cases only, and expect an empty list if there are none.
pub(super) fn listed(declarations: &Declarations, args: &Args, manifest_dir: &Path) -> Result<Vec<Case>, Failure> {
    let (selector, profile) = selection(declarations, args, manifest_dir)?;
    match selector.select(declarations, &profile) {
        Err(SelectError::Nothing { .. }) if args.ignored => Ok(Vec::new()),
        selected => selected.map_err(|e| Failure::usage(e.to_string())),
    }
}

/// Selects cases and effort.
pub(super) fn select(declarations: &Declarations, args: &Args, manifest_dir: &Path) -> Result<Selected, Failure> {
    let (selector, profile) = selection(declarations, args, manifest_dir)?;
    let cases = selector
        .select(declarations, &profile)
        .map_err(|e| Failure::usage(e.to_string()))?;
    Ok(Selected { cases, profile })
}

fn selection(declarations: &Declarations, args: &Args, manifest_dir: &Path) -> Result<(Selector, Profile), Failure> {
    let name = match (&args.profile, args.quick) {
        (Some(name), _) => name.as_str(),
        (None, true) => "quick",
        (None, false) => "default",
    };
    let mut profile =
        profiles::find(name, &declarations.profiles, manifest_dir).map_err(|e| Failure::usage(e.to_string()))?;
    profile.launches = args.launches.unwrap_or(profile.launches);
    profile.rounds = args.rounds.unwrap_or(profile.rounds);
    profile.warm_up_time = args.warm_up_time.unwrap_or(profile.warm_up_time);
    profile.measurement_time = args.measurement_time.unwrap_or(profile.measurement_time);
    Ok((selector(args), profile))
}

/// Selects the cases of the arguments.
pub(super) fn selector(args: &Args) -> Selector {
    Selector {
        filters: args.filters.clone(),
        exact: args.exact,
        skip: args.skip.clone(),
        servers: servers(args),
        scenarios: args.scenarios.clone(),
        tags: args.tags.clone(),
        profile_named: args.profile.is_some(),
        ignored: match (args.ignored, args.include_ignored) {
            (true, _) => Ignored::Only,
            (false, true) => Ignored::Include,
            (false, false) => Ignored::Mark,
        },
        guests: args.server_urls.iter().map(|running| running.name.clone()).collect(),
    }
}

/// Returns the selected servers: the named ones, and those already running.
fn servers(args: &Args) -> Vec<String> {
    let mut names = args.servers.clone();
    for running in &args.server_urls {
        if !names.contains(&running.name) {
            names.push(running.name.clone());
        }
    }
    names
}

/// Servers as resolved for this machine.
pub(super) struct Resolved {
    pub(super) specs: Vec<Arc<ServerSpec>>,
    /// Their CPUs.
    pub(super) cpus: Vec<usize>,
    /// Notices on clamped settings.
    pub(super) notices: Vec<Notice>,
}

/// Resolves the servers of these cases for this machine, with their CPUs and clamped settings.
pub(super) fn for_servers(declarations: &Declarations, cases: &[Case], args: &Args) -> Result<Resolved, Failure> {
    let chosen: Vec<&Case> = cases.iter().collect();
    let partition = partition(declarations, &chosen, None, args)?;
    let mut notices: Vec<Notice> = partition.notices.iter().map(|text| notice("", text)).collect();
    let specs = specs(declarations, &chosen, None, &partition, &mut notices);
    Ok(Resolved {
        specs,
        cpus: partition.server,
        notices,
    })
}

/// Returns why a case is ignored, unless it was requested anyway.
pub(super) fn ignored(case: &Case) -> Option<String> {
    case.ignored.clone()
}

/// Builds the whole plan.
pub(super) fn make(
    declarations: &Declarations,
    args: &Args,
    manifest_dir: &Path,
    target_dir: &Path,
) -> Result<Plan, Failure> {
    let Selected { mut cases, profile } = select(declarations, args, manifest_dir)?;
    if args.ignored || args.include_ignored {
        for case in &mut cases {
            case.ignored = None;
        }
    }
    let chosen: Vec<&Case> = cases.iter().filter(|case| case.ignored.is_none()).collect();
    let partition = partition(declarations, &chosen, profile.limits.as_ref(), args)?;
    let mut notices: Vec<Notice> = partition.notices.iter().map(|text| notice("", text)).collect();
    let specs = specs(declarations, &chosen, profile.limits.as_ref(), &partition, &mut notices);
    let jobs = chosen
        .iter()
        .filter_map(|case| {
            let spec = specs.iter().find(|spec| spec.name == case.server)?;
            Some(Job {
                case: (*case).clone(),
                arm: CANDIDATE,
                spec: Arc::clone(spec),
            })
        })
        .collect();
    let order = RunPlan {
        jobs,
        profile,
        seed: args.seed.unwrap_or_else(rand::random),
        load_cpus: partition.load,
        server_cpus: partition.server,
        shared_cpus: partition.shared,
        reference: false,
        test_mode: args.test || !args.bench,
        within_thresholds: false,
        resumed: false,
        manifest_dir: manifest_dir.to_owned(),
        counting: None,
        profiling: None,
    };
    Ok(Plan {
        cases,
        order,
        notices,
        target_dir: target_dir.to_owned(),
        resumes: None,
    })
}

fn partition(
    declarations: &Declarations,
    cases: &[&Case],
    limits: Option<&Limits>,
    args: &Args,
) -> Result<Partition, Failure> {
    if cluster::wanted(args) {
        // The nodes' CPUs are not known before the cluster is reached.
        return Ok(Partition {
            server: Vec::new(),
            load: Vec::new(),
            shared: false,
            notices: Vec::new(),
        });
    }
    let online =
        cpus::online().map_err(|e| Failure::machine(format!("failed to detect the CPUs of this machine: {e}")))?;
    let wanted = cases
        .iter()
        .filter_map(|case| declarations.server(&case.server))
        .map(|declared| limits.unwrap_or(&declared.server.limits).cpus)
        .max()
        .unwrap_or(1);
    let server = args.server_cpus.as_ref().map(|set| set.0.as_slice());
    let load = args.load_cpus.as_ref().map(|set| set.0.as_slice());
    Ok(cpus::partition(&online, wanted, server, load)?)
}

fn specs(
    declarations: &Declarations,
    cases: &[&Case],
    limits: Option<&Limits>,
    partition: &Partition,
    notices: &mut Vec<Notice>,
) -> Vec<Arc<ServerSpec>> {
    let machine = machine(partition);
    let mut specs: Vec<Arc<ServerSpec>> = Vec::new();
    for case in cases {
        if specs.iter().any(|spec| spec.name == case.server) {
            continue;
        }
        let Some(declared) = declarations.server(&case.server) else {
            continue;
        };
        let (spec, remarks) = resolve(declared, limits, &machine);
        for remark in remarks {
            let about = remark.about;
            // Merge the same clamp of several servers into one notice.
            match notices.iter_mut().find(|n| n.text == remark.text) {
                Some(known) => known.about = format!("{}, {about}", known.about),
                None => notices.push(notice(&about, &remark.text)),
            }
        }
        specs.push(Arc::new(spec));
    }
    specs
}

/// Returns the resources available to a server.
fn machine(partition: &Partition) -> Machine {
    if partition.server.is_empty() {
        // Limits are clamped to those of the node when a server is launched.
        return Machine {
            server_cpus: usize::MAX,
            memory: u64::MAX,
        };
    }
    Machine {
        server_cpus: partition.server.len(),
        memory: match environment::memory_bytes() {
            0 => u64::MAX,
            bytes => bytes,
        },
    }
}

fn notice(about: &str, text: &str) -> Notice {
    Notice {
        about: about.to_owned(),
        text: text.to_owned(),
    }
}

/// Writes the declarations of this bench to a file, for a bench that compares with this commit. It contains the cases of
/// all profiles; the caller selects the compared ones.
pub(super) fn write_declarations(
    declarations: &Declarations,
    manifest_dir: &Path,
    args: &Args,
    file: &Path,
) -> Result<ExitStatus, Failure> {
    let cases = declarations.cases();
    let chosen: Vec<&Case> = cases.iter().collect();
    let limits = selection(declarations, args, manifest_dir)?.1.limits;
    let partition = partition(declarations, &chosen, limits.as_ref(), args)?;
    let specs = specs(declarations, &chosen, limits.as_ref(), &partition, &mut Vec::new());
    let declared = Declared {
        version: Declared::VERSION,
        manifest_dir: manifest_dir.to_owned(),
        servers: specs.iter().map(|spec| (**spec).clone()).collect(),
        cases: cases
            .iter()
            .map(|case| DeclaredCase {
                id: case.id.clone(),
                server: case.server.clone(),
                load: case.work.load().clone(),
            })
            .collect(),
    };
    let json = serde_json::to_vec(&declared).map_err(|e| Failure::machine(e.to_string()))?;
    fs::write(file, json)
        .map_err(|e| Failure::machine(format!("failed to write the declarations to {}: {e}", file.display())))?;
    Ok(ExitStatus::Success)
}
