//! What a case comes to before its first launch, where an arm of it cannot be had.

use crate::store::record::CaseOutcome;

/// The outcome of a case by what is in the way of each of its arms; `None` where nothing is.
pub(super) fn outcome(arms: &[Option<CaseOutcome>]) -> Option<CaseOutcome> {
    let lost: Vec<&CaseOutcome> = arms.iter().flatten().collect();
    // What failed in one arm is not hidden by what the other lacks.
    let failed = lost.iter().find(|outcome| matches!(outcome, CaseOutcome::Failed(_)));
    let worst = failed.or(lost.first())?;
    Some(match worst {
        // The two differ in more than a figure: no gate may pass that over.
        CaseOutcome::NotAvailable(reason) if lost.len() < arms.len() => {
            CaseOutcome::Failed(format!("not available here in one arm only: {reason}"))
        }
        worst => (**worst).clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_lack_is_away_and_what_one_lacks_has_failed() {
        let away = || Some(CaseOutcome::NotAvailable("no apache2".into()));
        let failed = || Some(CaseOutcome::Failed("no such folder".into()));
        let alone = Some(CaseOutcome::Failed(
            "not available here in one arm only: no apache2".into(),
        ));
        for (arms, expected) in [
            (vec![None, None], None),
            (vec![away()], away()),
            (vec![away(), away()], away()),
            (vec![away(), None], alone.clone()),
            (vec![None, away()], alone),
            (vec![failed(), away()], failed()),
            (vec![away(), failed()], failed()),
            (vec![None, failed()], failed()),
        ] {
            assert_eq!(outcome(&arms), expected, "{arms:?}");
        }
    }
}
