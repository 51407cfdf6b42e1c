//! `wsgibench doctor`: what is in the way of a good measurement on this machine, and how to mend it.

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

/// Prints a line for everything it looked at; 1 when nothing can be measured.
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
        (0, 0) => outln!("Nothing is in the way."),
        (0, 1) => outln!("One thing makes figures worse than they could be; measuring is possible."),
        (0, n) => outln!("{n} things make figures worse than they could be; measuring is possible."),
        (_, _) => {
            outln!("Nothing can be measured here until that is mended.");
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
