//! A scenario: a load, or a script, for each of its parameter sets.

use crate::load::Load;

/// What a parameter set asks of the engine.
#[derive(Clone, Debug)]
pub enum Work {
    /// A declared load.
    Load(Load),
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

/// A scenario, as collected from the registry.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Name, unique in a run.
    pub name: String,
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
    /// Its parameter sets.
    pub params: Vec<ParamSet>,
}
