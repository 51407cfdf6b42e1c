//! The command line, as clap sees it. Each option has a `WSGIBENCH_*` twin in the environment.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{CommandFactory as _, Parser, ValueEnum};

use super::verdict::Gate;
use crate::{against::Base, declare::RunningServer, sandbox::cpus::parse_list};

const EXAMPLES: &str = "\
Examples:
  cargo bench                                     the default profile
  cargo bench -- --quick                          a short look at the same cases
  cargo bench -- --list                           what the default profile runs; `--list .` shows all there is
  cargo bench -- ping/gunicorn                    cases whose id matches a regular expression
  cargo bench -- --server bjoern --server uwsgi   only these servers
  cargo bench -- --profile appdynamics            a published study again
  cargo bench -- ping --server-url http://10.0.0.7:8000   a server that runs already
  cargo bench -- --save-baseline main             keep the figures; compare later with --baseline main
  cargo bench -- --against origin/main --gate     fail if a server became slower than at that commit

Exit status: 0 done; 1 a case failed to run; 2 wrong usage, or a plan that cannot do what was asked; 3 regression;
4 inconclusive under --gate strict; 5 a gated measurement is missing or invalid; 130 ended by Ctrl-C.";

/// Measures web servers: each in its own container, loaded by an engine that hides nothing.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo bench --", bin_name = "cargo bench --", version, after_help = EXAMPLES, disable_help_subcommand = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Args {
    /// Regular expressions on the case id `scenario/server/param`; a case that matches any is run.
    #[arg(value_name = "FILTER", help_heading = "Which cases")]
    pub filters: Vec<String>,
    /// Leaves out cases whose id matches.
    #[arg(long, value_name = "REGEX", env = "WSGIBENCH_SKIP", help_heading = "Which cases")]
    pub skip: Vec<String>,
    /// FILTER is a whole case id, not a regular expression.
    #[arg(long, help_heading = "Which cases")]
    pub exact: bool,
    /// Only this server (may be given again).
    #[arg(
        long = "server",
        value_name = "NAME",
        env = "WSGIBENCH_SERVER",
        value_delimiter = ',',
        help_heading = "Which cases"
    )]
    pub servers: Vec<String>,
    /// Only this scenario (may be given again).
    #[arg(
        long = "scenario",
        value_name = "NAME",
        env = "WSGIBENCH_SCENARIO",
        value_delimiter = ',',
        help_heading = "Which cases"
    )]
    pub scenarios: Vec<String>,
    /// Only servers and scenarios with this tag (may be given again).
    #[arg(
        long = "tag",
        value_name = "TAG",
        env = "WSGIBENCH_TAG",
        value_delimiter = ',',
        help_heading = "Which cases"
    )]
    pub tags: Vec<String>,
    /// Runs cases marked `ignore` too.
    #[arg(long, help_heading = "Which cases")]
    pub include_ignored: bool,
    /// Runs only cases marked `ignore`.
    #[arg(long, help_heading = "Which cases")]
    pub ignored: bool,
    /// Lists the cases and ends.
    #[arg(long, help_heading = "Which cases")]
    pub list: bool,
    /// Form of --list.
    #[arg(long, value_name = "FORM", default_value = "pretty", help_heading = "Which cases")]
    pub format: ListFormat,

    /// A short look: 2 launches, 0.5 s of warm-up, one round of 1.5 s.
    #[arg(long, env = "WSGIBENCH_QUICK", help_heading = "Effort")]
    pub quick: bool,
    /// A profile by name, or a TOML file.
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_PROFILE",
        conflicts_with = "quick",
        help_heading = "Effort"
    )]
    pub profile: Option<String>,
    /// Fresh starts of each server per case.
    #[arg(long, value_name = "N", env = "WSGIBENCH_LAUNCHES", value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Effort")]
    pub launches: Option<u32>,
    /// Measured intervals per launch.
    #[arg(long, value_name = "N", env = "WSGIBENCH_ROUNDS", value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Effort")]
    pub rounds: Option<u32>,
    /// Load before the first round: seconds, or with a unit (500ms, 2s).
    #[arg(long, value_name = "TIME", env = "WSGIBENCH_WARM_UP_TIME", value_parser = time, help_heading = "Effort")]
    pub warm_up_time: Option<Duration>,
    /// Length of a round: seconds, or with a unit.
    #[arg(long, value_name = "TIME", env = "WSGIBENCH_MEASUREMENT_TIME", value_parser = positive_time, help_heading = "Effort")]
    pub measurement_time: Option<Duration>,
    /// Seed of the order, the mixes and the schedules; a fresh one is drawn and recorded otherwise.
    #[arg(long, value_name = "N", env = "WSGIBENCH_SEED", help_heading = "Effort")]
    pub seed: Option<u64>,

    /// Goes on with a run that was interrupted or killed: the newest such run, or the one named. The command line must be the same.
    #[arg(
        long,
        value_name = "RUN",
        env = "WSGIBENCH_RESUME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "newest",
        conflicts_with_all = ["against", "against_tip", "versus", "gate", "self_check", "load_baseline"],
        help_heading = "Effort"
    )]
    pub resume: Option<String>,

    /// A server that runs already, asked in place of those that are declared (may be given again); with the name of a declared
    /// one it stands for it.
    #[arg(
        long = "server-url",
        value_name = "[NAME=]URL",
        env = "WSGIBENCH_SERVER_URL",
        value_delimiter = ',',
        help_heading = "Where"
    )]
    pub server_urls: Vec<RunningServer>,
    /// Where servers run.
    #[arg(
        long,
        value_name = "WHERE",
        env = "WSGIBENCH_SANDBOX",
        default_value = "auto",
        help_heading = "Where"
    )]
    pub sandbox: SandboxArg,
    /// CPUs of the servers, e.g. `0`, `0-2` or `0,2`.
    #[arg(long, value_name = "SET", env = "WSGIBENCH_SERVER_CPUS", value_parser = cpu_set, help_heading = "Where")]
    pub server_cpus: Option<CpuSet>,
    /// CPUs of the load engine; disjoint from those of the servers.
    #[arg(long, value_name = "SET", env = "WSGIBENCH_LOAD_CPUS", value_parser = cpu_set, help_heading = "Where")]
    pub load_cpus: Option<CpuSet>,

    /// Compares the working tree with the commit at which it branched off from this one (the merge base), block by block in one run.
    #[arg(
        long,
        value_name = "GIT_REF",
        env = "WSGIBENCH_AGAINST",
        group = "base_commit",
        conflicts_with = "versus",
        help_heading = "Comparing"
    )]
    pub against: Option<String>,
    /// Compares the working tree with this commit itself, including what the branch does not have yet.
    #[arg(
        long,
        value_name = "GIT_REF",
        env = "WSGIBENCH_AGAINST_TIP",
        group = "base_commit",
        conflicts_with_all = ["against", "versus"],
        help_heading = "Comparing"
    )]
    pub against_tip: Option<String>,
    /// Compares the other servers with this one.
    #[arg(long, value_name = "SERVER", env = "WSGIBENCH_VERSUS", help_heading = "Comparing")]
    pub versus: Option<String>,
    /// Sets an environment variable in the working tree's servers only, so that a setting is compared as a change of code
    /// is (with --against; may be given again).
    #[arg(
        long,
        value_name = "NAME=VALUE",
        env = "WSGIBENCH_CANDIDATE_ENV",
        requires = "base_commit",
        value_parser = variable,
        help_heading = "Comparing"
    )]
    pub candidate_env: Vec<(String, String)>,
    /// Fails on a regression; `strict` fails on what cannot be decided too.
    #[arg(long, value_name = "HOW", env = "WSGIBENCH_GATE", num_args = 0..=1, require_equals = true, default_missing_value = "on", help_heading = "Comparing")]
    pub gate: Option<Gate>,
    /// Another margin for a metric, percent (may be given again).
    #[arg(
        long,
        value_name = "METRIC=PERCENT",
        env = "WSGIBENCH_MARGIN",
        value_delimiter = ',',
        help_heading = "Comparing"
    )]
    pub margin: Vec<String>,
    /// Gate on this metric instead of the default ones (repeatable).
    #[arg(
        long,
        value_name = "METRIC",
        env = "WSGIBENCH_GATE_METRIC",
        value_delimiter = ',',
        help_heading = "Comparing"
    )]
    pub gate_metric: Vec<String>,
    /// Take this metric out of the gate: its changes are shown and never fail (repeatable).
    #[arg(
        long,
        value_name = "METRIC",
        env = "WSGIBENCH_UNGATE",
        value_delimiter = ',',
        help_heading = "Comparing"
    )]
    pub ungate: Vec<String>,
    /// Longest time for the measurement of a comparison; refused beforehand when no decision fits in it.
    #[arg(long, value_name = "TIME", env = "WSGIBENCH_BUDGET", value_parser = positive_time, help_heading = "Comparing")]
    pub budget: Option<Duration>,
    /// Measure identical arms: fail if they differ by more than chance, and report how small a change a gate can see here.
    #[arg(long, env = "WSGIBENCH_SELF_CHECK", conflicts_with_all = ["against", "against_tip", "versus", "gate"], help_heading = "Comparing")]
    pub self_check: bool,
    /// With --self-check: run this many real gates on identical arms and report the bound that they put on the rate of false
    /// alarms. Interrupted, the same command resumes.
    #[arg(long, value_name = "N", env = "WSGIBENCH_GATES", requires = "self_check", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Comparing")]
    pub gates: Option<u32>,
    /// Keeps the figures under this name; a baseline grows with each run saved to it.
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_SAVE_BASELINE",
        help_heading = "Comparing"
    )]
    pub save_baseline: Option<String>,
    /// Compares with figures kept before (advice, not a gate); cases that are not in it are an error.
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_BASELINE",
        conflicts_with = "baseline_lenient",
        help_heading = "Comparing"
    )]
    pub baseline: Option<String>,
    /// The same, but cases that are not in it are only noted.
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_BASELINE_LENIENT",
        help_heading = "Comparing"
    )]
    pub baseline_lenient: Option<String>,
    /// Takes the figures of a baseline's newest run in place of measuring; with --baseline it compares two kept ones.
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_LOAD_BASELINE",
        help_heading = "Comparing"
    )]
    pub load_baseline: Option<String>,

    /// Asks servers the rules of HTTP/1.1 and PEP 3333 in place of measuring: all that are set up with care, or those of --server
    /// and --tag.
    #[arg(long, env = "WSGIBENCH_CONFORMANCE", conflicts_with_all = ["against", "against_tip", "versus", "gate", "self_check", "save_baseline", "baseline", "baseline_lenient", "load_baseline"], help_heading = "Which cases")]
    pub conformance: bool,

    /// What is printed on standard output.
    #[arg(
        long,
        value_name = "FORM",
        env = "WSGIBENCH_OUTPUT_FORMAT",
        default_value = "pretty",
        help_heading = "Output"
    )]
    pub output_format: OutputFormat,
    /// Writes the run in another form as well (may be given again).
    #[arg(long, value_name = "FORMAT=PATH", env = "WSGIBENCH_EXPORT", help_heading = "Output")]
    pub export: Vec<String>,
    /// Makes no HTML report.
    #[arg(long, env = "WSGIBENCH_NOPLOT", help_heading = "Output")]
    pub noplot: bool,
    /// When to use colour.
    #[arg(
        long,
        value_name = "WHEN",
        env = "WSGIBENCH_COLOR",
        default_value = "auto",
        help_heading = "Output"
    )]
    pub color: ColorArg,
    /// Prints results only.
    #[arg(
        long,
        short,
        env = "WSGIBENCH_QUIET",
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    pub quiet: bool,
    /// Prints each launch and round as well.
    #[arg(long, short, env = "WSGIBENCH_VERBOSE", help_heading = "Output")]
    pub verbose: bool,

    /// Given by `cargo bench`; without it each case is only tried once (`cargo test --benches`).
    #[arg(long, hide = true)]
    pub bench: bool,
    /// Tries each case once, a few requests each.
    #[arg(long, hide = true)]
    pub test: bool,
    /// Accepted for the test protocol of cargo and nextest; output is never captured.
    #[arg(long, hide = true)]
    pub nocapture: bool,
}

/// `--list --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// A table.
    Pretty,
    /// `id: benchmark` a line, as test runners read it.
    Terse,
}

/// `--sandbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SandboxArg {
    /// Containers where an engine answers and a base image can be had, else local processes.
    Auto,
    /// Containers.
    Docker,
    /// Local processes.
    Process,
}

/// `--output-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Pretty,
    /// `test NAME ... bench: N ns/iter (+/- N)`.
    Bencher,
    /// The whole run as JSON.
    Json,
}

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorArg {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A set of CPUs, sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(pub Vec<usize>);

impl Args {
    /// Parses the process's arguments, with the program's name first.
    ///
    /// # Errors
    /// clap's own, with its exit status and its text.
    pub fn parse_from_os(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(join_gate(args))
    }

    /// The commit to compare with, if any.
    #[must_use]
    pub fn base(&self) -> Option<Base<'_>> {
        match (&self.against, &self.against_tip) {
            (Some(reference), _) => Some(Base::MergeBase(reference)),
            (None, Some(reference)) => Some(Base::Tip(reference)),
            (None, None) => None,
        }
    }

    /// The names of the environment variables that stand for options.
    #[must_use]
    pub fn variables() -> Vec<String> {
        let command = Self::command();
        let names = command.get_arguments().filter_map(clap::Arg::get_env);
        names.filter_map(|name| name.to_str().map(str::to_owned)).collect()
    }

    /// `--export FORMAT=PATH`, split.
    ///
    /// # Errors
    /// One without `=`.
    pub fn exports(&self) -> Result<Vec<(String, PathBuf)>, String> {
        self.export
            .iter()
            .map(|text| {
                text.split_once('=')
                    .filter(|(format, path)| !format.is_empty() && !path.is_empty())
                    .map(|(format, path)| (format.to_owned(), PathBuf::from(path)))
                    .ok_or_else(|| {
                        format!("`--export {text}` is not of the form FORMAT=PATH, e.g. `--export csv=results.csv`")
                    })
            })
            .collect()
    }
}

fn time(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("`{text}` is no length of time: give seconds, 0 or more"));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no length of time: give seconds (2.5) or a unit (500ms, 2s, 1min)"))
}

fn positive_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("a round of no length measures nothing: give seconds (2.5) or a unit (500ms)".to_owned()),
        time => Ok(time),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("`{text}` is not of the form NAME=VALUE, e.g. `WORKERS=4`"))
}

fn cpu_set(text: &str) -> Result<CpuSet, String> {
    parse_list(text).map(CpuSet).map_err(|e| e.to_string())
}

/// `--gate strict` means `--gate=strict`; any other word behind `--gate` is a filter.
fn join_gate(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for arg in args {
        if arg == "strict" && joined.last().is_some_and(|last| last == "--gate") {
            joined.pop();
            joined.push("--gate=strict".into());
        } else {
            joined.push(arg);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn cpu_sets() {
        assert_eq!(cpu_set("0").unwrap().0, [0]);
        assert_eq!(cpu_set("2,0-1,1").unwrap().0, [0, 1, 2]);
        assert!(cpu_set("a").is_err());
    }

    #[test]
    fn the_gate_takes_its_word_and_no_filter() {
        let gate = |args: &[&str]| {
            let args = Args::parse_from_os(args.iter().map(OsString::from)).unwrap();
            (args.gate, args.filters)
        };
        assert_eq!(gate(&["x", "--gate", "strict"]), (Some(Gate::Strict), vec![]));
        assert_eq!(
            gate(&["x", "--gate", "ping"]),
            (Some(Gate::On), vec!["ping".to_owned()])
        );
        assert_eq!(gate(&["x", "ping"]), (None, vec!["ping".to_owned()]));
    }

    #[test]
    fn one_commit_is_compared_with_at_most() {
        let parse = |args: &[&str]| Args::try_parse_from([&["x"], args].concat());
        assert_eq!(
            parse(&["--against", "main"]).unwrap().base(),
            Some(Base::MergeBase("main"))
        );
        assert_eq!(
            parse(&["--against-tip", "main"]).unwrap().base(),
            Some(Base::Tip("main"))
        );
        assert_eq!(parse(&[]).unwrap().base(), None);
        assert!(parse(&["--against", "a", "--against-tip", "b"]).is_err());
        assert!(parse(&["--against-tip", "a", "--self-check"]).is_err());
        assert!(parse(&["--against-tip", "a", "--candidate-env", "A=b"]).is_ok());
        assert!(parse(&["--candidate-env", "A=b"]).is_err());
        assert!(Args::variables().contains(&"WSGIBENCH_CANDIDATE_ENV".to_owned()));
    }

    #[test]
    fn times() {
        assert_eq!(time("2.5").unwrap(), Duration::from_millis(2_500));
        assert_eq!(time("500ms").unwrap(), Duration::from_millis(500));
        assert!(time("-1").is_err());
        assert!(time("soon").is_err());
        assert!(positive_time("0").is_err());
    }

    #[test]
    fn variables_are_split_at_the_first_equals_sign() {
        assert_eq!(variable("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert_eq!(variable("A=").unwrap(), ("A".to_owned(), String::new()));
        assert!(variable("A").unwrap_err().contains("NAME=VALUE"));
        assert!(variable("=b").is_err());
    }

    #[test]
    fn exports_are_split() {
        let args = Args::try_parse_from(["x", "--export", "csv=a=b.csv"]).unwrap();
        assert_eq!(args.exports().unwrap(), [("csv".to_owned(), PathBuf::from("a=b.csv"))]);
        let args = Args::try_parse_from(["x", "--export", "csv"]).unwrap();
        assert!(args.exports().unwrap_err().contains("FORMAT=PATH"));
    }
}
