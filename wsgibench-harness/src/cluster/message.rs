//! Messages between the bench, the coordinator and the pods.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    clock::{Offset, Reading},
    skew::Skew,
};
use crate::{
    load::{Live, LoadPlan, RoundPart},
    sandbox::Usage,
};

pub(crate) use crate::sandbox::kubernetes::PORT;

/// First message of a connection to the coordinator: its secret and its role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The secret of the run.
    pub(crate) token: String,
    pub(crate) role: Role,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// The bench. Reports after this number are sent again, after a connection was lost.
    Bench { seen: u64 },
    /// A pod.
    Pod(Member),
}

/// A pod that takes part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Member {
    /// A load pod: its stripe, and the name of its pod.
    Load { index: u32, pod: String },
    /// The second container of a server's pod, which reads the server's resource usage.
    Observer { pod: String },
}

impl Member {
    pub(crate) fn pod(&self) -> &str {
        match self {
            Self::Load { pod, .. } | Self::Observer { pod } => pod,
        }
    }
}

/// The load of a launch and the pods that take part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// The load pods, in the order of their stripes.
    pub(crate) pods: Vec<String>,
    /// The server's pod, whose observer takes part; `None` without one.
    pub(crate) server: Option<String>,
    /// The whole load.
    pub(crate) plan: LoadPlan,
    /// Id of the case, whose script the pods run.
    pub(crate) case: String,
    /// Time to wait for the pods to connect.
    pub(crate) within: Duration,
}

/// An order of the bench. An order with a known number was sent again and is ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) task: Task,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Checks the server's responses from the first pod, and opens the connections of all.
    Open(Box<Opening>),
    /// Offers the load without recording it.
    WarmUp { length: Duration },
    /// Runs one round in all pods at the same time.
    Round { length: Duration },
    /// Ends the current task early.
    Cancel,
    /// Closes the connections; the pods wait for the next launch.
    Close,
}

/// A report to the bench.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Counts the reports, from 1.
    pub(crate) number: u64,
    pub(crate) event: Event,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// All connections are open. Has what the check of the responses found.
    Opened {
        checked: Checked,
    },
    /// The task failed, and the launch with it.
    Failed(Failure),
    WarmedUp,
    /// Figures of the running task, over all pods.
    Live(Live),
    /// A pod's part of the round.
    Part(Box<PodPart>),
    /// A pod is lost; the round ends early.
    Lost {
        pod: String,
        why: String,
    },
    /// Resource usage of the server in the round.
    Usage(Observed),
    /// The round has ended; all its parts were reported.
    RoundDone {
        skew: Skew,
    },
    Closed,
}

/// Why a pod failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) pod: String,
    pub(crate) text: String,
    /// Whether it may be the trace of a server that has just ended.
    pub(crate) may_be_an_end: bool,
}

/// Result of the check of the responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checked {
    /// Duration of a complete script run.
    pub(crate) script: Option<Duration>,
    /// Notices for the reader of the results.
    pub(crate) notes: Vec<String>,
}

/// A pod's part of a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PodPart {
    pub(crate) index: u32,
    pub(crate) pod: String,
    /// When the round started, by the pod's clock.
    pub(crate) started: Reading,
    pub(crate) offset: Offset,
    /// Its figures.
    pub(crate) part: RoundPart,
    pub(crate) facts: PodFacts,
}

/// Facts about a pod that its load generator does not measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PodFacts {
    /// Local ports for connections to one address.
    pub(crate) port_range: u32,
    /// Local ports in `TIME_WAIT` towards the server after the round.
    pub(crate) time_wait: u32,
    /// Seconds for which a CPU quota stopped the pod in the round.
    pub(crate) throttled: f64,
    /// CPU time taken by the hypervisor, as a share of the round.
    pub(crate) steal_share: f64,
}

/// Resource usage of the server, read in its own pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Observed {
    /// At the start of the round.
    pub(crate) before: Option<Usage>,
    /// At its end.
    pub(crate) after: Option<Usage>,
    /// Seconds since the start, and the usage.
    pub(crate) series: Vec<(f64, Usage)>,
    /// Source of the figures: `cgroup` or `schedstat and PSS`.
    pub(crate) source: String,
}

/// A message to a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToPod {
    /// Answer at once with the reading of the clock.
    Ping {
        sent: Reading,
    },
    /// Check the server's responses.
    Check {
        plan: Box<LoadPlan>,
        case: String,
    },
    /// Open the connections of a stripe.
    Open {
        plan: Box<LoadPlan>,
        case: String,
    },
    /// Offer the load from a reading of the pod's clock on.
    Start {
        at: Reading,
        length: Duration,
        measured: bool,
    },
    Cancel,
    Close,
}

/// A message from a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromPod {
    Pong {
        sent: Reading,
        reading: Reading,
    },
    /// Sent every [`HEARTBEAT`] whatever the pod does.
    Alive(Live),
    Checked(Checked),
    Opened,
    Failed {
        text: String,
        may_be_an_end: bool,
    },
    WarmedUp,
    Part {
        started: Reading,
        part: Box<RoundPart>,
        facts: PodFacts,
    },
    Observed(Box<Observed>),
    Closed,
}

/// Interval between a pod's signs of life.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);
