//! The journal: events of a run line by line, and the reconstruction of the run from them.

use serde::{Deserialize, Serialize};

use super::record::{CaseOutcome, CaseRecord, Ceiling, LaunchRecord, Notice, RoundRecord, RunRecord, ServerRecord};

/// One line of `journal.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The first line: the run with its cases, before any measurement.
    Run(Box<RunRecord>),
    /// A notice.
    Notice(Notice),
    /// A server was prepared.
    Server(Box<ServerRecord>),
    /// The ceiling of the load engine was measured.
    Ceiling(Ceiling),
    /// The ceiling of scripted users was measured.
    ScriptCeiling(Ceiling),
    /// A launch is ready to be loaded.
    LaunchBegun {
        /// Case id.
        case: String,
        /// The launch, without rounds.
        launch: Box<LaunchRecord>,
    },
    /// A round has ended.
    Round {
        /// Case id.
        case: String,
        /// Arm.
        arm: String,
        /// Launch number.
        launch: u32,
        /// The round.
        round: Box<RoundRecord>,
    },
    /// A launch has ended; its rounds have their own lines.
    LaunchDone {
        /// Case id.
        case: String,
        /// The launch, without rounds.
        launch: Box<LaunchRecord>,
    },
    /// A case is complete.
    Outcome {
        /// Case id.
        case: String,
        /// Outcome.
        outcome: CaseOutcome,
    },
}

/// Rebuilds a run from its journal's entries: the same record that the runner holds in memory. `None` if the first entry is
/// not the run itself.
#[must_use]
pub fn fold(entries: impl IntoIterator<Item = Entry>) -> Option<RunRecord> {
    let mut entries = entries.into_iter();
    let Some(Entry::Run(run)) = entries.next() else {
        return None;
    };
    let mut run = *run;
    for entry in entries {
        apply(&mut run, entry);
    }
    Some(run)
}

/// Applies one entry; an entry for an unknown case is ignored.
pub(super) fn apply(run: &mut RunRecord, entry: Entry) {
    match entry {
        // The environment is repeated once the sandbox is open: later values replace earlier ones.
        Entry::Run(again) => *run = *again,
        Entry::Notice(notice) => run.notices.push(notice),
        Entry::Server(server) => run.servers.push(*server),
        Entry::Ceiling(ceiling) => run.ceiling = Some(ceiling),
        Entry::ScriptCeiling(ceiling) => run.script_ceiling = Some(ceiling),
        Entry::LaunchBegun { case, launch } => {
            if let Some(case) = find(run, &case) {
                case.launches.push(*launch);
            }
        }
        Entry::Round {
            case,
            arm,
            launch,
            round,
        } => {
            if let Some(case) = find(run, &case) {
                // A failure in one arm is final, whatever the other arm reports later.
                if case.outcome == CaseOutcome::Planned {
                    case.outcome = CaseOutcome::Measured;
                }
                if let Some(launch) = case.launches.iter_mut().find(|l| l.index == launch && l.arm == arm) {
                    launch.rounds.push(*round);
                }
            }
        }
        Entry::LaunchDone { case, launch } => {
            if let Some(case) = find(run, &case) {
                match case
                    .launches
                    .iter_mut()
                    .find(|l| l.index == launch.index && l.arm == launch.arm)
                {
                    Some(old) => {
                        let rounds = std::mem::take(&mut old.rounds);
                        *old = *launch;
                        old.rounds = rounds;
                    }
                    None => case.launches.push(*launch),
                }
            }
        }
        Entry::Outcome { case, outcome } => {
            if let Some(case) = find(run, &case) {
                case.outcome = outcome;
            }
        }
    }
}

fn find<'a>(run: &'a mut RunRecord, id: &str) -> Option<&'a mut CaseRecord> {
    run.cases.iter_mut().find(|case| case.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        arms::{BASE, CANDIDATE},
        samples,
    };

    #[test]
    fn failure_in_one_arm_is_final() {
        let case = || "ping/a/c1".to_owned();
        let launches = [CANDIDATE, BASE].map(|arm| samples::launch(0, arm, 0.1, [1.0, 1.0]));
        let run = samples::run("r", &[samples::case("a", &CaseOutcome::Planned, &launches)]);
        let round = |arm: &str| Entry::Round {
            case: case(),
            arm: arm.to_owned(),
            launch: 0,
            round: Box::new(samples::round()),
        };
        let failed = CaseOutcome::Failed("it did not start".into());
        let outcome = Entry::Outcome {
            case: case(),
            outcome: failed.clone(),
        };
        let begun = || Entry::Run(Box::new(run.clone()));
        let fine = fold([begun(), round(CANDIDATE)]).unwrap();
        assert_eq!(fine.cases[0].outcome, CaseOutcome::Measured);
        let lost = fold([begun(), round(CANDIDATE), outcome, round(BASE)]).unwrap();
        assert_eq!(lost.cases[0].outcome, failed);
        assert_eq!(lost.cases[0].candidate_rounds().count(), 1);
    }
}
