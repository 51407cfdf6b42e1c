//! Profiles in the formats of other tools.

mod folded;
mod pprof;
mod speedscope;

pub use self::{folded::folded, pprof::pprof, speedscope::speedscope};

use super::{ArmProfile, Explanation};

/// Arms of all cases: case, arm, profile.
fn arms(explanation: &Explanation) -> impl Iterator<Item = (&str, &'static str, &ArmProfile)> {
    explanation.cases.iter().flat_map(|case| {
        let base = case.base.as_ref().map(|base| ("base", base));
        base.into_iter()
            .chain([("candidate", &case.candidate)])
            .map(|(arm, profile)| (case.case.as_str(), arm, profile))
    })
}

/// Nanoseconds of a time in microseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of a request are positive and far below 2^53 nanoseconds"
)]
fn nanoseconds(us: f64) -> u64 {
    (us.max(0.0) * 1e3).round() as u64
}

#[cfg(test)]
mod samples {
    use crate::profile::{
        ArmProfile, CaseExplanation, Explanation, Frame,
        tree::{Node, Tree},
    };

    /// Two arms of one case: `main` calls a function whose name is hostile to every format.
    pub(super) fn explanation() -> Explanation {
        let frame = |function: &str, line| Frame {
            function: function.to_owned(),
            file: "./app;x.py".to_owned(),
            line,
            first_line: 1,
        };
        let node = |parent, frame, running, waiting| Node {
            parent,
            frame,
            running,
            waiting,
        };
        let arm = |slow: f64| ArmProfile {
            launches: 8,
            tree: Tree {
                frames: vec![frame("main", 3), frame("a;b\n\"<script>", 9), Frame::other("futex")],
                nodes: vec![
                    node(None, 0, 1.5, 0.0),
                    node(Some(0), 1, slow, 0.0),
                    node(Some(1), 2, 0.0, 40.0),
                ],
            },
            ..ArmProfile::default()
        };
        Explanation {
            version: Explanation::VERSION,
            cases: vec![CaseExplanation {
                case: "ping/one/c1".to_owned(),
                base: Some(arm(2.0)),
                candidate: arm(7.25),
                ..CaseExplanation::default()
            }],
            ..Explanation::default()
        }
    }
}
