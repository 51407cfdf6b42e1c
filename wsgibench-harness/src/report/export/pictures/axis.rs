//! Scales with ticks at round numbers, decades or percentiles.

use std::ops::Range;

use crate::report::{
    charts::{Axis, Quantity},
    units::float_len,
};

/// A mapping of values to the plot's coordinates, linear or logarithmic.
pub(super) struct Scale {
    log: bool,
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Scale {
    /// Creates a scale over all values; a linear scale starts at 0 if `from_zero` is set.
    pub(super) fn over(values: impl Iterator<Item = f64>, axis: &Axis, from_zero: bool) -> Self {
        let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        let log = axis.log && values.iter().all(|v| *v > 0.0);
        let place = |v: f64| if log { v.log10() } else { v };
        let low = values.iter().copied().map(place).fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().map(place).fold(f64::NEG_INFINITY, f64::max);
        let low = if from_zero && !log { low.min(0.0) } else { low };
        let pad = ((high - low) * 0.05).max(if log { 0.02 } else { high.abs() * 0.02 });
        let pad = if pad > 0.0 { pad } else { 1.0 };
        let bottom = if !log && low >= 0.0 {
            (low - pad).max(0.0)
        } else {
            low - pad
        };
        let range = bottom..high + pad;
        let ticks = match (log, axis.quantity) {
            (true, Quantity::Percentile) => [1.0, 2.0, 4.0, 10.0, 100.0, 1e3, 1e4].map(f64::log10).to_vec(),
            (true, _) => decades(&range),
            (false, _) => round_steps(&range),
        };
        let ticks = ticks.into_iter().filter(|t| range.contains(t)).collect();
        Self { log, range, ticks }
    }

    pub(super) fn categories(count: usize) -> Self {
        Self {
            log: false,
            range: -0.6..float_len(count) - 0.4,
            ticks: Vec::new(),
        }
    }

    pub(super) fn range(&self) -> Range<f64> {
        self.range.clone()
    }

    pub(super) fn low(&self) -> f64 {
        self.range.start
    }

    /// Maps a value to its coordinate.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    /// Maps a coordinate to its value.
    pub(super) fn value(&self, place: f64) -> f64 {
        if self.log { 10_f64.powf(place) } else { place }
    }

    /// Returns the tick values.
    pub(super) fn ticks(&self) -> Vec<f64> {
        self.ticks.clone()
    }
}

/// Returns 1, 2 and 5 of each decade, or only the decades if there are many.
fn decades(range: &Range<f64>) -> Vec<f64> {
    let multiples: &[f64] = if range.end - range.start > 3.5 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let mut ticks = Vec::new();
    let mut decade = range.start.floor();
    while decade <= range.end {
        ticks.extend(multiples.iter().map(|m| decade + m.log10()));
        decade += 1.0;
    }
    ticks
}

/// Returns about six steps of 1, 2 or 5 times a power of ten.
fn round_steps(range: &Range<f64>) -> Vec<f64> {
    let rough = (range.end - range.start) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|step| *step >= rough)
        .unwrap_or(power);
    let first = (range.start / step).ceil();
    (0..12)
        .map(|k| (first + f64::from(k)) * step)
        .take_while(|t| *t <= range.end)
        .collect()
}
