//! Command-line options of `cargo bench`. Each option outside the test protocol has a `WSGIBENCH_*` variable.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Parser;

pub use super::option_values::{ColorArg, Count, CpuSet, Explain, GoalArg, ListFormat, OutputFormat, SandboxArg};
use super::{
    option_values::{cpu_set, positive_time, time, variable},
    verdict::Gate,
};
use crate::{against::Base, declare::RunningServer, variables};

const EXAMPLES: &str = "\
Examples:
  cargo bench                                     Run the default profile
  cargo bench -- --quick                          Run the same cases for a shorter time
  cargo bench -- --list                           List the cases of the default profile; `--list .` lists all
  cargo bench -- ping/gunicorn                    Run cases whose id matches a regular expression
  cargo bench -- --server bjoern --server uwsgi   Run the cases of these servers
  cargo bench -- --profile appdynamics            Repeat a published study
  cargo bench -- ping --server-url http://10.0.0.7:8000   Load a server that is already running
  cargo bench -- --save-baseline main             Save the figures; compare later with --baseline main
  cargo bench -- --threshold 'p99<50ms' --gate    Fail if a server breaks a threshold
  cargo bench -- --tune sleep --threshold 'p99<50ms'   Find the best workers and threads of a server with parameters
  cargo bench -- --against origin/main --gate     Fail if a server became slower than at that commit
  cargo bench -- --against origin/main --explain  Name the functions whose CPU time per request changed
  cargo bench -- --count                          Count instructions and system calls per request
  cargo bench -- --count --against main --gate    Fail if a request costs more instructions, on any noisy machine

Environment:
  An empty variable counts as unset. Switches take 1, true, yes, on and 0, false, no, off.
  Options on the command line take precedence.

Exit status:
  0    success
  1    a case failed to run
  2    invalid usage, or a plan that cannot do what was asked
  3    regression, or a broken threshold, or --tune --gate: the default variant is worse than the best
  4    inconclusive under --gate=strict or --tune --gate
  5    a gated measurement is missing or invalid
  130  interrupted by Ctrl-C";

/// Benchmark web servers, each isolated in a container, with a built-in load generator
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo bench --", bin_name = "cargo bench --", version, after_help = EXAMPLES, disable_help_subcommand = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[expect(clippy::doc_markdown, reason = "the help shows the text as it is")]
pub struct Args {
    /// Run cases whose id `scenario/server/param` matches one of these regular expressions
    #[arg(value_name = "FILTER", help_heading = "Selection")]
    pub filters: Vec<String>,
    /// Skip cases whose id matches
    #[arg(long, value_name = "REGEX", env = "WSGIBENCH_SKIP", help_heading = "Selection")]
    pub skip: Vec<String>,
    /// Match FILTER against the whole case id instead of as a regular expression
    #[arg(long, help_heading = "Selection")]
    pub exact: bool,
    /// Run only this server; repeatable
    #[arg(
        long = "server",
        value_name = "NAME",
        env = "WSGIBENCH_SERVER",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub servers: Vec<String>,
    /// Run only this scenario; repeatable
    #[arg(
        long = "scenario",
        value_name = "NAME",
        env = "WSGIBENCH_SCENARIO",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub scenarios: Vec<String>,
    /// Run only servers and scenarios with this tag; repeatable
    #[arg(
        long = "tag",
        value_name = "TAG",
        env = "WSGIBENCH_TAG",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub tags: Vec<String>,
    /// Also run cases marked `ignore`
    #[arg(long, help_heading = "Selection")]
    pub include_ignored: bool,
    /// Run only cases marked `ignore`
    #[arg(long, help_heading = "Selection")]
    pub ignored: bool,
    /// List the selected cases and exit
    #[arg(long, help_heading = "Selection")]
    pub list: bool,
    /// Output format of --list
    #[arg(long, value_name = "FORM", default_value = "pretty", help_heading = "Selection")]
    pub format: ListFormat,

    /// Run for a short time: 2 launches, 0.5 s of warm-up, one round of 1.5 s
    #[arg(long, env = "WSGIBENCH_QUICK", help_heading = "Effort")]
    pub quick: bool,
    /// Use a profile: its name, or the path of a TOML file
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_PROFILE",
        conflicts_with = "quick",
        help_heading = "Effort"
    )]
    pub profile: Option<String>,
    /// Number of fresh starts of the server for each case
    #[arg(long, value_name = "N", env = "WSGIBENCH_LAUNCHES", value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Effort")]
    pub launches: Option<u32>,
    /// Number of measured intervals in each launch
    #[arg(long, value_name = "N", env = "WSGIBENCH_ROUNDS", value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Effort")]
    pub rounds: Option<u32>,
    /// Duration of the load before the first round: seconds, or with a unit (500ms, 2s)
    #[arg(long, value_name = "TIME", env = "WSGIBENCH_WARM_UP_TIME", value_parser = time, help_heading = "Effort")]
    pub warm_up_time: Option<Duration>,
    /// Duration of a round: seconds, or with a unit
    #[arg(long, value_name = "TIME", env = "WSGIBENCH_MEASUREMENT_TIME", value_parser = positive_time, help_heading = "Effort")]
    pub measurement_time: Option<Duration>,
    /// Seed for launch order, request mixes and arrival schedules [default: random, recorded in the run]
    #[arg(long, value_name = "N", env = "WSGIBENCH_SEED", help_heading = "Effort")]
    pub seed: Option<u64>,

    /// Resume an interrupted run: the newest one, or RUN. The other arguments must be the same
    #[arg(
        long,
        value_name = "RUN",
        env = "WSGIBENCH_RESUME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "newest",
        conflicts_with_all = ["against", "against_tip", "versus", "self_check", "load_baseline"],
        help_heading = "Effort"
    )]
    pub resume: Option<String>,

    /// Load a server that is already running instead of the declared ones; repeatable. NAME of a declared server replaces that one
    #[arg(
        long = "server-url",
        value_name = "[NAME=]URL",
        env = "WSGIBENCH_SERVER_URL",
        value_delimiter = ',',
        help_heading = "Environment"
    )]
    pub server_urls: Vec<RunningServer>,
    /// Where to run servers
    #[arg(
        long,
        value_name = "WHERE",
        env = "WSGIBENCH_SANDBOX",
        default_value = "auto",
        help_heading = "Environment"
    )]
    pub sandbox: SandboxArg,
    /// Context of the kubeconfig [default: its current one; in a pod, its service account]
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_KUBE_CONTEXT",
        help_heading = "Kubernetes"
    )]
    pub kube_context: Option<String>,
    /// Namespace of the pods [default: that of the context]
    #[arg(long, value_name = "NAME", env = "WSGIBENCH_NAMESPACE", help_heading = "Kubernetes")]
    pub namespace: Option<String>,
    /// Number of pods that offer the load together [default: one for each node that is not the server's]
    #[arg(long, value_name = "N", env = "WSGIBENCH_LOAD_PODS", value_parser = clap::value_parser!(u32).range(1..=1_000), help_heading = "Kubernetes")]
    pub load_pods: Option<u32>,
    /// CPU request of each load pod, as a Kubernetes quantity: 1, 500m
    #[arg(
        long,
        value_name = "CPU",
        env = "WSGIBENCH_LOAD_POD_CPU",
        default_value = "1",
        help_heading = "Kubernetes"
    )]
    pub load_pod_cpu: String,
    /// Run load pods on nodes with this label; repeatable
    #[arg(long, value_name = "LABEL=VALUE", env = "WSGIBENCH_LOAD_NODE_SELECTOR", value_parser = variable, value_delimiter = ',', help_heading = "Kubernetes")]
    pub load_node_selector: Vec<(String, String)>,
    /// Run servers on nodes with this label; repeatable
    #[arg(long, value_name = "LABEL=VALUE", env = "WSGIBENCH_SERVER_NODE_SELECTOR", value_parser = variable, value_delimiter = ',', help_heading = "Kubernetes")]
    pub server_node_selector: Vec<(String, String)>,
    /// Push images to a registry below PREFIX, from which the nodes pull them by digest
    #[arg(
        long,
        value_name = "PREFIX",
        env = "WSGIBENCH_REGISTRY",
        conflicts_with = "image_loader",
        help_heading = "Kubernetes"
    )]
    pub registry: Option<String>,
    /// Load images into the nodes by a command to which their names are appended, e.g. `kind load docker-image`
    #[arg(
        long,
        value_name = "COMMAND",
        env = "WSGIBENCH_IMAGE_LOADER",
        help_heading = "Kubernetes"
    )]
    pub image_loader: Option<String>,

    /// CPUs for the servers, e.g. `0`, `0-2` or `0,2`
    #[arg(long, value_name = "SET", env = "WSGIBENCH_SERVER_CPUS", value_parser = cpu_set, help_heading = "Environment")]
    pub server_cpus: Option<CpuSet>,
    /// CPUs for the load generator; must not overlap those of the servers
    #[arg(long, value_name = "SET", env = "WSGIBENCH_LOAD_CPUS", value_parser = cpu_set, help_heading = "Environment")]
    pub load_cpus: Option<CpuSet>,

    /// Compare the working tree with its merge base with GIT_REF, in paired blocks of one run
    #[arg(
        long,
        value_name = "GIT_REF",
        env = "WSGIBENCH_AGAINST",
        group = "base_commit",
        conflicts_with = "versus",
        help_heading = "Comparison"
    )]
    pub against: Option<String>,
    /// Compare the working tree with the tip of GIT_REF, including commits that the branch lacks
    #[arg(
        long,
        value_name = "GIT_REF",
        env = "WSGIBENCH_AGAINST_TIP",
        group = "base_commit",
        conflicts_with_all = ["against", "versus"],
        help_heading = "Comparison"
    )]
    pub against_tip: Option<String>,
    /// Compare the other servers with this one
    #[arg(long, value_name = "SERVER", env = "WSGIBENCH_VERSUS", help_heading = "Comparison")]
    pub versus: Option<String>,
    /// Set an environment variable in the servers of the working tree only, to compare a setting (with --against); repeatable
    #[arg(
        long,
        value_name = "NAME=VALUE",
        env = "WSGIBENCH_CANDIDATE_ENV",
        requires = "base_commit",
        value_parser = variable,
        help_heading = "Comparison"
    )]
    pub candidate_env: Vec<(String, String)>,
    /// Fail on a regression or a broken threshold; `strict` also fails if one is inconclusive
    #[arg(long, value_name = "HOW", env = "WSGIBENCH_GATE", num_args = 0..=1, require_equals = true, default_missing_value = "on", help_heading = "Comparison")]
    pub gate: Option<Gate>,
    /// Count instructions, system calls, bytes and database statements per request under valgrind, instead of measuring time;
    /// `first` gates on counts before time (with --gate)
    #[arg(long, value_name = "WHEN", env = "WSGIBENCH_COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "alone", conflicts_with_all = ["self_check", "load_baseline", "resume", "budget"], help_heading = "Comparison")]
    pub count: Option<Count>,
    /// With --count: compare with the counts in FILE, `counts.toml` by default; a rise beyond the margin fails
    #[arg(long, value_name = "FILE", env = "WSGIBENCH_CHECK_COUNTS", num_args = 0..=1, require_equals = true, default_missing_value = "counts.toml", conflicts_with_all = ["against", "against_tip", "versus"], help_heading = "Comparison")]
    pub check_counts: Option<PathBuf>,
    /// With --count: write the counts to FILE, `counts.toml` by default; cases that were not selected are kept
    #[arg(long, value_name = "FILE", env = "WSGIBENCH_BLESS_COUNTS", num_args = 0..=1, require_equals = true, default_missing_value = "counts.toml", conflicts_with_all = ["check_counts", "against", "against_tip", "versus"], help_heading = "Comparison")]
    pub bless_counts: Option<PathBuf>,
    /// After the measurement, profile further launches and name the functions whose CPU time per request changed; `on-regression`:
    /// only where a gate fails
    #[arg(long, value_name = "WHEN", env = "WSGIBENCH_EXPLAIN", num_args = 0..=1, require_equals = true, default_missing_value = "on", conflicts_with_all = ["self_check", "load_baseline"], help_heading = "Comparison")]
    pub explain: Option<Explain>,
    /// Set the margin of a metric in percent; repeatable
    #[arg(
        long,
        value_name = "METRIC=PERCENT",
        env = "WSGIBENCH_MARGIN",
        value_delimiter = ',',
        help_heading = "Comparison"
    )]
    pub margin: Vec<String>,
    /// Gate on this metric instead of the default ones; repeatable
    #[arg(
        long,
        value_name = "METRIC",
        env = "WSGIBENCH_GATE_METRIC",
        value_delimiter = ',',
        help_heading = "Comparison"
    )]
    pub gate_metric: Vec<String>,
    /// Take this metric out of the gate: its changes are shown and never fail; repeatable
    #[arg(
        long,
        value_name = "METRIC",
        env = "WSGIBENCH_UNGATE",
        value_delimiter = ',',
        help_heading = "Comparison"
    )]
    pub ungate: Vec<String>,
    /// Judge a metric against a limit over launches (p99<50ms, errors<0.1%, memory<512MiB, throughput>2000); a broken threshold fails
    /// a gate, which needs no base then; repeatable
    #[arg(
        long,
        value_name = "METRIC<VALUE",
        env = "WSGIBENCH_THRESHOLD",
        value_delimiter = ',',
        conflicts_with_all = ["self_check", "load_baseline", "conformance"],
        help_heading = "Comparison"
    )]
    pub threshold: Vec<String>,
    /// Search the best setting of servers with parameters: measure all selected variants under one load, drop worse ones early,
    /// recommend the cheapest of the best; with --gate, fail if the default variant is worse by more than the margin
    #[arg(
        long,
        env = "WSGIBENCH_TUNE",
        conflicts_with_all = ["against", "against_tip", "versus", "count", "check_counts", "bless_counts", "explain", "self_check", "save_baseline", "baseline", "baseline_lenient", "load_baseline", "conformance", "gate_metric", "ungate"],
        help_heading = "Tuning"
    )]
    pub tune: bool,
    /// What the best setting is best in, within the thresholds [default: throughput]
    #[arg(
        long,
        value_name = "GOAL",
        env = "WSGIBENCH_GOAL",
        requires = "tune",
        help_heading = "Tuning"
    )]
    pub goal: Option<GoalArg>,
    /// Limit the time of a comparison or a tuning: shorten rounds first, then plan fewer blocks; refused beforehand if it is too short for
    /// a decision [default of a tuning: 15 minutes]
    #[arg(long, value_name = "TIME", env = "WSGIBENCH_BUDGET", value_parser = positive_time, help_heading = "Comparison")]
    pub budget: Option<Duration>,
    /// Measure identical arms: fail if they differ by more than chance, and report how small a change a gate can detect here
    #[arg(long, env = "WSGIBENCH_SELF_CHECK", conflicts_with_all = ["against", "against_tip", "versus", "gate"], help_heading = "Comparison")]
    pub self_check: bool,
    /// With --self-check: run N real gates on identical arms and report the bound on the rate of false alarms; resumable
    #[arg(long, value_name = "N", env = "WSGIBENCH_GATES", requires = "self_check", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Comparison")]
    pub gates: Option<u32>,
    /// Save the figures under this name; a baseline grows with each run saved to it
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_SAVE_BASELINE",
        help_heading = "Comparison"
    )]
    pub save_baseline: Option<String>,
    /// Compare with a saved baseline (advice, not a gate); a case that it lacks is an error
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_BASELINE",
        conflicts_with = "baseline_lenient",
        help_heading = "Comparison"
    )]
    pub baseline: Option<String>,
    /// Compare with a saved baseline; a case that it lacks is a notice
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_BASELINE_LENIENT",
        help_heading = "Comparison"
    )]
    pub baseline_lenient: Option<String>,
    /// Load the newest run of a baseline instead of measuring; with --baseline, compare two saved baselines
    #[arg(
        long,
        value_name = "NAME",
        env = "WSGIBENCH_LOAD_BASELINE",
        help_heading = "Comparison"
    )]
    pub load_baseline: Option<String>,

    /// Check servers against the rules of HTTP/1.1 and PEP 3333 instead of measuring; all tuned servers, or those of --server and --tag
    #[arg(long, env = "WSGIBENCH_CONFORMANCE", conflicts_with_all = ["against", "against_tip", "versus", "gate", "explain", "self_check", "save_baseline", "baseline", "baseline_lenient", "load_baseline"], help_heading = "Selection")]
    pub conformance: bool,

    /// Format of standard output
    #[arg(
        long,
        value_name = "FORM",
        env = "WSGIBENCH_OUTPUT_FORMAT",
        default_value = "pretty",
        help_heading = "Output"
    )]
    pub output_format: OutputFormat,
    /// Also write the run in another format; PATH `-` is standard output; repeatable
    #[arg(long, value_name = "FORMAT=PATH", env = "WSGIBENCH_EXPORT", help_heading = "Output")]
    pub export: Vec<String>,
    /// Do not write the HTML report
    #[arg(long, env = "WSGIBENCH_NOPLOT", help_heading = "Output")]
    pub noplot: bool,
    /// When to use colour
    #[arg(
        long,
        value_name = "WHEN",
        env = "WSGIBENCH_COLOR",
        default_value = "auto",
        help_heading = "Output"
    )]
    pub color: ColorArg,
    /// Print results only
    #[arg(
        long,
        short,
        env = "WSGIBENCH_QUIET",
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    pub quiet: bool,
    /// Also print each launch and round
    #[arg(long, short, env = "WSGIBENCH_VERBOSE", help_heading = "Output")]
    pub verbose: bool,

    /// Passed by `cargo bench`; without it, each case is tried once (`cargo test --benches`)
    #[arg(long, hide = true)]
    pub bench: bool,
    /// Try each case once with a few requests
    #[arg(long, hide = true)]
    pub test: bool,
    /// Accepted for the test protocol of cargo and nextest; output is never captured
    #[arg(long, hide = true)]
    pub nocapture: bool,
}

impl Args {
    /// Parses the process's arguments, the program's name first, and the environment.
    ///
    /// # Errors
    /// Returns clap's error, with its exit status and text.
    pub fn parse_from_os(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        variables::parse_arguments(join_gate(args))
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
        variables::names::<Self>()
    }

    /// Splits each `--export FORMAT=PATH`.
    ///
    /// # Errors
    /// Returns the message for an export without `=`.
    pub fn exports(&self) -> Result<Vec<(String, PathBuf)>, String> {
        self.export
            .iter()
            .map(|text| {
                text.split_once('=')
                    .filter(|(format, path)| !format.is_empty() && !path.is_empty())
                    .map(|(format, path)| (format.to_owned(), PathBuf::from(path)))
                    .ok_or_else(|| {
                        format!("invalid value `{text}` for --export: expected FORMAT=PATH, e.g. csv=results.csv")
                    })
            })
            .collect()
    }
}

/// Joins `--gate strict` to `--gate=strict`; any other word after `--gate` is a filter.
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
    fn command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn gate_option_takes_strict_but_no_filter() {
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
    fn commands_that_the_report_recommends_are_accepted() {
        for command in [
            "--save-baseline main",
            "--resume",
            "--self-check",
            "--exact ping/uwsgi/c64 ping/wsgiref/c64",
            "--profile ci --launches 12 --scenario shop --server waitress --server gunicorn_gthread",
            "--against origin/main --exact ping/gunicorn_gthread/c64",
            "--versus gunicorn_gthread --gate",
        ] {
            let args = Args::parse_from_os(["x"].into_iter().chain(command.split(' ')).map(OsString::from));
            assert!(args.is_ok(), "{command}");
        }
    }

    #[test]
    fn only_one_base_commit_is_accepted() {
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

    /// Options of the test protocol and the filters: a variable for them would change what a test runner asks for.
    const WITHOUT_VARIABLE: [&str; 10] = [
        "filters",
        "exact",
        "include_ignored",
        "ignored",
        "list",
        "format",
        "bench",
        "test",
        "nocapture",
        "help",
    ];

    #[test]
    fn every_option_has_a_variable_and_accepts_it_empty() {
        use clap::CommandFactory as _;
        let command = Args::command();
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let name = format!(
                "WSGIBENCH_{}",
                arg.get_long().unwrap_or_default().replace('-', "_").to_uppercase()
            );
            match arg.get_env() {
                Some(variable) => assert_eq!(variable, name.as_str(), "{id}"),
                None => assert!(WITHOUT_VARIABLE.contains(&id), "--{id} has no variable {name}"),
            }
        }
        let empty = |_: &std::ffi::OsStr| Some(OsString::new());
        let args = variables::parse_with::<Args>(["x".into()], &empty).unwrap();
        let unset = variables::parse_with::<Args>(["x".into()], &|_: &std::ffi::OsStr| None).unwrap();
        assert_eq!(format!("{args:?}"), format!("{unset:?}"));
    }

    #[test]
    fn disabled_switch_variables_conflict_with_nothing() {
        use clap::CommandFactory as _;
        let command = Args::command();
        let is_switch = |arg: &&clap::Arg| {
            matches!(arg.get_action(), clap::ArgAction::SetTrue)
                || arg.get_num_args().is_some_and(|range| range.min_values() == 0)
        };
        let switches = command.get_arguments().filter(is_switch).filter_map(clap::Arg::get_env);
        let switches: Vec<OsString> = switches.map(ToOwned::to_owned).collect();
        assert!(switches.len() >= 8, "{switches:?}");
        let parse = |line: &[&str], name: &OsString, value: &str| {
            let variable = |asked: &std::ffi::OsStr| (asked == name).then(|| OsString::from(value));
            let line = ["x"].iter().chain(line).map(OsString::from);
            variables::parse_with::<Args>(line, &variable).map(|args| format!("{args:?}"))
        };
        let lines: [&[&str]; 6] = [
            &["--profile", "full"],
            &["--against", "main", "--gate"],
            &["--baseline", "main"],
            &["--verbose"],
            &["--count"],
            &["--explain"],
        ];
        for name in &switches {
            for line in lines {
                let unset = parse(line, name, "").unwrap();
                for off in ["false", "0", "no", "off"] {
                    assert_eq!(parse(line, name, off).unwrap(), unset, "{name:?}={off}");
                }
            }
            let off = parse(&[], name, "off").unwrap();
            for on in ["true", "1", "yes", "on"] {
                assert_ne!(parse(&[], name, on).unwrap(), off, "{name:?}={on}");
            }
            // Names of runs and files may be any word.
            if !["WSGIBENCH_RESUME", "WSGIBENCH_CHECK_COUNTS", "WSGIBENCH_BLESS_COUNTS"]
                .contains(&name.to_str().unwrap())
            {
                let error = parse(&[], name, "maybe").unwrap_err().to_string();
                assert!(error.contains(name.to_str().unwrap()), "{error}");
            }
        }
    }

    #[test]
    fn exports_are_split() {
        let args = Args::try_parse_from(["x", "--export", "csv=a=b.csv"]).unwrap();
        assert_eq!(args.exports().unwrap(), [("csv".to_owned(), PathBuf::from("a=b.csv"))]);
        let args = Args::try_parse_from(["x", "--export", "csv"]).unwrap();
        assert!(args.exports().unwrap_err().contains("FORMAT=PATH"));
    }
}
