//! What the command understands.

use std::path::PathBuf;

use crate::report::export::Format;
use clap::{Args, Parser, Subcommand, builder::styling};

const EXAMPLES: &str = "\
Examples:
  wsgibench new demo                     a project with an application, a server and two scenarios
  cd demo && cargo bench -- --quick      measures it
  wsgibench doctor                       what stands in the way of a good measurement here
  wsgibench list                         the runs that are stored
  wsgibench compare 20261121T101500-4f2a latest
  wsgibench report 20261121T101500-4f2a latest
  wsgibench export csv latest figures.csv
  wsgibench clean                        shows what could go; removes nothing

RUN is a run's id, `latest`, a run's folder, or the path of a run.json.

Exit status: 0 all went well, 1 it could not be done, 2 wrong usage.
Measuring is `cargo bench`; its options are shown by `cargo bench -- --help`.";

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

/// Benchmarks of web servers: a project of your own, a look at the machine, and work on stored runs.
#[derive(Debug, Parser)]
#[command(name = "wsgibench", version, after_help = EXAMPLES, styles = STYLES, max_term_width = 100)]
#[command(arg_required_else_help = true, propagate_version = true)]
pub(super) struct Arguments {
    /// Cargo's target folder, under which runs are stored [default: that of the project here, as cargo finds it]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) target_dir: Option<PathBuf>,

    /// When to colour
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
    /// Make a project of your own: server folder, application, benchmark, CI
    New(New),
    /// Look for what is in the way of a good measurement on this machine, and say how to mend it
    Doctor,
    /// Compare two runs, case by case: advice, no gate
    Compare(Compare),
    /// Make the HTML report again, of one run or of several side by side
    Report(Report),
    /// Write a run in another format
    Export(Export),
    /// List the stored runs
    List,
    /// Remove what wsgibench left behind; without an option it only shows what there is
    Clean(Clean),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wsgibench new demo                          depends on the published crate
  wsgibench new demo --path ../wsgibench      depends on a checkout of wsgibench

Writes the whole project or nothing, and never into a folder that holds something.")]
pub(super) struct New {
    /// Folder to make; its last part is the name of the package
    pub(super) name: PathBuf,
    /// Depend on this checkout of wsgibench instead of the published crate
    #[arg(long, value_name = "CHECKOUT")]
    pub(super) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Two runs of different times are not a fair comparison: the machine may have changed between them. So this says what
was to be expected of the second run after the first, and never fails. The decision is made by

  cargo bench -- --against GIT_REF --gate")]
pub(super) struct Compare {
    /// The earlier run
    #[arg(value_name = "RUN")]
    pub(super) earlier: String,
    /// The later run
    #[arg(value_name = "RUN")]
    pub(super) later: String,
    /// Only this metric; several may be given [default: all]
    #[arg(long = "metric", value_name = "METRIC")]
    pub(super) metrics: Vec<crate::stats::Metric>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wsgibench report                              the newest run
  wsgibench report RUN RUN RUN                  the newest of them in full, the others beside it
  wsgibench report --baseline main              with the history of a saved baseline
  wsgibench report /mnt/old/run.json --output old.html

A run whose file is damaged is shown as far as it can be read; the report says what is missing.")]
pub(super) struct Report {
    /// Which runs [default: latest]
    #[arg(value_name = "RUN")]
    pub(super) runs: Vec<String>,
    /// Where to [default: wsgibench/report/index.html in the target folder]
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Show the history of this saved baseline as well
    #[arg(long, value_name = "NAME")]
    pub(super) baseline: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// What to write: csv, xlsx, junit, markdown, bencher, bencher-lines, github-action-benchmark, json, svg, png
    #[arg(value_name = "FORMAT")]
    pub(super) format: Format,
    /// Which run
    #[arg(value_name = "RUN")]
    pub(super) run: String,
    /// Where to: a file, a folder for svg and png; `-` is the standard output
    #[arg(value_name = "PATH")]
    pub(super) path: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wsgibench clean                     shows what there is and how large it is; removes nothing
  wsgibench clean --all               all that the next run makes again: images, networks, containers, environments
  wsgibench clean --runs --keep 10    all but the ten newest runs
  wsgibench clean --all --dry-run     what --all would remove

What belongs to a run that may still be alive is kept. Saved baselines are never removed.")]
#[expect(clippy::struct_excessive_bools, reason = "a switch on the command line is a bool")]
pub(super) struct Clean {
    /// All that the next run makes again: --images, --networks and --environments (measured runs stay)
    #[arg(long)]
    pub(super) all: bool,
    /// Images that were built for servers, and base images that were made here
    #[arg(long)]
    pub(super) images: bool,
    /// Containers and networks that killed runs left
    #[arg(long)]
    pub(super) networks: bool,
    /// Virtual environments and temporary folders under the target folder
    #[arg(long)]
    pub(super) environments: bool,
    /// Stored runs: their figures cannot be had again
    #[arg(long)]
    pub(super) runs: bool,
    /// With --runs: keep so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0, requires = "runs")]
    pub(super) keep: usize,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        super::Arguments::command().debug_assert();
    }
}
