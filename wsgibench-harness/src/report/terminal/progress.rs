//! Progress: drawn in place on a terminal, plain lines in a log.
//!
//! It uses no thread or timer and draws only on events (at most about five per second), so that it does not disturb
//! measurements.

use std::{io::Write, time::Duration};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Options,
    text::{WIDTH, cut, plain, wrapped},
    tuning,
};
use crate::{
    measure::event::Event,
    report::units,
    store::{arms::CANDIDATE, record::LaunchRecord},
};

/// Redraws per second.
const REDRAWS: u8 = 5;

pub(super) struct Progress {
    options: Options,
    err: Box<dyn Write + Send>,
    bars: Option<Bars>,
}

struct Bars {
    multi: MultiProgress,
    plan: ProgressBar,
    now: ProgressBar,
}

impl Bars {
    fn new() -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS));
        let plan = multi.add(ProgressBar::new(0));
        let now = multi.add(ProgressBar::new(0));
        // The templates are constants; tests cover that they parse.
        if let Ok(line) = ProgressStyle::with_template("{bar:30.cyan/blue} {pos}/{len} launches  {msg}") {
            plan.set_style(line.progress_chars("━╸─"));
        }
        if let Ok(line) = ProgressStyle::with_template("{msg}") {
            now.set_style(line);
        }
        Self { multi, plan, now }
    }
}

impl Progress {
    pub(super) fn new(options: Options, err: Box<dyn Write + Send>) -> Self {
        let bars = (options.interactive && !options.quiet).then(Bars::new);
        Self { options, err, bars }
    }

    /// Runs a closure while the progress bars are hidden.
    pub(super) fn suspended(&self, work: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.multi.suspend(work),
            None => work(),
        }
    }

    pub(super) fn on(&mut self, event: &Event) {
        match event {
            Event::Noticed(notice) => {
                let about = if notice.about.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", notice.about)
                };
                let label = format!("{} ", style("note:").yellow());
                self.print_line(&wrapped(&label, &format!("{about}{}", notice.text)));
            }
            _ if self.options.quiet => {}
            Event::Planned {
                run,
                cases,
                launches,
                expected,
            } => {
                if let Some(bars) = &self.bars {
                    bars.plan.set_length(*launches as u64);
                    bars.plan.set_message(left(*expected));
                }
                let text = format!(
                    "run {run}: {cases} {}, {launches} {}, about {}",
                    if *cases == 1 { "case" } else { "cases" },
                    if *launches == 1 { "launch" } else { "launches" },
                    units::span(*expected)
                );
                self.print_line(&wrapped("", &text));
            }
            Event::Preparing { what, text } => self.prepare(what, text),
            Event::Launching {
                case,
                arm,
                number,
                of,
                left: time,
            } => {
                let arm = if arm == CANDIDATE {
                    String::new()
                } else {
                    format!(" ({arm})")
                };
                if let Some(bars) = &self.bars {
                    bars.plan.set_length(*of as u64);
                    bars.plan.set_position(number.saturating_sub(1) as u64);
                    bars.plan.set_message(left(*time));
                    bars.now
                        .set_message(cut(&format!("{case}{arm}: starting"), WIDTH.min(78)));
                } else {
                    let text = format!("[{number}/{of}] {case}{arm}, {}", left(*time));
                    self.print_line(&wrapped("", &text));
                }
            }
            Event::WarmingUp { case } => {
                if let Some(bars) = &self.bars {
                    bars.now.set_message(cut(&format!("{case}: warming up"), 78));
                }
            }
            Event::Live { .. } => self.live(event),
            Event::RoundDone { case, round } if self.options.verbose => {
                let text = format!(
                    "{case} round {}: {} req/s, p99 {}, {} errors",
                    round.index + 1,
                    round
                        .metrics
                        .get("throughput")
                        .map_or_else(|| "-".into(), |v| units::rate(*v)),
                    round
                        .metrics
                        .get("p99")
                        .map_or_else(|| "-".into(), |v| units::time(v * 1e3)),
                    units::grouped(round.load.counts.failed + round.load.counts.timed_out),
                );
                self.print_line(&wrapped("  ", &text));
            }
            Event::LaunchDone { case, launch } => self.launch_done(case, launch),
            Event::Tuning(progress) => {
                let text = tuning::progress(progress);
                if !text.is_empty() {
                    self.print_line(&text);
                }
            }
            // On standard output, results already show it.
            Event::Reported { path } if !self.options.results => {
                self.print_line(&wrapped("report: ", &path.display().to_string()));
            }
            Event::Finished { .. } => {
                if let Some(bars) = &self.bars {
                    bars.now.finish_and_clear();
                    bars.plan.finish_and_clear();
                }
            }
            _ => {}
        }
    }

    fn prepare(&mut self, what: &str, text: &str) {
        match &self.bars {
            Some(bars) if !self.options.verbose => bars.now.set_message(cut(&format!("{what}: {text}"), 78)),
            _ => self.print_line(&wrapped("", &format!("{}: {}", plain(what), plain(text)))),
        }
    }

    fn live(&mut self, event: &Event) {
        let (Some(bars), Event::Live { case, .. }) = (&self.bars, event) else {
            return;
        };
        // Long names are shortened first, so that the figures stay visible.
        let figures = live_figures(event);
        let available = 78_usize.saturating_sub(console::measure_text_width(&figures)).max(12);
        bars.now.set_message(format!("{}{figures}", cut(case, available)));
    }

    fn launch_done(&mut self, case: &str, launch: &LaunchRecord) {
        if let Some(bars) = &self.bars {
            bars.plan.inc(1);
        }
        if let Some(error) = &launch.error {
            let label = format!("{} ", style("failed:").red());
            self.print_line(&wrapped(
                &label,
                &format!("{case} launch {}: {error}", launch.index + 1),
            ));
        } else if self.options.verbose {
            let ready = launch
                .start_up_seconds
                .map(|seconds| format!("ready in {}, ", units::time(seconds * 1e9)))
                .unwrap_or_default();
            let text = format!(
                "{case} launch {}: {ready}{} rounds",
                launch.index + 1,
                launch.rounds.len()
            );
            self.print_line(&wrapped("  ", &text));
        }
    }

    fn print_line(&mut self, text: &str) {
        let err = &mut self.err;
        let mut write = || {
            let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        };
        match &self.bars {
            Some(bars) => bars.multi.suspend(write),
            None => write(),
        }
    }
}

fn left(time: Duration) -> String {
    format!("{} left", units::span(time))
}

fn live_figures(event: &Event) -> String {
    let Event::Live {
        elapsed,
        of,
        requests_per_second,
        p99_ns,
        errors,
        server_cores,
        ..
    } = event
    else {
        return String::new();
    };
    format!(
        "  {:.1}/{:.1}s  {} req/s  p99 {}  {} errors  {server_cores:.2} cores",
        elapsed.as_secs_f64(),
        of.as_secs_f64(),
        units::rate(*requests_per_second),
        units::time(units::float(*p99_ns)),
        units::grouped(*errors),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_line_shows_the_current_activity() {
        let event = Event::Live {
            case: "ping/gunicorn/c64".into(),
            elapsed: Duration::from_millis(1_200),
            of: Duration::from_millis(2_500),
            requests_per_second: 12_345.6,
            p99_ns: 9_812_345,
            errors: 0,
            server_cores: 0.98,
        };
        assert_eq!(
            live_figures(&event),
            "  1.2/2.5s  12,346 req/s  p99 9.812 ms  0 errors  0.98 cores"
        );
    }
}
