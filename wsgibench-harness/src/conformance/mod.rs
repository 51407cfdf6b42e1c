//! HTTP/1.1 and PEP 3333 conformance rules, checked against a running server over sockets of its own.
//!
//! Of the crate it uses the target and the TLS settings of a load alone. [`Examined`] connects to an address and returns a [`Finding`] for
//! each [`Rule`]; [`blocker`] checks only the rules that a load's features require before timing. A rule has two parts: the
//! dialogues with the server, and a pure function that judges their transcripts.
//!
//! Some rules need an application that reports the request it received: the routes under `/conformance/` of the suite's
//! application (`suites/app/conformance.py`). Without them such a rule is `skipped`, never passed.

mod dialogue;
mod reading;
pub mod rule;
mod rules;
mod seen;

use crate::load::Target;

pub use rule::{Feature, Finding, Rule, RuleOutcome};

use self::{
    dialogue::{Dialogue, Site},
    rule::Needs,
};

/// A server under test.
#[derive(Clone, Debug)]
pub struct Examined {
    site: Site,
    routed: bool,
}

impl Examined {
    /// Detects whether the application has the routes that some rules need. A GET of `path` must return 200.
    #[must_use]
    pub fn begin(target: &Target, path: &str) -> Self {
        let site = Site::new(target, path);
        let routed = rules::has_routes(&site);
        Self { site, routed }
    }

    /// Returns whether the server still answers a plain request on a new connection. A rule's input may have hung it.
    #[must_use]
    pub fn answers(&self) -> bool {
        let get = self.site.get(&self.site.path);
        let transcript = Dialogue::ask(&["GET"], get).hold(&self.site);
        transcript
            .reading()
            .answers
            .first()
            .is_some_and(|answer| answer.status < 500)
    }

    /// Checks one rule. Blocks for some tenths of a second, or several seconds if the server does not respond.
    #[must_use]
    pub fn ask(&self, rule: &Rule) -> Finding {
        if rule.needs == Needs::Routes && !self.routed {
            return Finding {
                rule: rule.id.to_owned(),
                verdict: RuleOutcome::Skipped,
                why: "the application does not have the /conformance/ routes".to_owned(),
            };
        }
        let transcripts: Vec<_> = (rule.dialogues)(&self.site)
            .iter()
            .map(|d| d.hold(&self.site))
            .collect();
        let judgement = (rule.judge)(&transcripts);
        Finding {
            rule: rule.id.to_owned(),
            verdict: judgement.verdict,
            why: judgement.why,
        }
    }
}

/// Returns all rules in display order.
#[must_use]
pub fn rules() -> Vec<&'static Rule> {
    rules::ALL.iter().flat_map(|part| part.iter()).collect()
}

/// Returns the first failed rule that prevents timing a load with these features.
#[must_use]
pub fn blocker(target: &Target, path: &str, features: &[Feature]) -> Option<Finding> {
    if features.is_empty() {
        return None;
    }
    let examined = Examined::begin(target, path);
    rules()
        .into_iter()
        .filter(|rule| rule.required_for.is_some_and(|feature| features.contains(&feature)))
        .map(|rule| examined.ask(rule))
        .find(|finding| finding.verdict.lacks_feature())
}

#[cfg(test)]
mod tests;
