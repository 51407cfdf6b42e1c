//! Formatting of figures in human-readable units.

use crate::stats::{Metric, Unit};

/// Converts a count to a floating-point number; exact up to 2^53, far above any count here.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds here stay far below 2^53"
)]
#[must_use]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// Converts a length to a floating-point number.
#[must_use]
pub fn float_len(count: usize) -> f64 {
    float(count as u64)
}

/// Formats nanoseconds as a duration with four significant figures: `153.2 µs`.
#[must_use]
pub fn time(ns: f64) -> String {
    let (scale, unit) = match ns.abs() {
        a if !a.is_finite() => return "-".into(),
        a if a < 1e3 => (1.0, "ns"),
        a if a < 1e6 => (1e3, "µs"),
        a if a < 1e9 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {unit}", significant(ns / scale))
}

/// Formats requests per second, grouped by thousands: `12,345`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        return "-".into();
    }
    if per_second.abs() >= 1e4 {
        grouped_float(per_second.round())
    } else {
        significant(per_second)
    }
}

/// Formats bytes in binary multiples: `48.1 MiB`.
#[must_use]
pub fn bytes(count: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if !count.is_finite() {
        return "-".into();
    }
    let (mut value, mut unit) = (count, 0);
    while value.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{value:.0} B")
    } else {
        format!("{} {}", three(value), UNITS[unit])
    }
}

/// Formats a share (0 to 1) in percent: `0.12 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        a if !a.is_finite() => "-".into(),
        0.0 => "0 %".into(),
        a if a < 0.01 => "< 0.01 %".into(),
        a if a < 10.0 => format!("{value:.2} %"),
        _ => format!("{value:.1} %"),
    }
}

/// Formats a metric's value in its unit.
#[must_use]
pub fn metric(metric: Metric, value: f64) -> String {
    match metric.unit() {
        Unit::RequestsPerSecond => rate(value),
        Unit::Microseconds => time(value * 1e3),
        Unit::Bytes => bytes(value),
        Unit::Share => percent(value),
        Unit::Seconds => time(value * 1e9),
        Unit::Count => count(value),
    }
}

/// Formats a count per request: whole numbers from 1,000 on, else two decimals.
#[must_use]
pub fn count(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a positive number"
    )]
    if value.is_finite() && value >= 1_000.0 {
        grouped(value.round() as u64)
    } else if value.is_finite() {
        format!("{value:.2}")
    } else {
        "-".into()
    }
}

/// Formats a change (0.05 is +5 %) in percent, always with its sign.
#[must_use]
pub fn change(share: f64) -> String {
    format!("{:+.2} %", share * 100.0)
}

/// Formats a whole number, grouped by thousands: `1,234,567`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a length of time in its largest units: `3m 20s`.
#[must_use]
pub fn span(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}

/// Formats four significant figures, at most four decimals, grouped by thousands.
fn significant(value: f64) -> String {
    match value.abs() {
        a if a >= 999.95 => grouped_float(value.round()),
        a if a >= 99.995 => format!("{value:.1}"),
        a if a >= 9.9995 => format!("{value:.2}"),
        a if a >= 0.99995 || a == 0.0 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// Formats three significant figures.
fn three(value: f64) -> String {
    match value.abs() {
        a if a >= 99.95 => format!("{value:.0}"),
        a if a >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the sign is taken off before, and what is beyond u64 saturates"
)]
fn grouped_float(whole: f64) -> String {
    let sign = if whole < 0.0 { "-" } else { "" };
    format!("{sign}{}", grouped(whole.abs() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_four_figures_in_a_fitting_unit() {
        let cases = [
            (0.0, "0.000 ns"),
            (999.0, "999.0 ns"),
            (1_000.0, "1.000 µs"),
            (153_249.0, "153.2 µs"),
            (9_812_345.0, "9.812 ms"),
            (12_345_678_900.0, "12.35 s"),
            (f64::NAN, "-"),
        ];
        for (ns, text) in cases {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn rates_sizes_and_shares() {
        assert_eq!(rate(123_456.7), "123,457");
        assert_eq!(rate(1_234.5), "1,235");
        assert_eq!(rate(12.345), "12.35");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(50.0 * 1024.0 * 1024.0), "50.0 MiB");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_01), "< 0.01 %");
        assert_eq!(percent(0.0123), "1.23 %");
        assert_eq!(change(-0.031), "-3.10 %");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(span(std::time::Duration::from_secs(3_725)), "1h 02m");
    }
}
