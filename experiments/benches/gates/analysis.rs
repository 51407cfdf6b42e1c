//! Analysis of the outcomes: false alarms, power, time to a decision, and the sensitivity of the other metrics.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use wsgibench_harness::stats::{
    Design, Series,
    distribution::{proportion_lower_bound, proportion_upper_bound},
    sample::median,
    self_check::self_check,
};

use crate::outcomes::{Entry, Outcomes};

/// Each bound at 97.5 %, so that both together are a 95 % interval (Clopper and Pearson).
const SIDE: f64 = 0.975;

pub(crate) fn print(outcomes: &Outcomes) {
    let mut groups: BTreeMap<(u32, &str), Vec<&Entry>> = BTreeMap::new();
    for entry in outcomes.gates() {
        groups.entry((entry.size, &entry.server)).or_default().push(entry);
    }
    if groups.is_empty() {
        println!("no gate has been run yet");
        return;
    }
    println!("{}", caught(&groups));
    identical(outcomes);
    for line in undecided(outcomes) {
        println!("{line}");
    }
}

/// Prints the detection rate of each size, with the size as measured.
fn caught(groups: &BTreeMap<(u32, &str), Vec<&Entry>>) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header([
        "server",
        "planted",
        "measured CPU/request",
        "gates",
        "regression",
        "95 % interval",
        "blocks",
        "repeated",
        "time to a decision",
    ]);
    for (&(size, server), entries) in groups {
        let decided: Vec<&&Entry> = entries.iter().filter(|entry| entry.decided()).collect();
        let all = decided.len();
        let found = decided.iter().filter(|entry| entry.caught()).count();
        let middle = |of: fn(&Entry) -> f64| median(&decided.iter().map(|entry| of(entry)).collect::<Vec<_>>());
        let blocks: usize = decided.iter().map(|entry| entry.blocks).sum();
        let repeated: usize = decided.iter().map(|entry| entry.repeated).sum();
        table.add_row([
            server.to_owned(),
            format!("{size} %"),
            format!("{:+.2} %", middle(|e| e.cpu_change().unwrap_or(f64::NAN)) * 100.0),
            all.to_string(),
            found.to_string(),
            if all == 0 {
                String::new()
            } else {
                format!(
                    "{:.0} - {:.0} %",
                    proportion_lower_bound(found, all, SIDE) * 100.0,
                    proportion_upper_bound(found, all, SIDE) * 100.0
                )
            },
            format!("{:.0}", middle(|e| count(e.blocks))),
            format!("{:.0} %", 100.0 * count(repeated) / count(blocks.max(1))),
            format!("{:.0} s", middle(|e| e.seconds)),
        ]);
    }
    for column in 1..9 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "counts of gates and blocks")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Prints the false alarms of the gates on identical arms, whether these arms differ, and the smallest change that a gate can detect.
fn identical(outcomes: &Outcomes) {
    let decided: Vec<&Entry> = outcomes.gates().filter(|e| e.size == 0 && e.decided()).collect();
    if decided.is_empty() {
        return;
    }
    let alarms = decided.iter().filter(|entry| entry.caught()).count();
    println!(
        "identical arms: {alarms} of {} gates called a regression (95 % upper bound {:.1} %)",
        decided.len(),
        proportion_upper_bound(alarms, decided.len(), 0.95) * 100.0
    );
    println!("what a gate sees here (spread of a block's log ratio; smallest change found with a probability of 0.8):");
    for (case, recording) in recordings(&decided) {
        match self_check(&recording, &Design::standard()) {
            Ok(check) => {
                for pair in &check.pairs {
                    println!(
                        "  {case:<28} {:<22} spread {:>6.2} %  MDE {:>8}  {} blocks  arms differ by {:+.2} % (p = {:.2})",
                        pair.metric.title(),
                        pair.spread * 100.0,
                        pair.mde
                            .map_or_else(|| "none".to_owned(), |mde| format!("{:.2} %", mde * 100.0)),
                        pair.blocks,
                        pair.difference * 100.0,
                        pair.p
                    );
                }
            }
            Err(error) => println!("  {case:<28} {error}"),
        }
    }
}

/// Returns the blocks of all identical gates by case: one recording a case, one series a metric.
fn recordings(entries: &[&Entry]) -> BTreeMap<String, Vec<Series>> {
    let mut all: BTreeMap<String, Vec<Series>> = BTreeMap::new();
    for series in entries.iter().flat_map(|entry| &entry.series) {
        let known = all.entry(series.case.clone()).or_default();
        match known.iter_mut().find(|s| s.metric == series.metric) {
            Some(known) => known.blocks.extend_from_slice(&series.blocks),
            None => known.push(series.clone()),
        }
    }
    all
}

/// Prints the gates without a decision, with the reason.
fn undecided(outcomes: &Outcomes) -> Vec<String> {
    outcomes
        .gates()
        .filter(|entry| !entry.decided())
        .map(|entry| {
            format!(
                "no decision: {}, planted {} %, exit status {}: {}",
                entry.server,
                entry.size,
                entry.exit_status,
                entry.missing.first().map_or("", String::as_str)
            )
        })
        .collect()
}
