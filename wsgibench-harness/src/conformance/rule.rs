//! What a rule is, and what is found.

use serde::{Deserialize, Serialize};

use super::dialogue::{Dialogue, Site, Transcript};

/// What was found of one rule at one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    /// How it went.
    pub verdict: RuleOutcome,
    /// One line: what the server did.
    pub why: String,
}

/// How a rule went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RuleOutcome {
    /// As the specification says.
    Pass,
    /// Departs from its letter, or is poorer than it could be; nobody is misled.
    Tolerated,
    /// Says that it cannot do this: allowed, and a scenario that needs it is unsupported.
    Refused,
    /// A client or a proxy in front is misled, kept waiting, or loses data.
    Fail,
    /// Not asked: the application has not what it takes.
    Skipped,
    /// What a later version found, in a word that this one does not know; no rule of this version is judged so.
    #[serde(other)]
    #[cfg_attr(feature = "schemas", schemars(skip))]
    Unknown,
}

impl RuleOutcome {
    /// All that a table tells apart, the best first.
    pub const ALL: [Self; 6] = [
        Self::Pass,
        Self::Tolerated,
        Self::Refused,
        Self::Fail,
        Self::Skipped,
        Self::Unknown,
    ];

    /// In words.
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

    /// Whether it says something of the server that a reader should look at.
    #[must_use]
    pub fn departs(self) -> bool {
        !matches!(self, Self::Pass | Self::Skipped)
    }

    /// Whether loads that need the rule are not timed.
    #[must_use]
    pub fn bars(self) -> bool {
        matches!(self, Self::Fail | Self::Refused)
    }
}

/// Something that a load may need, and whose lack makes its timing unfair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Requests whose body is chunked.
    ChunkedRequests,
    /// `HEAD`.
    Head,
    /// `Expect: 100-continue`.
    ExpectContinue,
    /// Answers sent piece by piece, as the application yields them.
    StreamedAnswers,
    /// Something of a later version.
    #[serde(other)]
    #[cfg_attr(feature = "schemas", schemars(skip))]
    Unknown,
}

impl Feature {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ChunkedRequests => "chunked requests",
            Self::Head => "HEAD",
            Self::ExpectContinue => "Expect: 100-continue",
            Self::StreamedAnswers => "streamed answers",
            Self::Unknown => "something that this version does not know",
        }
    }
}

/// One thing that a server must do.
#[derive(Debug)]
pub struct Rule {
    /// Short and stable, e.g. `chunked-body`.
    pub id: &'static str,
    /// What is asked, in one line.
    pub title: &'static str,
    /// Where it is written, e.g. `RFC 9112 7.1`.
    pub source: &'static str,
    /// Loads that need this are not timed where it fails or is refused.
    pub bars: Option<Feature>,
    pub(super) needs: Needs,
    pub(super) say: fn(&Site) -> Vec<Dialogue>,
    pub(super) judge: fn(&[Transcript]) -> Judgement,
}

/// What a rule needs of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// A path that answers 200.
    Nothing,
    /// The routes under `/conformance/`.
    Routes,
}

/// What a judge says.
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
