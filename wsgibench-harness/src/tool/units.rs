//! Formatting of figures, shared with the report.

use crate::{report::units, stats::Unit};

/// Formats a metric's value with its unit.
pub(super) fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::RequestsPerSecond => format!("{}/s", units::rate(value)),
        Unit::Microseconds => units::time(value * 1e3),
        Unit::Bytes => units::bytes(value),
        Unit::Share => units::percent(value),
        Unit::Seconds => units::time(value * 1e9),
        Unit::Count => units::count(value),
    }
}

/// Formats a size.
pub(super) fn size(bytes: u64) -> String {
    units::bytes(units::float(bytes))
}

/// Formats a time to the minute, UTC.
pub(super) fn minute(moment: jiff::Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::{size, value};
    use crate::stats::Unit;

    #[test]
    fn metrics_are_formatted_with_fitting_units() {
        assert_eq!(value(Unit::RequestsPerSecond, 12_345.6), "12,346/s");
        assert!(value(Unit::Microseconds, 1_500.0).ends_with("ms"));
        assert!(value(Unit::Seconds, 0.25).starts_with("250"));
        assert!(value(Unit::Share, 0.01).starts_with('1'));
        assert_eq!(size(0), "0 B");
    }
}
