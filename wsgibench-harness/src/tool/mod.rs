//! The `wsgibench` command: `new`, `doctor`, `compare`, `report`, `export`, `list`, `clean`.
//!
//! It does not measure: use `cargo bench`.

/// Prints a line on standard output. A closed reader such as `head` is not an error.
macro_rules! outln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod arguments;
mod clean;
mod compare;
mod doctor;
mod error;
mod export;
mod list;
mod new;
#[cfg(feature = "html")]
mod report;
mod target;
mod units;

use std::process::ExitCode;

use self::{
    arguments::{Arguments, ColorWhen, Command},
    error::ToolError,
};
use crate::{
    store::Store,
    variables::{colors, parse_arguments},
};

/// Parses the arguments and runs the command. Returns the exit status: 0 success, 1 failure, 2 wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Arguments = match parse_arguments(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    colors::set(match arguments.color {
        ColorWhen::Auto => None,
        ColorWhen::Always => Some(true),
        ColorWhen::Never => Some(false),
    });
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{} {error}", console::style("error:").red().bold().for_stderr());
            error.exit_code()
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, ToolError> {
    let store_with = |runs: &[&str]| {
        let folder = target::folder_for_runs(arguments.target_dir.as_deref(), runs)?;
        Ok::<_, ToolError>(Store::new(&folder))
    };
    let store = || store_with(&[]);
    match &arguments.command {
        Command::New(options) => new::run(options),
        Command::Doctor => Ok(doctor::run(arguments.target_dir.as_deref())),
        Command::Compare(options) => {
            let store = store_with(&[&options.earlier, &options.later])?;
            compare::run(options, &store)
        }
        #[cfg(feature = "html")]
        Command::Report(options) => {
            let runs: Vec<&str> = options.runs.iter().map(String::as_str).collect();
            let from_files = options.output.is_some() && options.baseline.is_none();
            report::run(options, &store_with(if from_files { &runs } else { &[] })?)
        }
        #[cfg(not(feature = "html"))]
        Command::Report(_) => Err(ToolError::Usage(
            "`report` needs the cargo feature `html`, which this build lacks; install wsgibench-harness with `--features html`".into(),
        )),
        Command::List => Ok(list::run(&store()?)),
        Command::Export(options) => export::run(options, &store_with(&[&options.run])?),
        Command::Clean(options) => clean::run(options, &store()?),
    }
}
