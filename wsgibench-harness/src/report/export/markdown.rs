//! Markdown for pull-request comments and job summaries.

use std::fmt::Write as _;

use crate::{
    declare::Variant,
    profile::{CaseExplanation, Explanation},
    report::{
        comparison::{Comparison, change},
        counts::{CountFigures, attribution_rows},
        display, endurance, explanation, faults,
        figures::Figures,
        ranking::{Ranking, rankings, server_of},
        thresholds, tuning, units, waits,
    },
    stats::{Metric, Summary},
    store::{
        arms::CANDIDATE,
        record::{RunRecord, ValidityLevel},
        tuning::TuneRecord,
    },
};

/// GitHub limits a comment to 65,536 characters; tables beyond that are counted and left to the report.
const LONGEST: usize = 60_000;

pub(super) fn render(run: &RunRecord) -> String {
    let figures: Vec<Figures> = run.cases.iter().map(Figures::of).collect();
    let mut text = String::from("## wsgibench\n\n");
    let mut blocks = Vec::new();
    match Comparison::of(run) {
        None => {}
        Some(Ok(comparison)) => {
            blocks.push(compared(&comparison));
            blocks.push(attributed(&comparison));
        }
        Some(Err(why)) => blocks.push(format!("{}\n\n", escape(&why))),
    }
    blocks.extend(run.explanation.iter().flat_map(|explanation| explained(explanation)));
    let beside_counts = Comparison::of(run)
        .and_then(Result::ok)
        .is_some_and(|comparison| !comparison.attribution.is_empty());
    if run.explanation.is_some() && beside_counts {
        blocks.push(format!("{}\n\n", explanation::BESIDE_COUNTS));
    }
    blocks.extend(judged_thresholds(run));
    if let Some(tuning) = &run.tuning {
        blocks.push(tuned(tuning));
    } else if run.counted.is_some() {
        blocks.push(counts(run));
    } else {
        for ranking in rankings(run, &figures) {
            blocks.push(table(run, &figures, &ranking));
        }
    }
    blocks.extend(faults(run));
    blocks.extend(waiting(run));
    blocks.extend(endurance(run));
    blocks.extend(footprint(run));
    if figures.iter().all(|f| !f.ranked()) {
        blocks.push("No valid measurements.\n\n".into());
    }
    blocks.push(footer(run));
    let mut left_out = 0;
    for block in blocks {
        if text.len() + block.len() > LONGEST {
            left_out += 1;
        } else {
            text.push_str(&block);
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "_{left_out} more tables are omitted for length; see the report._");
    }
    text
}

/// Formats the footprint of the servers.
fn footprint(run: &RunRecord) -> Option<String> {
    use crate::report::footprint::{HEADS, of_run};
    let rows = of_run(run);
    if rows.is_empty() {
        return None;
    }
    let mut text = format!(
        "### Cold start and footprint\n\n| {} |\n|---|---:|---:|---:|---:|\n",
        HEADS.join(" | ")
    );
    for row in rows {
        let cells = row.cells().map(|cell| escape(&cell));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text.push('\n');
    Some(text)
}

/// Formats the results of faults, one table per scenario and parameter set.
fn faults(run: &RunRecord) -> Vec<String> {
    let mut tables: Vec<(String, String)> = Vec::new();
    for case in run.cases.iter().filter(|case| faults::has(case)) {
        let title = format!("{}/{}", case.scenario, case.param);
        let place = tables.iter().position(|(known, _)| *known == title).unwrap_or_else(|| {
            let head = format!(
                "### {}\n\n| server | fault | requests lost | recovered after | launches |\n|---|---|---:|---:|---:|\n",
                escape(&title)
            );
            tables.push((title, head));
            tables.len() - 1
        });
        let found = faults::of_case(case);
        if found.is_empty() {
            let actions: Vec<String> = case.load.faults.iter().map(|fault| fault.action.name()).collect();
            let why = display::unmeasured(&case.outcome).unwrap_or_else(|| "no completed round".to_owned());
            fault_row(
                &mut tables[place].1,
                [&case.server, &actions.join("; "), "-", &why, "0"],
            );
        }
        for fault in found {
            let recovered = match fault.not_done_text() {
                Some(why) if fault.done() == 0 => why,
                Some(why) => format!("{}; {why}", fault.recovered_text()),
                None => fault.recovered_text(),
            };
            let (lost, launches) = (fault.lost_text(), fault.done().to_string());
            fault_row(
                &mut tables[place].1,
                [&case.server, &fault.action, &lost, &recovered, &launches],
            );
        }
    }
    tables.into_iter().map(|(_, table)| table + "\n").collect()
}

fn fault_row(table: &mut String, cells: [&str; 5]) {
    let _ = writeln!(table, "| {} |", cells.map(escape).join(" | "));
}

/// Formats what requests wait for, of the cases in which something stands out.
fn waiting(run: &RunRecord) -> Option<String> {
    let lines = run.cases.iter().filter_map(|case| {
        let line = waits::line(case)?;
        Some(format!("- {}: {}\n", escape(&case.id), escape(&line)))
    });
    let text: String = lines.collect();
    (!text.is_empty()).then(|| format!("### Waits\n\n{text}\n"))
}

/// Formats capacity, burst recovery, slow clients and memory growth.
fn endurance(run: &RunRecord) -> Option<String> {
    let mut text = String::new();
    for case in &run.cases {
        let lines = endurance::capacity(case).map(|found| format!("capacity {}", found.line()));
        let lines = lines
            .into_iter()
            .chain(endurance::burst(case).map(|found| found.line()))
            .chain(
                endurance::background_clients(case)
                    .iter()
                    .map(endurance::slow_clients_line),
            )
            .chain(endurance::growth(case).into_iter().map(|growth| growth.line()));
        for line in lines {
            let _ = writeln!(text, "- {}: {}", escape(&case.id), escape(&line));
        }
    }
    (!text.is_empty()).then(|| format!("### Capacity, bursts, slow clients and memory\n\n{text}\n"))
}

fn table(run: &RunRecord, figures: &[Figures], ranking: &Ranking) -> String {
    let variant = match ranking.variant {
        Variant::Tuned => "",
        Variant::Default => ", untuned",
    };
    let title = format!("{}/{}{variant}", ranking.scenario, ranking.param);
    let mut text = format!("### {}\n\n", escape(&title));
    let other = if ranking.by == Metric::Throughput {
        Metric::P99
    } else {
        Metric::Throughput
    };
    if !ranking.rows.is_empty() {
        let _ = writeln!(
            text,
            "| rank | server | {} (95 % interval) | {} | server CPU/request | peak memory | errors |\n|---:|---|---:|---:|---:|---:|---:|",
            heading(ranking.by),
            heading(other)
        );
    }
    let mut notes = Vec::new();
    for row in &ranking.rows {
        let (case, one) = (&run.cases[row.case], &figures[row.case]);
        let mut marks = String::new();
        if let Some(server) = server_of(run, case).filter(|s| !s.spec.notes.is_empty()) {
            marks.push_str(" \\*");
            notes.push(format!(
                "\\* {}: {}",
                escape(&case.server),
                escape(&server.spec.notes.join("; "))
            ));
        }
        if one.level == ValidityLevel::Suspect {
            marks.push_str(" (suspect)");
            let reasons: Vec<&str> = one.findings.iter().map(|f| f.text.as_str()).collect();
            notes.push(format!(
                "{} is suspect: {}",
                escape(&case.server),
                escape(&reasons.join("; "))
            ));
        }
        let _ = writeln!(
            text,
            "| {} | {}{marks} | {} | {} | {} | {} | {} |",
            row.place(),
            escape(&case.server),
            one.metrics
                .get(&ranking.by)
                .map_or_else(dash, |s| interval(ranking.by, s)),
            figure(one, other),
            figure(one, Metric::CpuPerRequest),
            figure(one, Metric::PeakMemory),
            one.sent_again().map_or_else(
                || figure(one, Metric::ErrorShare),
                |again| format!("{}; {again}", figure(one, Metric::ErrorShare))
            ),
        );
    }
    text.push('\n');
    for note in notes {
        let _ = writeln!(text, "{note}\n");
    }
    for &index in &ranking.unranked {
        let case = &run.cases[index];
        let why = display::unmeasured(&case.outcome).unwrap_or_else(|| {
            let reasons: Vec<&str> = figures[index].findings.iter().map(|f| f.text.as_str()).collect();
            format!("invalid: {}", reasons.join("; "))
        });
        let _ = writeln!(text, "Not ranked: {}, {}\n", escape(&case.server), escape(&why));
    }
    text
}

/// The counts of a counted run.
fn counts(run: &RunRecord) -> String {
    let mut text = String::from(
        "### Counts per request\n\n| case | instructions | SD | system calls | statements | bytes to the server | bytes back | launches |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for case in &run.cases {
        let Some(counts) = CountFigures::of_arm(case, CANDIDATE) else {
            let why = display::unmeasured(&case.outcome).unwrap_or_else(|| "not counted".to_owned());
            let _ = writeln!(text, "| {} | {} | | | | | | |", escape(&case.id), escape(&why));
            continue;
        };
        let of = |metric: Metric| counts.counts.iter().find(|count| count.metric == metric);
        let mean = |metric: Metric| of(metric).map_or_else(dash, |count| units::count(count.mean));
        let spread = of(Metric::InstructionsPerRequest).and_then(|count| count.spread);
        let _ = writeln!(
            text,
            "| {} | {}{} | {} | {} | {} | {} | {} | {} |",
            escape(&case.id),
            mean(Metric::InstructionsPerRequest),
            counts
                .cannot
                .as_ref()
                .map_or_else(String::new, |why| format!(" (cannot be counted: {})", escape(why))),
            spread.map_or_else(dash, |spread| format!("{:.3} %", spread * 100.0)),
            mean(Metric::SyscallsPerRequest),
            mean(Metric::StatementsPerRequest),
            units::count(counts.bytes.0),
            units::count(counts.bytes.1),
            counts.launches,
        );
    }
    text.push('\n');
    text
}

/// The functions whose instructions changed most.
fn attributed(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (case, attribution) in &comparison.attribution {
        let _ = writeln!(
            text,
            "Instructions per request of {} by function:\n\n| function | file | base | candidate | change |\n|---|---|---:|---:|---:|",
            escape(case)
        );
        for row in attribution_rows(attribution) {
            let _ = writeln!(text, "| {} |", row.map(|cell| escape(&cell)).join(" | "));
        }
        text.push('\n');
    }
    text
}

/// The functions of each profiled case.
fn explained(explanation: &Explanation) -> Vec<String> {
    let table = |case: &CaseExplanation| {
        let mut text = format!(
            "### Functions of {}\n\n{}\n\n",
            escape(&case.case),
            escape(&explanation::summary(case))
        );
        let heads: &[&str] = if explanation::is_compared(case) {
            &explanation::COMPARED
        } else {
            &explanation::ALONE
        };
        let columns: Vec<&str> = heads
            .iter()
            .map(|head| {
                if ["function", "file"].contains(head) {
                    "---"
                } else {
                    "---:"
                }
            })
            .collect();
        let _ = writeln!(text, "| {} |\n|{}|", heads.join(" | "), columns.join("|"));
        for row in explanation::functions(case) {
            let cells: Vec<String> = if explanation::is_compared(case) {
                row.compared().iter().map(|cell| escape(cell)).collect()
            } else {
                row.alone().iter().map(|cell| escape(cell)).collect()
            };
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        let _ = writeln!(text, "\n{}\n", escape(&explanation::caption(case)));
        for note in &case.notes {
            let _ = writeln!(text, "- {}", escape(note));
        }
        text.push('\n');
        text
    };
    let notes = explanation.notes.iter().map(|note| format!("- {}\n\n", escape(note)));
    explanation.cases.iter().map(table).chain(notes).collect()
}

/// The answer of a tuning.
fn tuned(record: &TuneRecord) -> String {
    let view = tuning::view(record);
    let mut text = format!("### Tuning\n\n{}. {}.\n\n", escape(&view.title), escape(&view.effort));
    if record.gate {
        let _ = writeln!(text, "Gate: **{}**\n", escape(&record.verdict));
    }
    if !view.name.is_empty() {
        let word = if view.certain { "Recommended" } else { "Best so far" };
        let _ = writeln!(text, "{word}: **{}**\n", escape(&view.name));
    }
    if !view.command.is_empty() {
        // An indented block needs no escaping.
        let _ = writeln!(text, "    {}\n", view.command.replace(['\n', '\r'], " "));
    }
    for line in view.answer.iter().chain(&view.notes) {
        let _ = writeln!(text, "- {}", escape(line));
    }
    for limit in &view.limits {
        let _ = writeln!(text, "- Limited by {}", escape(limit));
    }
    let _ = writeln!(
        text,
        "\n| setting | {} | p99 | CPU/req | memory | launches | result |\n|---|---:|---:|---:|---:|---:|---|",
        view.metric
    );
    for row in &view.rows {
        let present = if row.present { " (present)" } else { "" };
        let note = if row.note.is_empty() { &row.loss } else { &row.note };
        let note = if note.is_empty() {
            String::new()
        } else {
            format!(": {}", escape(note))
        };
        let _ = writeln!(
            text,
            "| {}{present} | {} | {} | {} | {} | {} | {}{note} |",
            escape(&row.name),
            row.figure,
            row.p99,
            row.cpu,
            row.memory,
            row.launches,
            row.status
        );
    }
    text.push('\n');
    text
}

/// The judged thresholds, if there are any.
fn judged_thresholds(run: &RunRecord) -> Option<String> {
    let about = thresholds::about(run)?;
    let mut text = String::from("### Thresholds\n\n");
    let rows = thresholds::rows(run);
    if rows.is_empty() {
        text.push_str("No threshold was judged.\n\n");
    } else {
        text.push_str(
            "| case | threshold | verdict | estimate | interval | launches |\n|---|---|---|---:|---:|---:|\n",
        );
    }
    for row in rows {
        let bold = if row.verdict == "broken" { "**" } else { "" };
        let note = if row.note.is_empty() {
            String::new()
        } else {
            format!(": {}", escape(&row.note))
        };
        let _ = writeln!(
            text,
            "| {} | {} | {bold}{}{bold}{note} | {} | {} | {} |",
            escape(&row.case),
            escape(&row.threshold),
            row.verdict,
            row.estimate,
            row.interval,
            row.launches
        );
    }
    let _ = writeln!(text, "\n{about}\n");
    Some(text)
}

fn compared(comparison: &Comparison) -> String {
    let mut text = format!("### Compared with {}\n\n", escape(&comparison.against));
    if comparison.gate {
        let _ = writeln!(text, "Gate: **{}**\n", escape(&comparison.verdict));
    }
    if comparison.outcomes.is_empty() {
        text.push_str("Nothing was compared.\n\n");
    } else {
        text.push_str("| case | metric | change | interval | margin | p | MDE | blocks | verdict |\n|---|---|---:|---:|---:|---:|---:|---:|---|\n");
    }
    for outcome in &comparison.outcomes {
        let gated = if outcome.gated { "" } else { " (advisory)" };
        let verdict = if outcome.undecided {
            "undecided"
        } else {
            outcome.verdict.id()
        };
        let bold = if outcome.gated && verdict == "regression" {
            "**"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.3} | {} | {} | {bold}{verdict}{bold}{gated} |",
            escape(&outcome.case),
            outcome.metric.title(),
            outcome.change.map_or_else(dash, |c| change(outcome, c)),
            outcome.interval.map_or_else(dash, |i| format!(
                "[{}, {}]",
                change(outcome, i.low),
                change(outcome, i.high)
            )),
            outcome.margin,
            outcome.p,
            outcome
                .mde
                .map_or_else(dash, |m| change(outcome, m).trim_start_matches('+').to_owned()),
            outcome.blocks,
        );
    }
    text.push('\n');
    for line in comparison
        .missing
        .iter()
        .map(|m| format!("Missing: {m}"))
        .chain(comparison.notes.iter().cloned())
    {
        let _ = writeln!(text, "- {}", escape(&line));
    }
    text.push('\n');
    text
}

fn footer(run: &RunRecord) -> String {
    let mut text = String::from("<details><summary>Environment and notices</summary>\n\n");
    for notice in &run.notices {
        let about = if notice.about.is_empty() {
            String::new()
        } else {
            format!("{}: ", notice.about)
        };
        let _ = writeln!(text, "- {}", escape(&format!("{about}{}", notice.text)));
    }
    for (name, value) in crate::report::facts::of_run(run) {
        let _ = writeln!(text, "- {}: {}", escape(&name), escape(&value));
    }
    text.push_str("\n</details>\n");
    text
}

fn heading(metric: Metric) -> &'static str {
    match metric {
        Metric::Throughput => "req/s",
        other => other.id(),
    }
}

fn interval(metric: Metric, summary: &Summary) -> String {
    let point = units::metric(metric, summary.mean.point);
    match summary.mean.interval {
        Some(i) => format!(
            "{point} [{}, {}]",
            units::metric(metric, i.low),
            units::metric(metric, i.high)
        ),
        None => format!("{point} (one launch)"),
    }
}

fn figure(figures: &Figures, metric: Metric) -> String {
    figures
        .metrics
        .get(&metric)
        .map_or_else(dash, |s| units::metric(metric, s.mean.point))
}

fn dash() -> String {
    "-".into()
}

/// Escapes text so that markup, table bars, mentions and line breaks have no effect.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            '|' | '*' | '`' | '[' | ']' | '\\' | '~' | '#' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
