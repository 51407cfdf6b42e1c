//! Outcome of a case whose server failed to prepare in one or both arms.

use crate::store::record::CaseOutcome;

/// Returns the outcome of a case from the outcome of each arm's preparation (`None`: prepared), or `None` if the case can
/// run.
pub(super) fn outcome(arms: &[Option<CaseOutcome>]) -> Option<CaseOutcome> {
    let lost: Vec<&CaseOutcome> = arms.iter().flatten().collect();
    // A failure in one arm takes precedence over a server that is unavailable in the other.
    let failed = lost.iter().find(|outcome| matches!(outcome, CaseOutcome::Failed(_)));
    let worst = failed.or(lost.first())?;
    Some(match worst {
        // The arms differ in more than a figure, so a gate must not ignore it.
        CaseOutcome::NotAvailable(reason) if lost.len() < arms.len() => {
            CaseOutcome::Failed(format!("available in only one arm: {reason}"))
        }
        worst => (**worst).clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unavailable_in_both_arms_is_unavailable_and_in_one_arm_failed() {
        let unavailable = || Some(CaseOutcome::NotAvailable("no apache2".into()));
        let failed = || Some(CaseOutcome::Failed("no such folder".into()));
        let alone = Some(CaseOutcome::Failed("available in only one arm: no apache2".into()));
        for (arms, expected) in [
            (vec![None, None], None),
            (vec![unavailable()], unavailable()),
            (vec![unavailable(), unavailable()], unavailable()),
            (vec![unavailable(), None], alone.clone()),
            (vec![None, unavailable()], alone),
            (vec![failed(), unavailable()], failed()),
            (vec![unavailable(), failed()], failed()),
            (vec![None, failed()], failed()),
        ] {
            assert_eq!(outcome(&arms), expected, "{arms:?}");
        }
    }
}
