//! Figures for people. Pure.

use crate::stats::Unit;

/// A metric's value with its unit, four significant digits.
pub(super) fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::RequestsPerSecond => format!("{} req/s", digits(value)),
        Unit::Microseconds if value >= 1e6 => format!("{} s", digits(value / 1e6)),
        Unit::Microseconds if value >= 1e3 => format!("{} ms", digits(value / 1e3)),
        Unit::Microseconds => format!("{} us", digits(value)),
        Unit::Bytes => bytes(value),
        Unit::Share => format!("{} %", digits(value * 100.0)),
        Unit::Seconds if value < 1.0 => format!("{} ms", digits(value * 1e3)),
        Unit::Seconds => format!("{} s", digits(value)),
    }
}

/// A size.
pub(super) fn bytes(value: f64) -> String {
    const STEPS: [(&str, f64); 4] = [
        ("GiB", 1_073_741_824.0),
        ("MiB", 1_048_576.0),
        ("KiB", 1_024.0),
        ("B", 1.0),
    ];
    let (name, step) = STEPS.into_iter().find(|(_, step)| value >= *step).unwrap_or(("B", 1.0));
    format!("{} {name}", digits(value / step))
}

/// The same of a whole number.
#[expect(clippy::cast_precision_loss, reason = "three digits of a size are shown")]
pub(super) fn size(bytes: u64) -> String {
    self::bytes(bytes as f64)
}

fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || magnitude >= 1000.0 {
        format!("{value:.0}")
    } else if magnitude >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A moment to the minute, UTC.
pub(super) fn minute(moment: jiff::Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::{size, value};
    use crate::stats::Unit;

    #[test]
    fn figures_have_the_unit_that_suits_them() {
        assert_eq!(value(Unit::RequestsPerSecond, 12_345.6), "12346 req/s");
        assert_eq!(value(Unit::Microseconds, 1_500.0), "1.50 ms");
        assert_eq!(value(Unit::Microseconds, 2e6), "2.00 s");
        assert_eq!(value(Unit::Share, 0.0), "0 %");
        assert_eq!(value(Unit::Seconds, 0.25), "250.0 ms");
        assert_eq!((size(0).as_str(), size(1536).as_str()), ("0 B", "1.50 KiB"));
    }
}
