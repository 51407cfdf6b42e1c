//! Scenarios: a load or a script for each parameter set.

use super::{Hook, Location, id};
use crate::load::{Load, script::Script};

/// The work of a parameter set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Work {
    /// A declared load.
    Load(Load),
    /// A scripted user.
    Script {
        /// The arrival of users: a load without requests.
        load: Load,
        /// The script that each user runs.
        script: Script,
    },
}

impl Work {
    /// Returns the load; of scripted users, without requests.
    #[must_use]
    pub fn load(&self) -> &Load {
        match self {
            Self::Load(load) | Self::Script { load, .. } => load,
        }
    }

    /// Returns the script of scripted users.
    #[must_use]
    pub fn script(&self) -> Option<&Script> {
        match self {
            Self::Load(_) => None,
            Self::Script { script, .. } => Some(script),
        }
    }

    /// Replaces the load and keeps the script.
    #[must_use]
    pub fn with_load(self, load: Load) -> Self {
        match self {
            Self::Load(_) => Self::Load(load),
            Self::Script { script, .. } => Self::Script { load, script },
        }
    }
}

/// One parameter set of a scenario.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ParamSet {
    /// Last part of the case's id, e.g. `c100`; `default` for a scenario without parameters.
    pub id: String,
    /// Names and values, in order.
    pub values: Vec<(String, String)>,
    /// The load or script.
    pub work: Work,
}

impl ParamSet {
    /// Returns a parameter set; its id is made of the values. `case` is the name of a named case and the parameters that it
    /// replaces in the id.
    #[must_use]
    pub fn new(case: Option<(&str, &[&str])>, values: Vec<(String, String)>, work: Work) -> Self {
        Self {
            id: id::param_id(case, &values),
            values,
            work,
        }
    }
}

/// A scenario, as collected from the registry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// Name, unique in a run.
    pub name: String,
    /// Where it is declared.
    pub location: Location,
    /// From its doc comment.
    pub description: String,
    /// Names of the servers to measure; `None`: all.
    pub servers: Option<Vec<String>>,
    /// Server with which the others are compared.
    pub baseline: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Reason for skipping it by default.
    pub ignore: Option<String>,
    /// Hook before the first request of a launch.
    pub setup: Option<Hook>,
    /// Hook after the last request of a launch.
    pub teardown: Option<Hook>,
    /// Its parameter sets.
    pub params: Vec<ParamSet>,
}
