//! A scenario: a load, or a script, for each of its parameter sets.

use super::{Hook, Location, id};
use crate::load::{Load, script::Script};

/// What a parameter set asks of the engine.
#[derive(Clone, Debug)]
pub enum Work {
    /// A declared load.
    Load(Load),
    /// A scripted user.
    Script {
        /// When users come: a load without requests.
        load: Load,
        /// What each of them does.
        script: Script,
    },
}

impl Work {
    /// The load: when requests are due and, where they are declared, which.
    #[must_use]
    pub fn load(&self) -> &Load {
        match self {
            Self::Load(load) | Self::Script { load, .. } => load,
        }
    }

    /// What users do, where it is scripted.
    #[must_use]
    pub fn script(&self) -> Option<&Script> {
        match self {
            Self::Load(_) => None,
            Self::Script { script, .. } => Some(script),
        }
    }

    /// The same with another load; a script stays what it is.
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
pub struct ParamSet {
    /// Last part of the case's id, e.g. `c100`; `default` for a scenario without parameters.
    pub id: String,
    /// Names and values, in order.
    pub values: Vec<(String, String)>,
    /// What to do.
    pub work: Work,
}

impl ParamSet {
    /// A parameter set with the id that its values give it. `case` is the name of a named case and the parameters that it
    /// stands for in the id.
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
pub struct Scenario {
    /// Name, unique in a run.
    pub name: String,
    /// Where it is declared.
    pub location: Location,
    /// From its doc comment.
    pub description: String,
    /// Servers it is for; `None`: all.
    pub servers: Option<Vec<String>>,
    /// Server that the others are compared with.
    pub baseline: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Why it is not run unless asked for.
    pub ignore: Option<String>,
    /// Run once a launch, before the first request.
    pub setup: Option<Hook>,
    /// Run once a launch, after the last request.
    pub teardown: Option<Hook>,
    /// Its parameter sets.
    pub params: Vec<ParamSet>,
}
