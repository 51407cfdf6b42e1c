//! Tables of capacity, burst recovery, slow clients, memory growth and footprint.

use super::table::{Table, numeric_column, text_column};
use crate::{
    report::{
        endurance::{self, Growth},
        footprint, range, units,
    },
    store::record::RunRecord,
};

/// Returns the tables of a run; none is empty.
pub(super) fn of(run: &RunRecord) -> Vec<Table> {
    [capacity(run), bursts(run), slow(run), growth(run)]
        .into_iter()
        .filter_map(Table::filled)
        .collect()
}

fn capacity(run: &RunRecord) -> Table {
    let row = |case: &crate::store::record::CaseRecord| {
        let found = endurance::capacity(case)?;
        Some(vec![
            case.id.clone(),
            units::rate(found.per_second.median),
            found.per_second.ends(units::rate).unwrap_or_else(super::view::dash),
            found.launches.to_string(),
        ])
    };
    Table {
        id: "capacity".into(),
        title: "Capacity".into(),
        caption: "Requests per second that each server sustained at each of its launches; the load rates of these cases are shares of it."
            .into(),
        heads: vec![
            text_column("case"),
            numeric_column("capacity, req/s"),
            numeric_column("lowest to highest"),
            numeric_column("launches"),
        ],
        rows: run.cases.iter().filter_map(row).collect(),
    }
}

fn bursts(run: &RunRecord) -> Table {
    let row = |case: &crate::store::record::CaseRecord| {
        let found = endurance::burst(case)?;
        Some(vec![
            case.id.clone(),
            found.recovered_text(),
            units::time(found.usual_ns.median),
            units::time(found.worst_ns.median),
            found.errors.text(range::count),
            found.rounds.to_string(),
        ])
    };
    Table {
        id: "bursts".into(),
        title: "Bursts".into(),
        caption: "Time after a burst until the 99th percentile recovered, to the second. Medians over rounds, with minimum and maximum where they differ."
            .into(),
        heads: vec![
            text_column("case"),
            numeric_column("p99 recovered after"),
            numeric_column("usual p99"),
            numeric_column("worst p99"),
            numeric_column("errors"),
            numeric_column("rounds"),
        ],
        rows: run.cases.iter().filter_map(row).collect(),
    }
}

fn slow(run: &RunRecord) -> Table {
    let rows = run.cases.iter().flat_map(|case| {
        endurance::background_clients(case).iter().map(|slow| {
            let mut row = vec![case.id.clone(), slow.name.clone()];
            row.extend([slow.there, slow.wanted, slow.finished, slow.sent_away, slow.not_let_in].map(units::grouped));
            row
        })
    });
    Table {
        id: "slow-clients".into(),
        title: "Slow clients".into(),
        caption: "State of the slow clients at the end of the last round. The figures of the load exclude them.".into(),
        heads: vec![
            text_column("case"),
            text_column("clients"),
            numeric_column("connected"),
            numeric_column("wanted"),
            numeric_column("completed"),
            numeric_column("disconnected"),
            numeric_column("rejected attempts"),
        ],
        rows: rows.collect(),
    }
}

fn growth(run: &RunRecord) -> Table {
    let rows = run.cases.iter().flat_map(|case| {
        endurance::growth(case).into_iter().map(|growth| {
            vec![
                case.id.clone(),
                growth.verdict().to_owned(),
                Growth::a_minute(growth.slope.per_second),
                format!(
                    "{} to {}",
                    Growth::a_minute(growth.slope.low),
                    Growth::a_minute(growth.slope.high)
                ),
                format!("{:.0} s", growth.slope.seconds),
                (growth.launch + 1).to_string(),
                (growth.round + 1).to_string(),
            ]
        })
    });
    Table {
        id: "memory-growth".into(),
        title: "Memory growth".into(),
        caption: "Slope of the server's memory within each round that was long enough to estimate it. An interval that includes zero shows neither growth nor stability."
            .into(),
        heads: vec![
            text_column("case"),
            text_column("conclusion"),
            numeric_column("a minute"),
            numeric_column("95 % interval"),
            numeric_column("over"),
            numeric_column("launch"),
            numeric_column("round"),
        ],
        rows: rows.collect(),
    }
}

/// Returns the footprint table of the servers.
pub(super) fn footprint(run: &RunRecord) -> Option<Table> {
    let mut heads = footprint::HEADS.map(numeric_column).to_vec();
    heads[0] = text_column(footprint::HEADS[0]);
    Table {
        id: "footprints".into(),
        title: "Cold start and footprint".into(),
        caption: "Time from the start command to the first correct response (median, minimum and maximum over launches); memory after it \
                  and before any load; memory per open connection, with a thousand or more idle ones; image size, including the \
                  shared base."
            .into(),
        heads,
        rows: footprint::of_run(run).iter().map(|found| found.cells().to_vec()).collect(),
    }
    .filled()
}
