//! `--conformance`: checks servers against the rules of HTTP/1.1 and PEP 3333 instead of measuring.

use std::{path::PathBuf, sync::Arc};

use super::{
    Failure,
    args::{Args, OutputFormat},
    exit::ExitStatus,
    output, plan,
    run::{Place, Run},
};
use crate::{
    declare::{Case, Declarations, DeclaredServer, ServerSpec, Variant},
    measure::{conformance_runner::ConformanceRunner, event::Event},
    report::{conformance, export::Format},
    store::{ConformanceRecord, write_output},
};

/// Selected servers and exports of the table, validated before anything is started.
pub(super) struct Request {
    cases: Vec<Case>,
    exports: Vec<(Format, PathBuf)>,
}

/// Returns the conformance request, if any: the servers of `--server` and `--tag`, by default all tuned ones.
pub(super) fn request(
    declarations: &Declarations,
    args: &Args,
    exports: &[(Format, PathBuf)],
) -> Result<Option<Request>, Failure> {
    if !args.conformance {
        return Ok(None);
    }
    let known = |format: Format| matches!(format, Format::Markdown | Format::Csv);
    if let Some((format, _)) = exports.iter().find(|(format, _)| !known(*format)) {
        return Err(Failure::usage(format!(
            "--conformance supports export as markdown or csv, not {}; complete results are in target/wsgibench/conformance.json",
            format.name()
        )));
    }
    if !args.filters.is_empty() || !args.scenarios.is_empty() || !args.skip.is_empty() {
        return Err(Failure::usage(
            "--conformance checks servers, not cases: select them with --server or --tag",
        ));
    }
    plan::selector(args)
        .check_names(declarations, &declarations.cases())
        .map_err(|e| Failure::usage(e.to_string()))?;
    let chosen = |declared: &&DeclaredServer| {
        let server = &declared.server;
        if args.servers.is_empty() && args.tags.is_empty() {
            // A variant for a specific comparison behaves like the server that it derives from.
            return server.variant == Variant::Tuned && !server.opt_in && represents(declarations, declared);
        }
        (args.servers.is_empty() || args.servers.iter().any(|name| declared.is_called(name)))
            && (args.tags.is_empty() || args.tags.iter().any(|tag| server.tags.contains(tag)))
    };
    let all = declarations.cases();
    let cases: Vec<Case> = declarations
        .servers
        .iter()
        .filter(chosen)
        .filter_map(|declared| all.iter().find(|case| case.server == declared.name).cloned())
        .collect();
    if cases.is_empty() {
        return Err(Failure::usage("no server selected; `--list .` shows all"));
    }
    Ok(Some(Request {
        cases,
        exports: exports.to_vec(),
    }))
}

/// Returns whether the server represents all variants of its function: it is the default one, or the first if none is.
fn represents(declarations: &Declarations, declared: &DeclaredServer) -> bool {
    let function = declared.function();
    let mut variants = declarations
        .servers
        .iter()
        .filter(|server| server.function() == function);
    let default = variants.clone().find(|server| server.server.default_variant);
    default
        .or_else(|| variants.next())
        .is_some_and(|server| server.name == declared.name)
}

/// Checks the servers, prints the table and writes `conformance.json`.
pub(super) fn run(
    run: &Run,
    request: &Request,
    args: &Args,
    declarations: &Declarations,
    target_dir: &std::path::Path,
) -> Result<ExitStatus, Failure> {
    let folder = run.store.root().join("conformance");
    let resolved = plan::for_servers(declarations, &request.cases, args)?;
    for notice in resolved.notices {
        run.listeners.tell(&Event::Noticed(notice));
    }
    let sandbox = run.open_sandbox(
        args,
        Place {
            run_id: format!("conformance-{}", std::process::id()),
            run_dir: folder.clone(),
            target_dir: target_dir.to_owned(),
            server_cpus: resolved.cpus,
            runs_already: false,
        },
    )?;
    let mut record = ConformanceRecord::new(sandbox.kind().name());
    let path = run.store.conformance_path();
    let emit = |event: Event| run.listeners.tell(&event);
    let outcome = examine(run, &sandbox, &resolved.specs, &folder, &emit, &mut record);
    run.runtime.block_on(sandbox.close());
    record.interrupted = run.interrupt.asked();
    record.write(&path)?;
    outcome?;
    for (format, path) in &request.exports {
        let failed = |why: String| Failure::machine(format!("failed to export to {}: {why}", path.display()));
        let bytes = match format {
            Format::Csv => conformance::csv(&record).map_err(|e| failed(e.to_string()))?,
            _ => conformance::markdown(&record).into_bytes(),
        };
        if path.as_os_str() == "-" {
            output::print(&bytes)?;
        } else {
            write_output(path, &bytes).map_err(|e| failed(e.to_string()))?;
        }
    }
    match args.output_format {
        OutputFormat::Json => {
            let json = serde_json::to_vec_pretty(&record).map_err(|e| Failure::machine(e.to_string()))?;
            output::print(&json)?;
        }
        OutputFormat::Pretty | OutputFormat::Bencher => {
            output::print(conformance::terminal(&record).as_bytes())?;
            output::print(format!("\ncomplete results: {}\n", path.display()).as_bytes())?;
        }
    }
    Ok(match record {
        _ if record.interrupted => ExitStatus::Interrupted,
        _ if record.servers.iter().any(unexamined) => ExitStatus::CaseFailed,
        _ => ExitStatus::Success,
    })
}

/// Returns whether a server should have been checked but was not. Unavailable servers do not fail the run.
fn unexamined(server: &crate::store::ServerConformance) -> bool {
    let why = server.unexamined.as_deref();
    why.is_some_and(|why| !why.starts_with("not available here"))
}

fn examine(
    run: &Run,
    sandbox: &crate::sandbox::Sandbox,
    specs: &[Arc<ServerSpec>],
    folder: &std::path::Path,
    emit: &(dyn Fn(Event) + Sync),
    record: &mut ConformanceRecord,
) -> Result<(), Failure> {
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs).map_err(|e| Failure::machine(format!("{}: {e}", logs.display())))?;
    let examiner = ConformanceRunner {
        sandbox,
        runtime: &run.runtime,
        interrupt: &run.interrupt,
        logs: &logs,
        emit,
    };
    for spec in specs {
        if run.interrupt.asked() {
            break;
        }
        record.servers.push(examiner.examine(spec));
    }
    Ok(())
}
