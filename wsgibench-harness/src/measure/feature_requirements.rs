//! Features that a load requires of its server besides correct responses. A server without them would do different work, so
//! its case is reported as unsupported and not timed.

use super::launch::LaunchFailure;
use crate::{
    conformance::{self, Feature},
    declare::ServerSpec,
    load::{Body, Load, Target},
};

/// Tag of scenarios that require streamed responses.
const STREAMED: &str = "streamed-answers";

/// Returns the features required by a load with these tags.
fn needed(load: &Load, tags: &[String]) -> Vec<Feature> {
    let any = |test: fn(&crate::load::Request) -> bool| load.requests.iter().any(test);
    let found = [
        (
            Feature::ChunkedRequests,
            any(|request| matches!(request.body, Body::Chunked(_))),
        ),
        (
            Feature::Head,
            any(|request| request.method.eq_ignore_ascii_case("HEAD")),
        ),
        (
            Feature::ExpectContinue,
            any(|request| {
                request
                    .headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("Expect"))
            }),
        ),
        (Feature::StreamedAnswers, tags.iter().any(|tag| tag == STREAMED)),
    ];
    found
        .into_iter()
        .filter_map(|(feature, is)| is.then_some(feature))
        .collect()
}

/// Checks a running server for the features that the load requires.
///
/// # Errors
/// Returns [`LaunchFailure::Unsupported`] with the failed rule and the server's behaviour.
pub(super) fn check(target: &Target, spec: &ServerSpec, load: &Load, tags: &[String]) -> Result<(), LaunchFailure> {
    let features = needed(load, tags);
    match conformance::blocker(target, &spec.ready_path, &features) {
        None => Ok(()),
        Some(finding) => Err(LaunchFailure::Unsupported(format!(
            "conformance rule {}: {}",
            finding.rule, finding.why
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{get, post, request};

    #[test]
    fn loads_need_the_features_that_they_use() {
        let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let plain = Load::closed(1).request(get("/")).request(post("/a").body("x"));
        assert_eq!(needed(&plain, &tags(&["study"])), []);
        assert_eq!(needed(&plain, &tags(&[STREAMED])), [Feature::StreamedAnswers]);
        let all = Load::closed(1)
            .request(post("/a").chunked_body(9).header("expect", "100-continue"))
            .request(request("HEAD", "/"));
        assert_eq!(
            needed(&all, &[]),
            [Feature::ChunkedRequests, Feature::Head, Feature::ExpectContinue]
        );
    }
}
