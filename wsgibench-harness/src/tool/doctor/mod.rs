//! `wsgibench doctor`: checks this machine for problems that distort measurements, with remedies.

mod check;
mod engine;
mod facts;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use console::style;

use self::{
    check::{Level, Line, judge},
    facts::Facts,
};
use super::target;

/// Prints one line per check; returns 1 if measuring is impossible.
pub(super) fn run(target: Option<&Path>) -> ExitCode {
    let folder = target::folder(target).unwrap_or_else(|_| PathBuf::from("target"));
    let lines = judge(&Facts::gather(&folder));
    let width = lines.iter().map(|line| line.about.len()).max().unwrap_or(0);
    for line in &lines {
        print(line, width);
    }
    let count = |level| lines.iter().filter(|line| line.level == level).count();
    outln!();
    match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => outln!("No problems found."),
        (0, 1) => outln!("1 problem reduces accuracy; benchmarking is possible."),
        (0, n) => outln!("{n} problems reduce accuracy; benchmarking is possible."),
        (_, _) => {
            outln!("Fix the errors above before benchmarking.");
            return ExitCode::from(1);
        }
    }
    ExitCode::SUCCESS
}

fn print(line: &Line, width: usize) {
    let word = match line.level {
        Level::Ok => style("ok  ").green(),
        Level::Warn => style("warn").yellow(),
        Level::Fail => style("fail").red().bold(),
    };
    outln!("{word}  {:width$}  {}", line.about, line.seen);
    if !line.remedy.is_empty() {
        outln!("      {:width$}  {}", "", style(&line.remedy).dim());
    }
}
