//! Sample plans for tests.

use std::{path::PathBuf, sync::Arc};

use super::plan::Plan;
use crate::{
    declare::{Case, Profile, Work, samples::spec},
    measure::{Job, RunPlan},
    store::arms::CANDIDATE,
};

/// Returns the candidate arm of these cases of the server.
pub(super) fn plan(works: &[(&str, Work)]) -> Plan {
    let cases: Vec<Case> = works
        .iter()
        .map(|(id, work)| Case {
            id: (*id).into(),
            scenario: "s".into(),
            server: "one".into(),
            param: "p".into(),
            values: Vec::new(),
            work: work.clone(),
            description: String::new(),
            tags: Vec::new(),
            ignored: None,
            baseline: None,
            setup: None,
            teardown: None,
        })
        .collect();
    let job = |case: &Case| Job {
        case: case.clone(),
        arm: CANDIDATE,
        spec: Arc::new(spec()),
    };
    Plan {
        order: RunPlan::sample(Profile::quick(), cases.iter().map(job).collect()),
        cases,
        notices: Vec::new(),
        target_dir: PathBuf::from("/"),
        resumes: None,
    }
}
