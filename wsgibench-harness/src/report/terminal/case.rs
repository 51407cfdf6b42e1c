//! The figures of one case, in Criterion's layout.

use console::style;

use super::text::{INDENT, WIDTH, cut, plain, wrapped};
use crate::{
    load::{Latency, script::WHOLE_SCRIPT},
    report::{
        counts::CountFigures,
        display, endurance, faults,
        figures::{Figures, RequestFigures},
        units, waits,
    },
    stats::{Estimate, Metric, Summary},
    store::{
        arms::CANDIDATE,
        record::{CaseRecord, ValidityLevel},
    },
};

pub(super) fn render(case: &CaseRecord, figures: &Figures) -> String {
    let mut page = Page::default();
    page.title(&case.id);
    if let Some(why) = display::unmeasured(&case.outcome) {
        page.wrapped("", &why);
        return page.text;
    }
    if figures.rounds == 0 {
        page.wrapped("", "no completed round");
    } else {
        let faults = faults::of_case(case);
        for fault in &faults {
            page.wrapped("fault", &format!("{}: {}", fault.action, fault.line()));
        }
        if faults.is_empty() {
            body(&mut page, case, figures);
        } else {
            page.wrapped("errors", &errors(figures));
        }
    }
    for (launch, error) in &figures.failed_launches {
        page.wrapped("failed", &format!("launch {}: {error}", launch + 1));
    }
    for finding in &figures.findings {
        page.wrapped(display::level(finding.level), &finding.text);
    }
    // Without a finding, the level alone would not explain itself.
    if figures.level == ValidityLevel::Invalid && figures.findings.is_empty() && figures.rounds > 0 {
        page.wrapped("invalid", "all rounds are invalid");
    }
    page.text
}

/// The counts of a counted launch, which has no times.
fn counts(page: &mut Page, counts: &CountFigures) {
    for count in &counts.counts {
        let label = match count.metric {
            Metric::InstructionsPerRequest => "instr:",
            Metric::SyscallsPerRequest => "syscalls",
            _ => "stmts",
        };
        let spread = count
            .spread
            .map_or_else(String::new, |spread| format!("  SD {:.3} %", spread * 100.0));
        let clock = if count.metric == Metric::SyscallsPerRequest && counts.left_out() != [0.0, 0.0] {
            let [clocks, waits] = counts.left_out();
            format!(", without {clocks:.1} clock reads and {waits:.1} waits of threads")
        } else {
            String::new()
        };
        let text = format!("{} per request", style(units::metric(count.metric, count.mean)).bold());
        page.line(label, &text, &format!("{spread}{clock}"));
    }
    if let Some(calls) = counts.calls_line() {
        page.wrapped("", &calls);
    }
    let (sent, received) = counts.bytes;
    page.line(
        "bytes",
        &format!("{} to the server, {} back", units::count(sent), units::count(received)),
        "",
    );
    let background = if counts.background >= 1.0 {
        format!(
            "; heartbeats and timers, {} instructions a second, are left out",
            units::count(counts.background)
        )
    } else {
        String::new()
    };
    let launches = if counts.launches == 1 { "launch" } else { "launches" };
    page.wrapped(
        "",
        &format!(
            "{} {launches} of {} requests{background}",
            counts.launches, counts.requests
        ),
    );
    if let Some(why) = &counts.cannot {
        page.wrapped("count", &format!("cannot be counted: {why}"));
    }
}

fn body(page: &mut Page, case: &CaseRecord, figures: &Figures) {
    if let Some(counted) = CountFigures::of_arm(case, CANDIDATE) {
        counts(page, &counted);
        return;
    }
    if let Some(thrpt) = figures.metrics.get(&Metric::Throughput) {
        let text = format!("{} req/s", bracket(thrpt, units::rate, 1.0));
        page.line("thrpt:", &text, &launches(thrpt, figures));
    }
    if let Some(cpu) = figures.metrics.get(&Metric::CpuPerRequest) {
        let cores = figures
            .cores
            .as_ref()
            .map_or_else(String::new, |cores| format!(", {:.2} cores busy", cores.mean.point));
        let text = format!("{} per request", bracket(cpu, units::time, 1e3));
        page.line("cpu:", &text, &cores);
    }
    page.line("latency", &latency(figures), "");
    let peak = figures.metrics.get(&Metric::PeakMemory).map(|s| s.max);
    let memory: Vec<String> = [(figures.memory_mean, "mean"), (peak, "peak")]
        .into_iter()
        .filter_map(|(bytes, name)| bytes.map(|b| format!("{} {name}", units::bytes(b))))
        .collect();
    if !memory.is_empty() {
        page.line("memory", &memory.join(", "), "");
    }
    for slow in endurance::background_clients(case) {
        page.wrapped("clients", &endurance::slow_clients_line(slow));
    }
    if let Some(capacity) = endurance::capacity(case) {
        page.wrapped("max", &capacity.line());
    }
    if let Some(burst) = endurance::burst(case) {
        page.wrapped("burst", &burst.line());
    }
    for growth in endurance::growth(case) {
        page.wrapped("growth", &growth.line());
    }
    for companion in &figures.companions {
        let text = format!(
            "companion {}: {:.2} cores busy, {}",
            plain(&companion.name),
            companion.cores,
            units::bytes(units::float(companion.memory))
        );
        page.line("", &text, "");
    }
    if let Some(line) = waits::line(case) {
        page.wrapped("waits", &plain(&line));
    }
    for line in steps(figures).into_iter().chain(requests(figures)) {
        page.line(line.0, &line.1, &line.2);
    }
    page.wrapped("errors", &errors(figures));
    for (kind, sample) in &figures.error_samples {
        let text = format!("the first {}: {}", display::error_kind(*kind), cut(sample, 160));
        page.wrapped("", &text);
    }
    for (name, (count, sample)) in &figures.failed_checks {
        let (count, name) = (units::grouped(*count), plain(name));
        let what = if name.starts_with("the script ") {
            format!("{name}, {count} times; the first time:")
        } else {
            format!("{count} responses failed `{name}`; the first was:")
        };
        page.wrapped("", &format!("{what} {}", cut(sample, 120)));
    }
    if figures.rounds_left_out > 0 {
        let text = format!(
            "{} of {} rounds were invalid and are excluded",
            figures.rounds_left_out,
            figures.rounds + figures.rounds_left_out
        );
        page.wrapped("", &text);
    }
}

/// Formats `[low estimate high]`, or the estimate alone if a single launch gives no interval.
pub(super) fn bracket(summary: &Summary, format: fn(f64) -> String, scale: f64) -> String {
    let Estimate { point, interval, .. } = summary.mean;
    let point = style(format(point * scale)).bold();
    match interval {
        Some(i) => format!("[{} {point} {}]", format(i.low * scale), format(i.high * scale)),
        None => format!("[{point}]"),
    }
}

fn launches(summary: &Summary, figures: &Figures) -> String {
    match (summary.launches, figures.rounds) {
        (1, 1) => "  1 launch, 1 round: no interval".into(),
        (1, rounds) => format!("  1 launch, {rounds} rounds: no interval"),
        (n, rounds) => format!("  {n} launches, {rounds} rounds"),
    }
}

fn latency(figures: &Figures) -> String {
    let response = &figures.response;
    let of = |metric: Metric, q: f64| {
        let ns = figures.metrics.get(&metric).map(|s| s.mean.point * 1e3)?;
        let mark = if response.quantile(q).at_least { "≥ " } else { "" };
        Some(format!("{mark}{}", units::time(ns)))
    };
    let mut parts = Vec::new();
    if let Some(p50) = of(Metric::P50, 0.50) {
        parts.push(format!("p50 {p50}"));
    }
    if let Some(p99) = of(Metric::P99, 0.99) {
        parts.push(format!("p99 {p99}"));
    }
    if !response.histogram.is_empty() {
        let max = response.quantile(1.0);
        let mark = if max.at_least { "≥ " } else { "" };
        parts.push(format!("max {mark}{}", units::time(units::float(max.ns))));
    }
    if parts.is_empty() {
        return "no response, no latency".into();
    }
    parts.join("   ")
}

/// Maximum number of requests of a mix that are printed; the report has all of them.
const REQUESTS: usize = 8;

/// Formats the steps of a script.
fn steps(figures: &Figures) -> Vec<(&'static str, String, String)> {
    let named: Vec<(String, &Latency, u64)> = figures
        .steps
        .iter()
        .filter(|step| !step.latency.histogram.is_empty() || step.failed > 0)
        .map(|step| {
            let name = if step.name == WHOLE_SCRIPT {
                "whole script".to_owned()
            } else {
                cut(&step.name, 20)
            };
            (name, &step.latency, step.failed)
        })
        .collect();
    parts("steps", &named)
}

/// Formats the requests of a mix.
fn requests(figures: &Figures) -> Vec<(&'static str, String, String)> {
    let named: Vec<(String, &Latency, u64)> = figures
        .requests
        .iter()
        .take(REQUESTS)
        .map(|RequestFigures { result, .. }| (cut(&result.name, 20), &result.latency, result.failed))
        .collect();
    let mut lines = parts("mix", &named);
    let more = figures.requests.len() - named.len();
    if more > 0 {
        lines.push(("", format!("{more} more requests: see the report"), String::new()));
    }
    lines
}

/// Formats parts of a load, one per line, each with its distribution and, where space allows, its count.
fn parts(label: &'static str, named: &[(String, &Latency, u64)]) -> Vec<(&'static str, String, String)> {
    let width = named
        .iter()
        .map(|(name, ..)| console::measure_text_width(name))
        .max()
        .unwrap_or(0);
    named
        .iter()
        .enumerate()
        .map(|(index, (name, latency, failed))| {
            let at = |q: f64| {
                let quantile = latency.quantile(q);
                let mark = if quantile.at_least { "≥ " } else { "" };
                format!("{mark}{}", units::time(units::float(quantile.ns)))
            };
            let name = console::pad_str(name, width, console::Alignment::Left, None).into_owned();
            let text = if latency.histogram.is_empty() {
                format!("{name}  never completed")
            } else {
                format!("{name}  p50 {}  p99 {}", at(0.5), at(0.99))
            };
            let failed = if *failed > 0 {
                format!("  {} failed", units::grouped(*failed))
            } else {
                String::new()
            };
            let count = format!("  {} times", units::grouped(latency.histogram.len()));
            (if index == 0 { label } else { "" }, text + &failed, count)
        })
        .collect()
}

/// Formats all failures by kind, most frequent first.
pub(super) fn errors(figures: &Figures) -> String {
    let again = figures.sent_again().map(|text| format!("; {text}")).unwrap_or_default();
    let total = figures.error_count();
    if total == 0 {
        return format!("none{again}");
    }
    let mut kinds: Vec<_> = figures.errors.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let kinds: Vec<String> = kinds
        .into_iter()
        .map(|(kind, count)| format!("{} {}", units::grouped(*count), display::error_kind(*kind)))
        .collect();
    let share = figures.metrics.get(&Metric::ErrorShare).map_or_else(String::new, |s| {
        format!(" ({} of requests)", units::percent(s.mean.point))
    });
    format!("{}{share}: {}{again}", units::grouped(total), kinds.join(", "))
}

/// Builder of the lines under a title.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn title(&mut self, id: &str) {
        let id = plain(id);
        for line in wrapped("", &id).lines() {
            self.text.push_str(&style(line).green().to_string());
            self.text.push('\n');
        }
    }

    fn label(label: &str) -> String {
        let colored = match label {
            "invalid" | "failed" => style(label).red().to_string(),
            "suspect" => style(label).yellow().to_string(),
            _ => label.to_owned(),
        };
        let gap = 8_usize.saturating_sub(label.len()).max(1);
        format!("{}{colored}{}", " ".repeat(INDENT), " ".repeat(gap))
    }

    fn line(&mut self, label: &str, text: &str, dim: &str) {
        let start = Self::label(label);
        let narrow = format!("{start}{text}");
        let whole = format!("{narrow}{}", style(dim).dim());
        let fits = console::measure_text_width(&whole) <= WIDTH;
        self.text.push_str(if fits { &whole } else { &narrow });
        self.text.push('\n');
    }

    fn wrapped(&mut self, label: &str, text: &str) {
        self.text.push_str(&wrapped(&Self::label(label), text));
    }
}
