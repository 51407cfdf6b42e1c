//! Statistics over launches: pure functions without I/O or clock, independent of servers.
//!
//! The unit of replication is the launch. A launch contributes one number (the median of its rounds); rounds and
//! requests of a launch are never replicates. *Spread* is always the standard deviation of the logarithm.
//!
//! `docs/statistics.md` describes the methods, with references and the simulation that validates them.

pub mod baseline;
pub mod compare;
pub mod distribution;
pub mod disturbance;
pub mod elimination;
pub mod estimate;
pub mod holm;
pub mod max_t;
pub mod metric;
pub mod rank;
pub mod sample;
pub mod self_check;
pub mod slope;
pub mod threshold;

pub use baseline::{Advice, Standing, advise};
pub use compare::{Decision, Design, Family, GateRole, Outcome, Progress, Series, Shares, StopReason, Verdict};
pub use disturbance::{Disturbance, Guard};
pub use estimate::{Estimate, Interval, Method, Summary, Tukey, summarise};
pub use metric::{Direction, Margin, Metric, Unit};
pub use rank::{Contender, Pairing, Place, rank};
pub use self_check::{SelfCheck, self_check};
pub use slope::{Slope, slope};
pub use threshold::{Threshold, ThresholdOutcome, ThresholdReport, ThresholdVerdict};
