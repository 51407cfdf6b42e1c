//! Command-line arguments of `wsgibench`.

use std::path::PathBuf;

use crate::report::export::Format;
use clap::{Args, Parser, Subcommand, builder::styling};

const EXAMPLES: &str = "\
Examples:
  wsgibench new demo                     create a project with an application, a server and two scenarios
  cd demo && cargo bench -- --quick      measure it
  wsgibench doctor                       check this machine for problems that distort measurements
  wsgibench list                         list the stored runs
  wsgibench compare 20261121T101500-4f2a latest
  wsgibench report 20261121T101500-4f2a latest
  wsgibench export csv latest figures.csv
  wsgibench clean                        list removable items without removing them

RUN is a run's id, `latest`, a run's folder, or the path of a run.json.

Exit status: 0 success, 1 failure, 2 wrong usage.
To measure, use `cargo bench`; `cargo bench -- --help` lists its options.";

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// Create, check and manage benchmarks of Python web servers
#[derive(Debug, Parser)]
#[command(name = "wsgibench", version, after_help = EXAMPLES, styles = STYLES, max_term_width = 100)]
#[command(arg_required_else_help = true, propagate_version = true)]
pub(super) struct Arguments {
    /// Target folder of Cargo, where runs are stored [default: that of the current project]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) target_dir: Option<PathBuf>,

    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        env = "WSGIBENCH_COLOR"
    )]
    pub(super) color: ColorWhen,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a benchmark project: server folder, application, benchmark, CI
    New(New),
    /// Check this machine for problems that distort measurements, with remedies
    Doctor,
    /// Compare two stored runs case by case (advice, not a gate)
    Compare(Compare),
    /// Regenerate the HTML report of one or more runs
    Report(Report),
    /// Export a run in another format
    Export(Export),
    /// List the stored runs
    List,
    /// Remove files, containers and images of wsgibench; without options, only list them
    Clean(Clean),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wsgibench new demo                          depends on the published crate
  wsgibench new demo --path ../wsgibench      depends on a checkout of wsgibench

The project is written as a whole or not at all; a folder that is not empty is refused.")]
pub(super) struct New {
    /// Folder to create; its last component is the package name
    pub(super) name: PathBuf,
    /// Depend on this checkout of wsgibench instead of the published crate
    #[arg(long, value_name = "CHECKOUT")]
    pub(super) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Runs at different times are not a fair comparison, because the machine may have changed between them. The command shows
the expected range of the later run given the earlier one, and never fails. For a gate, use

  cargo bench -- --against GIT_REF --gate")]
pub(super) struct Compare {
    /// The earlier run
    #[arg(value_name = "RUN")]
    pub(super) earlier: String,
    /// The later run
    #[arg(value_name = "RUN")]
    pub(super) later: String,
    /// Compare only this metric; repeatable [default: all]
    #[arg(long = "metric", value_name = "METRIC")]
    pub(super) metrics: Vec<crate::stats::Metric>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wsgibench report                              the newest run
  wsgibench report RUN RUN RUN                  the newest in full, and the history of all
  wsgibench report --baseline main              with the history of a saved baseline
  wsgibench report /mnt/old/run.json --output old.html

A damaged run is shown as far as it is readable; the report lists missing data.")]
pub(super) struct Report {
    /// Runs to report on [default: latest]
    #[arg(value_name = "RUN")]
    pub(super) runs: Vec<String>,
    /// Output path [default: wsgibench/report/index.html in the target folder]
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Include the history of this saved baseline
    #[arg(long, value_name = "NAME")]
    pub(super) baseline: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Format: csv, xlsx, junit, markdown, bencher, bencher-lines, github-action-benchmark, json, svg, png
    #[arg(value_name = "FORMAT")]
    pub(super) format: Format,
    /// Run to export
    #[arg(value_name = "RUN")]
    pub(super) run: String,
    /// Output path: a file, or a folder for svg and png; `-` is standard output
    #[arg(value_name = "PATH")]
    pub(super) path: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wsgibench clean                     list items and their sizes without removing them
  wsgibench clean --all               remove images, networks, containers and environments; the next run recreates them
  wsgibench clean --runs --keep 10    remove all but the ten newest runs
  wsgibench clean --all --dry-run     list what --all would remove

Items of a run that may still be active are kept. Saved baselines are never removed.")]
#[expect(clippy::struct_excessive_bools, reason = "a switch on the command line is a bool")]
pub(super) struct Clean {
    /// Remove everything that the next run recreates: --images, --networks and --environments (stored runs stay)
    #[arg(long)]
    pub(super) all: bool,
    /// Remove images of servers, and base images that were built here
    #[arg(long)]
    pub(super) images: bool,
    /// Remove containers and networks of killed runs
    #[arg(long)]
    pub(super) networks: bool,
    /// Remove virtual environments and temporary folders under the target folder
    #[arg(long)]
    pub(super) environments: bool,
    /// Remove stored runs, which cannot be recreated
    #[arg(long)]
    pub(super) runs: bool,
    /// With --runs: keep the newest N
    #[arg(long, value_name = "N", default_value_t = 0, requires = "runs")]
    pub(super) keep: usize,
    /// Show what would be removed without removing it
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
