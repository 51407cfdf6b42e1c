//! Rules, their outcomes, and the features that depend on them.

use serde::{Deserialize, Serialize};

use super::dialogue::{Dialogue, Site, Transcript};

/// The result of one rule for one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    /// The outcome.
    pub verdict: RuleOutcome,
    /// The server's behaviour, in one line.
    pub why: String,
}

/// The outcome of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuleOutcome {
    /// Follows the specification.
    Pass,
    /// Deviates from the specification without misleading a client.
    Tolerated,
    /// Rejects the request explicitly: allowed, but scenarios that need the feature are unsupported.
    Refused,
    /// Misleads a client or a proxy, keeps it waiting, or loses data.
    Fail,
    /// Not checked: the application lacks the required routes.
    Skipped,
    /// An outcome written by a later version; this version never produces it.
    #[serde(other)]
    #[cfg_attr(feature = "schemas", schemars(skip))]
    Unknown,
}

impl RuleOutcome {
    /// All outcomes, best first.
    pub const ALL: [Self; 6] = [
        Self::Pass,
        Self::Tolerated,
        Self::Refused,
        Self::Fail,
        Self::Skipped,
        Self::Unknown,
    ];

    /// Returns the name shown to users.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Tolerated => "tolerated",
            Self::Refused => "refused",
            Self::Fail => "fail",
            Self::Skipped => "not asked",
            Self::Unknown => "unknown",
        }
    }

    /// Returns whether the outcome deserves the reader's attention.
    #[must_use]
    pub fn deviates(self) -> bool {
        !matches!(self, Self::Pass | Self::Skipped)
    }

    /// Returns whether loads that need the rule are excluded from timing.
    #[must_use]
    pub fn lacks_feature(self) -> bool {
        matches!(self, Self::Fail | Self::Refused)
    }
}

/// A feature that a load may require; timing a server without it would be unfair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Feature {
    /// Requests whose body is chunked.
    ChunkedRequests,
    /// `HEAD`.
    Head,
    /// `Expect: 100-continue`.
    ExpectContinue,
    /// Responses sent chunk by chunk, as the application yields them.
    StreamedAnswers,
    /// A feature added by a later version.
    #[serde(other)]
    #[cfg_attr(feature = "schemas", schemars(skip))]
    Unknown,
}

impl Feature {
    /// Returns the name shown to users.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ChunkedRequests => "chunked requests",
            Self::Head => "HEAD",
            Self::ExpectContinue => "Expect: 100-continue",
            Self::StreamedAnswers => "streamed answers",
            Self::Unknown => "a feature of a later version",
        }
    }
}

/// A conformance rule.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Short, stable identifier, e.g. `chunked-body`.
    pub id: &'static str,
    /// The requirement, in one line.
    pub title: &'static str,
    /// The specification that requires it, e.g. `RFC 9112 7.1`.
    pub source: &'static str,
    /// The feature whose loads are not timed if the rule fails or is refused.
    pub required_for: Option<Feature>,
    pub(super) needs: Needs,
    pub(super) dialogues: fn(&Site) -> Vec<Dialogue>,
    pub(super) judge: fn(&[Transcript]) -> Judgement,
}

/// The application routes that a rule requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// A path that answers 200.
    Nothing,
    /// The routes under `/conformance/`.
    Routes,
}

/// A rule's outcome with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: RuleOutcome,
    pub(super) why: String,
}

pub(super) fn pass(why: impl Into<String>) -> Judgement {
    judgement(RuleOutcome::Pass, why)
}

pub(super) fn tolerated(why: impl Into<String>) -> Judgement {
    judgement(RuleOutcome::Tolerated, why)
}

pub(super) fn refused(why: impl Into<String>) -> Judgement {
    judgement(RuleOutcome::Refused, why)
}

pub(super) fn fail(why: impl Into<String>) -> Judgement {
    judgement(RuleOutcome::Fail, why)
}

fn judgement(verdict: RuleOutcome, why: impl Into<String>) -> Judgement {
    Judgement {
        verdict,
        why: why.into(),
    }
}
