//! `main` of a bench target.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use super::{
    Failure,
    args::{Args, Count, OutputFormat},
    baseline, cluster, compare, conformance, counts,
    exit::ExitStatus,
    explain, list, output, plan,
    project::{Baked, Project},
    resume,
    run::{self, Listeners, Run},
    self_check, target, thresholds, tune,
};
use crate::{
    against::bench::DECLARATIONS_VARIABLE,
    declare::Declarations,
    measure::{Interrupt, event::Event},
    null_server,
    report::export::Format,
    sandbox::{MachineLock, Sandbox},
    store::Store,
};

/// Runs the command line of a bench target; the body of `wsgibench_harness::main!()`. The arguments are cargo's variables
/// `CARGO_MANIFEST_DIR`, `CARGO_PKG_NAME` and `CARGO_CRATE_NAME` at compile time.
#[must_use]
pub fn run_main(manifest_dir: &str, package: &str, crate_name: &str) -> ExitCode {
    null_server::maybe_serve();
    #[cfg(feature = "kubernetes")]
    if let Some(status) = crate::measure::run_if_pod() {
        return status;
    }
    let baked = Baked {
        manifest_dir: Path::new(manifest_dir),
        package,
    };
    let status = match go(baked, crate_name, std::env::args_os()) {
        Ok(status) => status,
        Err(failure) => {
            // Error texts are for users, so backtraces are left out.
            eprintln!(
                "{} {}",
                console::style("error:").red().bold().for_stderr(),
                failure.text
            );
            failure.status
        }
    };
    // Statuses range from 0 to 130.
    ExitCode::from(u8::try_from(status as i32).unwrap_or(1))
}

fn go(baked: Baked<'_>, bench: &str, args: impl Iterator<Item = OsString>) -> Result<ExitStatus, Failure> {
    let mut args = match Args::parse_from_os(args) {
        Ok(args) => args,
        Err(error) => {
            // --help and --version also arrive here, for standard output and with status 0.
            let _ = error.print();
            return Ok(if error.use_stderr() {
                ExitStatus::Usage
            } else {
                ExitStatus::Success
            });
        }
    };
    output::set_colors(args.color);
    let mut prints = Some(output::StdoutToStderr::new());
    let declarations_file = std::env::var_os(DECLARATIONS_VARIABLE).filter(|path| !path.is_empty());
    let project = match &declarations_file {
        Some(_) => Project::of_declarations(baked),
        None => Project::locate(baked)?,
    };
    let manifest_dir = project.manifest_dir.as_path();
    let mut declarations = Declarations::collect()?;
    let moved = project.relocate(&mut declarations);
    if let Some(server) = &mut args.versus {
        *server = declarations
            .reference(server)
            .map_err(|problem| Failure::usage(format!("--versus {server}: {problem}")))?;
    }
    for running in &args.server_urls {
        declarations
            .check_running(running)
            .map_err(|problem| Failure::usage(format!("--server-url: {problem}")))?;
        declarations.add_running(running, manifest_dir);
    }
    if let Some(file) = &declarations_file {
        return plan::write_declarations(&declarations, manifest_dir, &args, Path::new(file));
    }
    // Validate the command line before starting anything.
    cluster::check_usage(&args)?;
    let exports = output::exports(&args)?;
    if args.list {
        let cases = plan::listed(&declarations, &args, manifest_dir)?;
        drop(prints);
        let text = list::render(&cases, declarations.cases().len(), args.format, output::width());
        output::print(text.as_bytes())?;
        return Ok(ExitStatus::Success);
    }
    let examination = conformance::request(&declarations, &args, &exports)?;
    let target_dir = target::dir(manifest_dir);
    let store = Store::new(&target_dir);
    let listeners = Listeners::new(output::listeners(&args));
    let runtime = runtime()?;
    let _one_at_a_time = runtime
        .block_on(MachineLock::acquire(|text| listeners.notice("", text)))
        .map_err(|e| Failure::machine(format!("failed to acquire the measurement lock: {e}")))?;
    if let Some(moved) = moved {
        listeners.notice("", moved);
    }
    tell_recovered(&store, &listeners);
    let run = Run {
        store,
        runtime,
        interrupt: Interrupt::listen(Sandbox::emergency_cleanup)
            .map_err(|e| Failure::machine(format!("failed to handle Ctrl-C: {e}")))?,
        listeners: Arc::clone(&listeners),
    };
    if args.output_format == OutputFormat::Pretty || examination.is_some() {
        prints = None;
    }
    if let Some(request) = &examination {
        return conformance::run(&run, request, &args, &declarations, &target_dir);
    }
    let work = Work {
        args: &args,
        declarations: &declarations,
        manifest_dir,
        target_dir: &target_dir,
        exports: &exports,
        bench,
    };
    measure(&run, &work, prints)
}

/// The inputs of a measurement.
struct Work<'a> {
    args: &'a Args,
    declarations: &'a Declarations,
    manifest_dir: &'a Path,
    target_dir: &'a Path,
    exports: &'a [(Format, PathBuf)],
    bench: &'a str,
}

/// Measures or loads a baseline, compares, and writes all outputs of the run. Results go to standard output when `prints`
/// ends.
fn measure(run: &Run, work: &Work<'_>, prints: Option<output::StdoutToStderr>) -> Result<ExitStatus, Failure> {
    let (args, listeners) = (work.args, &run.listeners);
    counts::check_usage(args)?;
    let formats: Vec<Format> = work.exports.iter().map(|(format, _)| *format).collect();
    explain::check_usage(run, args, &formats)?;
    let earlier = baseline::read(&run.store, args)?;
    if let Some(name) = &args.load_baseline {
        let kept = run.store.read_baseline(name)?;
        let newest = kept
            .last()
            .cloned()
            .ok_or_else(|| Failure::usage(format!("baseline `{name}` is empty")))?;
        baseline::conclude(&run.store, args, earlier.as_deref(), &newest, listeners)?;
        return Ok(ExitStatus::Success);
    }
    let mut plan = plan::make(work.declarations, args, work.manifest_dir, work.target_dir)?;
    thresholds::apply(run, args, &mut plan)?;
    let tuning = tune::prepare(run, args, &mut plan)?;
    baseline::foretell(args, earlier.as_deref(), &plan.order.jobs, listeners);
    if let Some(name) = &args.resume {
        resume::prepare(&run.store, name, args, &mut plan)?;
    }
    if args.count == Some(Count::First) {
        let (mut counted, counted_plan) = counts::first(run, args, &plan, work.bench)?;
        if counted.status != ExitStatus::Success {
            explain::after(run, args, &counted_plan, &mut counted.record);
            listeners.notice("", "the gate ends with the counts; time is not measured");
            listeners.tell(&Event::Finished {
                run: Box::new(counted.record.clone()),
            });
            drop(prints);
            output::finish(
                &run.store,
                &counted.record,
                args,
                work.exports,
                work.target_dir,
                listeners,
            )?;
            return Ok(counted.status);
        }
        listeners.notice("", "no count has risen; measuring time");
    }
    let (mut record, status) = if let Some(tuning) = &tuning {
        tune::run(run, args, &plan, tuning)?
    } else if counts::is_alone(args) {
        let counted = counts::run(run, args, &mut plan, work.bench, earlier.as_deref(), work.declarations)?;
        (counted.record, counted.status)
    } else if compare::wanted(args, &plan) {
        compare::run(run, args, &mut plan, work.bench)?
    } else if args.self_check {
        match self_check::run(run, args, &mut plan)? {
            (Some(record), status) => (record, status),
            (None, status) => return Ok(status),
        }
    } else {
        let record = run.measure(args, &plan, &mut run::fixed(&plan))?;
        let status = run::status(&record);
        (record, status)
    };
    explain::after(run, args, &plan, &mut record);
    // A tuning has judged the thresholds of each setting.
    let status = match tuning {
        Some(_) => status,
        None => thresholds::conclude(run, args, &mut record, status)?,
    };
    // A baseline that lacks a case must not discard the measurement: write everything else first.
    let advised = baseline::conclude(
        &run.store,
        args,
        earlier.as_deref(),
        &baseline::population(&record),
        listeners,
    );
    listeners.tell(&Event::Finished {
        run: Box::new(record.clone()),
    });
    drop(prints);
    output::finish(&run.store, &record, args, work.exports, work.target_dir, listeners)?;
    if args.output_format == OutputFormat::Json {
        output::print_json(&record)?;
    }
    match advised {
        // The status of the gate takes precedence over an incomplete baseline.
        Err(failure) if status != ExitStatus::Success => listeners.notice("", failure.text),
        advised => advised?,
    }
    Ok(status)
}

/// Recovers killed runs and reports them.
fn tell_recovered(store: &Store, listeners: &Listeners) {
    for recovered in store.recover() {
        match recovered {
            Ok(run) => listeners.notice(
                "",
                format!(
                    "run {} was killed; recovered {} completed rounds to {}",
                    run.id,
                    run.rounds,
                    run.path.display()
                ),
            ),
            Err(error) => listeners.notice("", format!("failed to recover a killed run: {error}")),
        }
    }
}

/// Creates the runtime of the run.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::machine(format!("failed to start the runtime: {e}")))
}
