//! Charts as data: what is drawn, before anything draws it. The browser and the static pictures draw the same ones.
//!
//! An invalid figure is in no chart; a suspect one is hollow and says why. A chart without a point is not made at all.

mod build;
mod over_time;
mod percentiles;
mod timeline;

use serde::Serialize;

pub use build::of_scenario;
#[cfg(feature = "html")]
pub(super) use build::wide;
pub use timeline::of_faults;

/// The colours of Okabe and Ito, which colour-blind people can tell apart (without the yellow, which a light page drowns,
/// and with the black as a grey that both themes bear).
pub const PALETTE: [&str; 7] = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7f7f7f",
];

/// What a chart looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One line a series, with a band where there are intervals; x is a number.
    Lines,
    /// A dot with its interval for each category.
    Intervals,
    /// Every launch a dot, by category.
    Dots,
    /// Stacked bars by category.
    Stack,
}

/// What an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Requests per second.
    Rate,
    /// Nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// Cores in use.
    Cores,
    /// A share, 0 to 1.
    Share,
    /// A plain number.
    Count,
    /// Seconds.
    Seconds,
    /// `1 / (1 - q)` of a quantile `q`: 10 is the 90th percentile, 1000 the 99.9th.
    Percentile,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// Its title.
    pub name: String,
    /// What it counts.
    pub quantity: Quantity,
    /// Logarithmic.
    pub log: bool,
}

/// One point.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// Place on the x axis: a number, or the index of a category.
    pub x: f64,
    /// Value.
    pub y: f64,
    /// Lower end of its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Why it is suspect, or only a lower bound: it is drawn hollow then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A line, or the dots and bars of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Name, as in the legend.
    pub name: String,
    /// Index of its colour and symbol: the same server looks alike in all charts of a report.
    pub color: usize,
    /// Its points, by x.
    pub points: Vec<Point>,
}

/// A moment on the x axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// What happened there.
    pub text: String,
}

/// A chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// Unique within a report, safe for a file name.
    pub id: String,
    /// Title.
    pub title: String,
    /// What it shows and how to read it, in a sentence.
    pub about: String,
    /// The parameter set that it is about; `None` when it is about all of them.
    pub param: Option<String>,
    /// Its look.
    pub kind: Kind,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Names of the categories; empty where x is a number.
    pub categories: Vec<String>,
    /// What is marked on the x axis.
    pub marks: Vec<Mark>,
    /// Its series; none is empty. (Left out where a chart is serialized for its texts alone.)
    #[serde(skip)]
    pub series: Vec<Series>,
}

impl Axis {
    pub(super) fn new(name: &str, quantity: Quantity) -> Self {
        Self {
            name: name.into(),
            quantity,
            log: false,
        }
    }

    pub(super) fn log(mut self, log: bool) -> Self {
        self.log = log;
        self
    }
}

impl Quantity {
    /// A value of it, for people.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        use super::units;
        match self {
            Self::Rate => format!("{} req/s", units::rate(value)),
            Self::Nanoseconds => units::time(value),
            Self::Bytes => units::bytes(value),
            Self::Cores => format!("{value:.2}"),
            Self::Share => units::percent(value),
            Self::Count if value.fract() == 0.0 => units::rate(value).split('.').next().unwrap_or_default().to_owned(),
            Self::Count => units::rate(value),
            Self::Seconds => format!("{value:.0} s"),
            Self::Percentile => percentile(value),
        }
    }
}

fn percentile(inverse: f64) -> String {
    let percent = 100.0 - 100.0 / inverse;
    let text = format!("{percent:.4}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A name safe for a file: letters, digits, `-`; different names stay different by a hash where something was changed.
#[must_use]
pub fn slug(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    if safe == name {
        return safe;
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    let hash = hash.as_ref();
    format!("{safe}-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_names_have_different_files() {
        assert_eq!(slug("ping"), "ping");
        assert_ne!(slug("a/b"), slug("a b"));
        assert_ne!(slug(&"n".repeat(299)), slug(&"n".repeat(300)));
        assert!(slug("../../etc").chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    }

    #[test]
    fn percentiles_read_as_such() {
        assert_eq!(Quantity::Percentile.text(2.0), "50 %");
        assert_eq!(Quantity::Percentile.text(10_000.0), "99.99 %");
    }
}
