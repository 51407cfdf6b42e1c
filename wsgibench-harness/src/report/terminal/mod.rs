//! Terminal output: progress during a run, figures in Criterion's format after each case, rankings at the end.
//!
//! Results go to standard output, progress and notices to standard error. Colours follow [`console`]'s settings, which
//! detect terminals.

mod advice;
mod case;
mod compare;
mod explain;
mod footprint;
mod intervals;
mod progress;
mod ranking;
mod text;
mod thresholds;
mod tuning;

use std::io::Write;

use self::progress::Progress;
use super::{Listener, comparison::Comparison, figures::Figures, ranking::rankings};
use crate::{
    measure::event::Event,
    profile::CaseExplanation,
    store::record::{CaseRecord, RunRecord},
};

pub use text::WIDTH;
pub(super) use text::{plain, wrapped};

/// Output options.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four switches of the command line that do not depend on each other"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether figures go to standard output; `false` if another format uses it.
    pub results: bool,
    /// Whether to suppress progress and unrelated notices.
    pub quiet: bool,
    /// Whether to print a line for each launch and round.
    pub verbose: bool,
    /// Whether standard error is a terminal: progress is then drawn in place, otherwise printed as plain lines.
    pub interactive: bool,
}

/// The terminal's progress receiver.
pub struct Terminal {
    options: Options,
    progress: Progress,
    out: Box<dyn Write + Send>,
    /// A tuning prints its answer instead of the figures of each case.
    tunes: bool,
}

impl Terminal {
    /// Creates a receiver on standard output and standard error.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let progress = Progress::new(options, Box::new(std::io::stderr()));
        Self {
            options,
            progress,
            out: Box::new(std::io::stdout()),
            tunes: false,
        }
    }

    /// Creates a receiver that writes results to `out` and plain progress lines to `err`.
    #[must_use]
    pub fn to(options: Options, out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self {
            options,
            progress: Progress::new(options, err),
            out,
            tunes: false,
        }
    }

    fn print(&mut self, text: &str) {
        if !self.options.results || text.is_empty() {
            return;
        }
        let out = &mut self.out;
        // A closed reader (`| head`) must not end a measurement.
        self.progress.suspended(|| {
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    }
}

impl Listener for Terminal {
    fn on(&mut self, event: &Event) {
        self.progress.on(event);
        match event {
            Event::Tuning(_) => self.tunes = true,
            Event::CaseDone { .. } if self.tunes && !self.options.verbose => {}
            Event::CaseDone { case } => self.print(&case_text(case)),
            Event::Finished { run } => self.print(&run_text(run)),
            Event::Advised { baseline, advised } => self.print(&advice::advised(baseline, advised)),
            Event::SelfChecked { check } => self.print(&advice::self_checked(check)),
            // A finished run includes its comparison: `Compared` is for other receivers.
            Event::Reported { path } => self.print(&format!("\nreport: {}\n", path.display())),
            _ => {}
        }
    }
}

/// Formats the figures of one case in lines of at most [`WIDTH`] columns.
#[must_use]
pub fn case_text(case: &CaseRecord) -> String {
    case::render(case, &Figures::of(case))
}

/// Formats the functions of one profiled case.
#[must_use]
pub fn explanation_text(case: &CaseExplanation) -> String {
    explain::of_case(case)
}

/// Formats the results of the whole run: rankings, unranked cases, intervals if requested, and the comparison if there is
/// one.
#[must_use]
pub fn run_text(run: &RunRecord) -> String {
    if let Some(tuning) = &run.tuning {
        return tuning::render(tuning);
    }
    let figures: Vec<Figures> = run.cases.iter().map(Figures::of).collect();
    let mut text = String::new();
    // Counts of different servers are no ranking: instructions are not time.
    if run.counted.is_none() {
        for one in rankings(run, &figures) {
            text.push_str(&ranking::render(run, &figures, &one));
        }
        text.push_str(&footprint::render(run));
        text.push_str(&intervals::render(run, &figures));
    }
    if figures.iter().all(|f| !f.ranked()) {
        text.push_str("\nNo valid measurements; see the reasons above.\n");
    }
    text.push_str(&thresholds::render(run));
    match Comparison::of(run) {
        None => {}
        Some(Ok(comparison)) => text.push_str(&compare::render(&comparison)),
        Some(Err(why)) => {
            text.push_str(&why);
            text.push('\n');
        }
    }
    if let Some(explanation) = &run.explanation {
        let counted = Comparison::of(run)
            .and_then(Result::ok)
            .is_some_and(|comparison| !comparison.attribution.is_empty());
        text.push_str(&explain::render(explanation, counted));
    }
    if run.interrupted {
        text.push_str("\nThe run was interrupted; the results cover its completed rounds.\n");
    }
    text
}
