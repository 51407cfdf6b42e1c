//! Sample plans for tests.

use std::{path::PathBuf, sync::Arc};

use super::plan::Plan;
use crate::{
    declare::{Case, DeclaredServer, Location, Machine, Profile, Server, ServerSpec, Work, resolve},
    measure::{Job, RunPlan},
    store::arms::CANDIDATE,
};

/// Returns a server from an image.
pub(super) fn spec() -> ServerSpec {
    let declared = DeclaredServer {
        name: "one".into(),
        description: String::new(),
        location: Location {
            file: "here",
            line: 1,
            column: 1,
        },
        manifest_dir: PathBuf::from("/"),
        setting: None,
        server: Server::dockerfile("one"),
    };
    let machine = Machine {
        server_cpus: 1,
        memory: u64::MAX,
    };
    resolve(&declared, None, &machine).0
}

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
