//! Outputs of a run besides its record: terminal, HTML report, exports, Criterion's files.

use std::{
    io::{IsTerminal as _, Write as _},
    os::fd::OwnedFd,
    path::PathBuf,
};

use super::{
    Failure,
    args::{Args, ColorArg, OutputFormat},
    run::Listeners,
};
use crate::{
    report::{
        Listener, criterion,
        export::{self, Format},
        terminal::{Options, Terminal},
    },
    store::{Store, ignore_closed_pipe, record::RunRecord},
    variables::colors,
};

/// Applies the colour option to both streams.
pub(super) fn set_colors(when: ColorArg) {
    colors::set(match when {
        ColorArg::Auto => None,
        ColorArg::Always => Some(true),
        ColorArg::Never => Some(false),
    });
}

/// While alive, redirects standard output of user functions to standard error, because standard output carries listings and
/// results for programs.
#[derive(Debug)]
pub(super) struct StdoutToStderr {
    stdout: Option<OwnedFd>,
}

impl StdoutToStderr {
    pub(super) fn new() -> Self {
        let redirect = || {
            std::io::stdout().flush().ok()?;
            let stdout = rustix::io::dup(rustix::stdio::stdout()).ok()?;
            rustix::stdio::dup2_stdout(rustix::stdio::stderr()).ok()?;
            Some(stdout)
        };
        Self { stdout: redirect() }
    }
}

impl Drop for StdoutToStderr {
    fn drop(&mut self) {
        let _ = std::io::stdout().flush();
        if let Some(stdout) = &self.stdout {
            let _ = rustix::stdio::dup2_stdout(stdout);
        }
    }
}

/// Width of the terminal; `None` without one.
pub(super) fn width() -> Option<u16> {
    let terminal = console::Term::stdout();
    terminal.features().is_attended().then(|| terminal.size().1)
}

/// Creates the receivers of a run's events.
pub(super) fn listeners(args: &Args) -> Vec<Box<dyn Listener + Send>> {
    let options = Options {
        // Other formats own standard output.
        results: args.output_format == OutputFormat::Pretty,
        quiet: args.quiet,
        verbose: args.verbose,
        interactive: std::io::stderr().is_terminal(),
    };
    vec![Box::new(Terminal::new(options))]
}

/// The exports of `--export`, validated before the measurement.
pub(super) fn exports(args: &Args) -> Result<Vec<(Format, PathBuf)>, Failure> {
    args.exports()
        .map_err(Failure::usage)?
        .into_iter()
        .map(|(format, path)| {
            let usage = |error: export::ExportError| Failure::usage(format!("--export: {error}"));
            let format: Format = format.parse().map_err(usage)?;
            format.check_built().map_err(usage)?;
            Ok((format, path))
        })
        .collect()
}

/// Writes all outputs of a finished run.
pub(super) fn finish(
    store: &Store,
    run: &RunRecord,
    args: &Args,
    exports: &[(Format, PathBuf)],
    target_dir: &std::path::Path,
    listeners: &Listeners,
) -> Result<(), Failure> {
    for (format, path) in exports {
        if format.is_profile() && run.explanation.is_none() {
            listeners.notice("", format!("no {format} is written: the run has no profiles"));
            continue;
        }
        export::write(*format, run, path)
            .map_err(|e| Failure::machine(format!("failed to export to {}: {e}", path.display())))?;
        if path.as_os_str() != "-" {
            listeners.notice("", format!("exported to {}", path.display()));
        }
    }
    let saved = args.save_baseline.as_deref();
    if let Err(error) = criterion::write(run, target_dir, saved) {
        listeners.notice("", format!("failed to write Criterion's files: {error}"));
    }
    if args.output_format == OutputFormat::Bencher {
        let text = export::render(Format::BencherLines, run).map_err(|e| Failure::machine(e.to_string()))?;
        print(&text)?;
    }
    if !args.noplot {
        html(store, run, args, listeners);
    }
    Ok(())
}

#[cfg(feature = "html")]
fn html(store: &Store, run: &RunRecord, args: &Args, listeners: &Listeners) {
    use crate::report::html::{Baseline, Page, write};
    let path = store.root().join("report").join("index.html");
    let named = [&args.baseline, &args.baseline_lenient, &args.save_baseline];
    let name = named.into_iter().flatten().next();
    // The baseline was read before the run; if it has been deleted since, leave it out.
    let kept = name.and_then(|name| Some((name, store.read_baseline(name).ok()?)));
    // Unreadable conformance results must not hide the run.
    let mut missing = Vec::new();
    let conformance = store.read_conformance().unwrap_or_else(|error| {
        missing.push(error.to_string());
        None
    });
    let page = Page {
        runs: &[run],
        baseline: kept.as_ref().map(|(name, runs)| Baseline { name, runs }),
        conformance: conformance.as_ref(),
        missing: &missing,
    };
    match write(&page, &path) {
        Ok(()) => listeners.tell(&crate::measure::event::Event::Reported { path }),
        Err(error) => listeners.notice("", format!("failed to write the report: {error}")),
    }
}

#[cfg(not(feature = "html"))]
fn html(_store: &Store, _run: &RunRecord, _args: &Args, _listeners: &Listeners) {}

/// Prints the whole run on standard output.
pub(super) fn print_json(run: &RunRecord) -> Result<(), Failure> {
    let mut json = serde_json::to_vec_pretty(run).map_err(|e| Failure::machine(e.to_string()))?;
    json.push(b'\n');
    print(&json)
}

/// Writes bytes to standard output.
pub(super) fn print(bytes: &[u8]) -> Result<(), Failure> {
    ignore_closed_pipe(std::io::stdout().write_all(bytes))
        .map_err(|e| Failure::machine(format!("failed to write to standard output: {e}")))
}
