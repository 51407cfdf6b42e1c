//! Does a server speak HTTP/1.1, and does it keep its half of PEP 3333? Rules asked of a running server over plain sockets.
//!
//! Like the null server this room knows nothing of the rest of the crate. [`Examined`] is begun with an address and gives a
//! [`Finding`] for each [`Rule`] that it is asked; [`blocker`] asks only what a feature needs before it may be timed. A rule has two halves: what
//! is said to the server (a few dialogues), and a pure judgement of what came back.
//!
//! Some rules need an application that tells what it was given: the routes under `/conformance/` of the suite's application
//! (`suites/app/conformance.py`). Where they are missing, such a rule is `skipped`, never passed.

mod dialogue;
mod reading;
pub mod rule;
mod rules;
mod seen;

use std::net::SocketAddr;

pub use rule::{Feature, Finding, Rule, RuleOutcome};

use self::{
    dialogue::{Dialogue, Site},
    rule::Needs,
};

/// A server under examination.
#[derive(Clone, Debug)]
pub struct Examined {
    site: Site,
    routed: bool,
}

impl Examined {
    /// Looks whether the application has the routes that some rules need. `path` is one that a GET answers with 200.
    #[must_use]
    pub fn begin(address: SocketAddr, path: &str) -> Self {
        let site = Site::new(address, path);
        let routed = rules::has_routes(&site);
        Self { site, routed }
    }

    /// Whether the server still answers a plain request on a new connection: what a rule said to it may have hung it.
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

    /// Asks one rule. Blocks for some tenths of a second, some seconds where the server does not answer.
    #[must_use]
    pub fn ask(&self, rule: &Rule) -> Finding {
        if rule.needs == Needs::Routes && !self.routed {
            return Finding {
                rule: rule.id.to_owned(),
                verdict: RuleOutcome::Skipped,
                why: "the application has no routes under /conformance/ that would tell".to_owned(),
            };
        }
        let transcripts: Vec<_> = (rule.say)(&self.site).iter().map(|d| d.hold(&self.site)).collect();
        let judgement = (rule.judge)(&transcripts);
        Finding {
            rule: rule.id.to_owned(),
            verdict: judgement.verdict,
            why: judgement.why,
        }
    }
}

/// All rules, in the order of the table.
#[must_use]
pub fn rules() -> Vec<&'static Rule> {
    rules::ALL.iter().flat_map(|part| part.iter()).collect()
}

/// Why a load that needs these features may not be timed here: the first rule that stands in its way.
#[must_use]
pub fn blocker(address: SocketAddr, path: &str, features: &[Feature]) -> Option<Finding> {
    if features.is_empty() {
        return None;
    }
    let examined = Examined::begin(address, path);
    rules()
        .into_iter()
        .filter(|rule| rule.bars.is_some_and(|feature| features.contains(&feature)))
        .map(|rule| examined.ask(rule))
        .find(|finding| finding.verdict.bars())
}

#[cfg(test)]
mod tests;
