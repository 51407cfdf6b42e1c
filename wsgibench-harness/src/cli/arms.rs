//! Adds the second arm of a comparison to the plan: a commit's servers, or another server.

use std::{collections::BTreeSet, path, sync::Arc};

use super::{Failure, args::Args, cluster, plan::Plan, run::Run};
use crate::{
    against::{self, Checkout, Declared},
    declare::{Case, profiles},
    load::Load,
    measure::{Job, event::Event},
    sandbox::cpus::format_list,
    store::arms::BASE,
};

/// The second arm of a comparison.
pub(super) struct OtherArm {
    /// Name of the base in reports.
    pub(super) against: String,
    /// Cases that exist in one arm only.
    pub(super) unmatched: Vec<String>,
    /// The base commit's tree, if the base is a commit.
    pub(super) checkout: Option<Checkout>,
}

/// Adds the second arm to the plan.
pub(super) fn add(run: &Run, args: &Args, plan: &mut Plan, bench: &str) -> Result<OtherArm, Failure> {
    if let Some(server) = &args.versus {
        if !plan.cases.iter().any(|case| case.server == *server) {
            let mut chosen: Vec<&str> = plan.cases.iter().map(|case| case.server.as_str()).collect();
            chosen.sort_unstable();
            chosen.dedup();
            return Err(Failure::usage(format!(
                "--versus {server}: none of the chosen cases is of that server, but of {}; correct it, name it with --server too, or \
                 choose its scenario",
                chosen.join(", ")
            )));
        }
        return Ok(OtherArm {
            against: server.clone(),
            unmatched: leave_out_partnerless(plan, server),
            checkout: None,
        });
    }
    let Some(base) = args.base() else {
        return Err(Failure::usage(
            "--gate needs something to compare with: --against GIT_REF, --versus SERVER, or a --threshold",
        ));
    };
    let reference = base.reference();
    let manifest_dir = plan.order.manifest_dir.clone();
    let folder = run.store.root().join("against");
    let checkout = against::check_out(base, &manifest_dir, &against::isolated_folder(&folder)?)?;
    let short = &checkout.commit[..12.min(checkout.commit.len())];
    if let Some(choice) = &checkout.choice {
        run.listeners
            .notice("", format!("the base is commit {short}: {choice}"));
    }
    let source = against::source(&checkout, &manifest_dir)?;
    let text = match &source {
        against::Source::Running => {
            format!("commit {short}: the sources of this bench are unchanged, so no build is needed")
        }
        against::Source::Built(why) => format!("building its bench, commit {short}: {why}"),
    };
    run.listeners.tell(&Event::Preparing {
        what: reference.to_owned(),
        text,
    });
    let mut notes = Vec::new();
    let declared = against::declarations(
        &checkout,
        &source,
        &against::Request {
            bench,
            // Use a separate target folder: cargo names benches by their path in the workspace, so in this one the base's
            // bench would replace the running program and each build would invalidate the other.
            target: &folder.join("target"),
            arguments: &as_here(args, plan),
            hidden: &Args::variables(),
        },
        &mut notes,
    );
    for note in notes {
        run.listeners.notice("", note);
    }
    // Ctrl-C also stops cargo, which must not be reported as a failed build.
    let declared = declared.map_err(|error| {
        if run.interrupt.asked() {
            Failure::interrupted("while the base was built")
        } else {
            error.into()
        }
    })?;
    set_candidate_env(plan, &args.candidate_env);
    let unmatched = add_base(plan, &declared);
    if !plan.order.jobs.iter().any(|job| job.arm == BASE) {
        return Err(Failure::usage(format!(
            "{reference} has none of the selected cases ({}); select cases that exist in both",
            unmatched.join(", ")
        )));
    }
    let against = if checkout.choice.is_some() {
        format!("{reference} (merge base {})", checkout.commit)
    } else {
        format!("{reference} ({})", checkout.commit)
    };
    Ok(OtherArm {
        against,
        unmatched,
        checkout: Some(checkout),
    })
}

/// Returns the arguments with which the base's bench resolves its servers like this one: profile, and CPUs or cluster.
fn as_here(args: &Args, plan: &Plan) -> Vec<String> {
    let mut given = Vec::new();
    if args.quick {
        given.push("--quick".to_owned());
    }
    if let Some(profile) = &args.profile {
        // Profile files are resolved here; named profiles are those of the other commit.
        let file = profiles::as_file(profile).and_then(|file| path::absolute(file).ok());
        let profile = file.map_or_else(|| profile.clone(), |file| file.display().to_string());
        given.push(format!("--profile={profile}"));
    }
    if cluster::wanted(args) {
        // Limits are those of the declaration, and not clamped to this machine.
        given.push("--sandbox=kubernetes".to_owned());
    } else if !plan.order.shared_cpus {
        given.push(format!("--server-cpus={}", format_list(&plan.order.server_cpus)));
        given.push(format!("--load-cpus={}", format_list(&plan.order.load_cpus)));
    }
    given
}

/// Pairs the servers of `--versus` and returns cases that exist on one side only, which are not measured.
fn leave_out_partnerless(plan: &mut Plan, server: &str) -> Vec<String> {
    let side = |of_server: bool| -> BTreeSet<(String, String)> {
        let jobs = plan.order.jobs.iter().map(|job| &job.case);
        jobs.filter(|case| (case.server == server) == of_server)
            .map(|case| (case.scenario.clone(), case.param.clone()))
            .collect()
    };
    let both: BTreeSet<(String, String)> = side(true).intersection(&side(false)).cloned().collect();
    let has_partner = |case: &Case| both.contains(&(case.scenario.clone(), case.param.clone()));
    let unmatched = plan.order.jobs.iter().map(|job| &job.case);
    let unmatched = unmatched
        .filter(|case| !has_partner(case))
        .map(|case| format!("{}: no case of {} to compare with", case.id, other_side(case, server)))
        .collect();
    plan.order.jobs.retain(|job| has_partner(&job.case));
    plan.cases.retain(has_partner);
    unmatched
}

fn other_side<'a>(case: &Case, server: &'a str) -> &'a str {
    if case.server == server {
        "another server"
    } else {
        server
    }
}

/// Applies `--candidate-env` to the candidate arm: the jobs before those of the base are added.
fn set_candidate_env(plan: &mut Plan, variables: &[(String, String)]) {
    if variables.is_empty() {
        return;
    }
    for job in &mut plan.order.jobs {
        let env = &mut Arc::make_mut(&mut job.spec).env;
        env.retain(|(name, _)| variables.iter().all(|(given, _)| given != name));
        env.extend_from_slice(variables);
    }
}

/// Adds a base job for each candidate job whose case the other commit has, and returns the other cases.
fn add_base(plan: &mut Plan, declared: &Declared) -> Vec<String> {
    let mut unmatched = Vec::new();
    let mut base = Vec::new();
    plan.order.jobs.retain(|job| {
        let case = declared.cases.iter().find(|c| c.id == job.case.id);
        let spec = case.and_then(|case| declared.servers.iter().find(|s| s.name == case.server));
        let Some((case, spec)) = case.zip(spec) else {
            unmatched.push(format!("{}: not in the reference", job.case.id));
            return false;
        };
        // Declared loads have requests; loads of scripts have none.
        if job.case.work.script().is_some() != case.load.requests.is_empty() {
            unmatched.push(format!("{}: scripted in one arm only", job.case.id));
            return false;
        }
        let mut spec = spec.clone();
        // The same content gives the same image; the name distinguishes the two in messages.
        if !plan.order.server_cpus.is_empty() {
            spec.limits.cpus = spec.limits.cpus.min(plan.order.server_cpus.len());
        }
        base.push(Job {
            case: with_load(&job.case, case.load.clone()),
            arm: BASE,
            spec: Arc::new(spec),
        });
        true
    });
    plan.cases.retain(|case| base.iter().any(|job| job.case.id == case.id));
    plan.order.jobs.extend(base);
    unmatched
}

/// Returns the case with the base's load and its own thresholds, which do not affect the requests. Scripts are code: both arms run
/// those of the working tree.
fn with_load(case: &Case, mut load: Load) -> Case {
    load.thresholds.clone_from(&case.work.load().thresholds);
    Case {
        work: case.work.clone().with_load(load),
        ..case.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        against::DeclaredCase,
        cli::samples::plan,
        declare::Work,
        declare::samples::spec,
        load::{Load, Model, get, script::script},
    };

    fn scripted(load: Load) -> Work {
        let script = script(|_| Box::pin(async { Ok(()) }));
        Work::Script { load, script }
    }

    #[test]
    fn cases_of_one_side_are_named_and_not_measured() {
        let mut plan = plan(&[
            ("ping/one", Work::Load(Load::closed(1).request(get("/")))),
            ("ping/two", Work::Load(Load::closed(1).request(get("/")))),
            ("json/two", Work::Load(Load::closed(1).request(get("/json")))),
        ]);
        let place = |case: &mut Case| {
            let (scenario, server) = case.id.split_once('/').unwrap();
            (case.scenario, case.server) = (scenario.to_owned(), server.to_owned());
        };
        plan.cases.iter_mut().for_each(place);
        plan.order.jobs.iter_mut().for_each(|job| place(&mut job.case));
        let unmatched = leave_out_partnerless(&mut plan, "one");
        assert_eq!(unmatched, ["json/two: no case of one to compare with"]);
        let ids: Vec<&str> = plan.order.jobs.iter().map(|job| job.case.id.as_str()).collect();
        assert_eq!(ids, ["ping/one", "ping/two"]);
        assert_eq!(plan.cases.len(), 2);
        let unmatched = leave_out_partnerless(&mut plan, "three");
        assert_eq!(unmatched.len(), 2);
        assert!(plan.order.jobs.is_empty());
    }

    fn of_one_case(server_cpus: Vec<usize>, limit: usize) -> Plan {
        let mut plan = plan(&[("ping", Work::Load(Load::closed(1).request(get("/"))))]);
        plan.order.server_cpus = server_cpus;
        let mut server = spec();
        server.limits.cpus = limit;
        add_base(
            &mut plan,
            &Declared {
                version: Declared::VERSION,
                manifest_dir: "/".into(),
                cases: vec![DeclaredCase {
                    id: "ping".into(),
                    server: server.name.clone(),
                    load: Load::closed(1).request(get("/")),
                }],
                servers: vec![server],
            },
        );
        plan
    }

    #[test]
    fn base_keeps_its_cpus_in_a_cluster() {
        let base_cpus = |plan: &Plan| {
            plan.order
                .jobs
                .iter()
                .find(|job| job.arm == BASE)
                .unwrap()
                .spec
                .limits
                .cpus
        };
        assert_eq!(base_cpus(&of_one_case(vec![0, 1], 4)), 2, "clamped to this machine");
        // The nodes' CPUs are not known before the launch.
        assert_eq!(base_cpus(&of_one_case(Vec::new(), 4)), 4);
    }

    #[test]
    fn base_is_resolved_where_its_servers_run() {
        let here = |words: &str, cpus: Vec<usize>| {
            let args = Args::parse_from_os(words.split(' ').map(Into::into)).unwrap();
            as_here(&args, &of_one_case(cpus, 1))
        };
        let local = here("bench --bench", vec![0]);
        assert!(local.contains(&"--server-cpus=0".to_owned()), "{local:?}");
        assert_eq!(
            here("bench --bench --sandbox kubernetes --registry r", Vec::new()),
            ["--sandbox=kubernetes"]
        );
    }

    #[test]
    fn base_arm_has_its_own_load_and_the_working_trees_script() {
        let declared = |load: Load| Work::Load(load.request(get("/")));
        let mut plan = plan(&[
            ("declared", declared(Load::closed(1).for_script())),
            ("scripted", scripted(Load::closed(1).for_script())),
            ("became_scripted", scripted(Load::closed(1).for_script())),
            ("became_declared", declared(Load::closed(1).for_script())),
            ("new", scripted(Load::closed(1).for_script())),
        ]);
        let case = |id: &str, load: Load| DeclaredCase {
            id: id.into(),
            server: "one".into(),
            load,
        };
        let unmatched = add_base(
            &mut plan,
            &Declared {
                version: Declared::VERSION,
                manifest_dir: "/".into(),
                servers: vec![spec()],
                cases: vec![
                    case("declared", Load::closed(2).request(get("/old"))),
                    case("scripted", Load::closed(3).for_script()),
                    case("became_scripted", Load::closed(4).request(get("/"))),
                    case("became_declared", Load::closed(5).for_script()),
                ],
            },
        );
        assert_eq!(
            unmatched,
            [
                "became_scripted: scripted in one arm only",
                "became_declared: scripted in one arm only",
                "new: not in the reference"
            ]
        );
        let base: Vec<&Job> = plan.order.jobs.iter().filter(|job| job.arm == BASE).collect();
        assert_eq!(plan.order.jobs.len(), 2 * base.len());
        assert_eq!(base[0].case.work.load(), &Load::closed(2).request(get("/old")));
        assert!(base[0].case.work.script().is_none());
        assert_eq!(base[1].case.work.load().model, Model::Closed { connections: 3 });
        assert!(base[1].case.work.script().is_some());
    }
}
