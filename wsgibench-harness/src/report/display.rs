//! Display texts of recorded values.

use crate::{
    load::{ErrorKind, Load, Model},
    store::record::{CaseOutcome, CaseRecord, ValidityLevel},
};

/// Returns the display name of a failure kind: its file name without underscores.
#[must_use]
pub fn error_kind(kind: ErrorKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name.replace('_', " "),
        _ => format!("{kind:?}"),
    }
}

/// Returns the display name of a validity level.
#[must_use]
pub fn level(level: ValidityLevel) -> &'static str {
    match level {
        ValidityLevel::Valid => "valid",
        ValidityLevel::Suspect => "suspect",
        ValidityLevel::Invalid => "invalid",
    }
}

/// Returns why a case has no figures; `None` if it was measured.
#[must_use]
pub fn unmeasured(outcome: &CaseOutcome) -> Option<String> {
    match outcome {
        CaseOutcome::Measured => None,
        CaseOutcome::Planned => Some("not run: the run ended earlier".into()),
        CaseOutcome::Failed(why) => Some(format!("failed: {why}")),
        CaseOutcome::NotAvailable(why) => Some(format!("not available here: {why}")),
        CaseOutcome::Unsupported(why) => Some(format!("unsupported: {why}")),
        CaseOutcome::Ignored(why) if why.is_empty() => Some("ignored".into()),
        CaseOutcome::Ignored(why) => Some(format!("ignored: {why}")),
    }
}

/// Summarizes the requests of a case; for scripts, how virtual users arrive.
#[must_use]
pub fn work(case: &CaseRecord) -> String {
    if !case.scripted {
        return load(&case.load);
    }
    match &case.load.model {
        Model::Closed { connections: 1 } => "1 scripted user".into(),
        Model::Closed { connections } => {
            format!("{} scripted users", super::units::grouped(*connections as u64))
        }
        Model::Open { .. } => load(&case.load).replace("requests/s offered", "scripted users/s arriving"),
        Model::Users {
            batch,
            every,
            arriving_for,
            requests_per_user,
        } => {
            let runs = match requests_per_user {
                1 => "run the script once".to_owned(),
                n => format!("run the script {} times", super::units::grouped(*n)),
            };
            format!("{batch} scripted users every {every:?} for {arriving_for:?}, who {runs}")
        }
    }
}

/// Summarizes the load: `64 connections`, `2,000 requests/s`.
#[must_use]
pub fn load(load: &Load) -> String {
    match &load.model {
        Model::Closed { connections: 1 } => "1 connection".into(),
        Model::Closed { connections } => format!("{} connections", super::units::grouped(*connections as u64)),
        Model::Open { stages, .. } => {
            // A share of each server's capacity, or requests per second.
            let rate = |rate: f64| {
                if load.of_capacity {
                    format!("{} %", super::units::rate(rate * 100.0))
                } else {
                    super::units::rate(rate)
                }
            };
            let of = if load.of_capacity { "of capacity" } else { "requests/s" };
            let highest = stages.iter().map(|stage| stage.from.max(stage.to)).fold(0.0, f64::max);
            match stages.as_slice() {
                [only] if (only.from - only.to).abs() < f64::EPSILON => format!("{} {of} offered", rate(only.from)),
                [] => "no requests offered".into(),
                [first, .., last] if highest > first.from.max(last.to) => format!(
                    "{} to {} to {} {of} offered in {} stages",
                    rate(first.from),
                    rate(highest),
                    rate(last.to),
                    stages.len()
                ),
                [first, .., last] | [first @ last] => format!(
                    "{} to {} {of} offered in {} stage{}",
                    rate(first.from),
                    rate(last.to),
                    stages.len(),
                    if stages.len() == 1 { "" } else { "s" },
                ),
            }
        }
        Model::Users {
            batch,
            every,
            arriving_for,
            requests_per_user,
        } => format!(
            "{batch} users every {every:?} for {arriving_for:?}, {} requests each",
            super::units::grouped(*requests_per_user)
        ),
    }
}

/// Formats a command for a shell, quoting arguments as needed.
#[must_use]
pub fn command(arguments: &[String]) -> String {
    shlex::Quoter::new()
        .allow_nul(true)
        .join(arguments.iter().map(String::as_str))
        .unwrap_or_else(|_| arguments.join(" "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{command, load};
    use crate::load::{Load, Stage};

    #[test]
    fn schedules() {
        let stages = |rates: [f64; 3]| Load::stages(rates.map(|r| Stage::constant(r, Duration::from_secs(1))));
        assert_eq!(load(&Load::rate(200).for_script()), "200.0 requests/s offered");
        assert_eq!(
            load(&Load::poisson(0.8).of_capacity().for_script()),
            "80.00 % of capacity offered"
        );
        let burst = load(&stages([0.3, 4.0, 0.3]).of_capacity().for_script());
        assert_eq!(burst, "30.00 % to 400.0 % to 30.00 % of capacity offered in 3 stages");
        let rising = load(&stages([100.0, 200.0, 300.0]).for_script());
        assert_eq!(rising, "100.0 to 300.0 requests/s offered in 3 stages");
    }

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let arguments = ["serve", "--bind", "{host}:{port}", "a b", "it's", ""].map(String::from);
        assert_eq!(command(&arguments), r#"serve --bind '{host}:{port}' 'a b' "it's" ''"#);
    }
}
