//! Charts as data, independent of the renderer. The browser and the static pictures draw the same charts.
//!
//! Invalid figures are left out of charts; suspect ones are drawn hollow, with the reason. Charts without points are
//! dropped.

mod build;
mod over_time;
mod percentiles;
mod requests;
mod settings;
mod timeline;

use serde::Serialize;

pub use build::of_scenario;
#[cfg(feature = "html")]
pub(super) use build::wide;
pub use timeline::of_faults;

/// The colour-blind-safe palette of Okabe and Ito, without yellow (too faint on a light page) and with grey for black
/// (readable in both themes).
pub const PALETTE: [&str; 7] = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7f7f7f",
];

/// The kind of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One line per series, with a band where there are intervals; x is a number.
    Lines,
    /// A sorted dot plot: one value for each category, with its name at the point and its interval as a line.
    Intervals,
    /// One dot per launch, one row for each category, with its name at the points.
    Dots,
}

/// The quantity of an axis.
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
    /// Its quantity.
    pub quantity: Quantity,
    /// Whether it is logarithmic.
    pub log: bool,
}

/// One point.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// Position on the x axis: a number, or the index of a category.
    pub x: f64,
    /// Value.
    pub y: f64,
    /// Lower end of its confidence interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of its confidence interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Why it is drawn hollow: it is suspect, or only a lower bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A line, or the dots of one server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Name, as in the legend.
    pub name: String,
    /// Index of its colour and symbol, the same for a server in all charts of a report.
    pub color: usize,
    /// Its points, by x.
    pub points: Vec<Point>,
}

/// A marked moment on the x axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// Position on the x axis.
    pub x: f64,
    /// Label of the event.
    pub text: String,
}

/// A chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// Identifier, unique within a report and safe as a file name.
    pub id: String,
    /// Title.
    pub title: String,
    /// One sentence on its contents and how to read it.
    pub about: String,
    /// The parameter set it covers; `None` for all of them.
    pub param: Option<String>,
    /// Its kind.
    pub kind: Kind,
    /// Horizontal axis; of dot plots, the rows.
    pub x: Axis,
    /// Vertical axis; of dot plots, horizontal.
    pub y: Axis,
    /// Names of the categories, those of dot plots sorted; empty where x is a number.
    pub categories: Vec<String>,
    /// Events marked on the x axis.
    pub marks: Vec<Mark>,
    /// Its series; none is empty. (Skipped when only the texts of a chart are serialized.)
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

impl Kind {
    /// Returns whether categories are rows, and values run along the horizontal axis.
    #[must_use]
    pub fn is_dot_plot(self) -> bool {
        matches!(self, Self::Intervals | Self::Dots)
    }
}

impl Quantity {
    /// Formats one of its values for display.
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

/// Returns a safe file name: letters, digits and `-`. A hash keeps names distinct where characters were replaced.
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
    format!("{safe}-{}", hex::encode(&hash.as_ref()[..3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_names_yield_distinct_file_names() {
        assert_eq!(slug("ping"), "ping");
        assert_ne!(slug("a/b"), slug("a b"));
        assert_ne!(slug(&"n".repeat(299)), slug(&"n".repeat(300)));
        assert!(slug("../../etc").chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    }

    #[test]
    fn percentiles_are_labelled() {
        assert_eq!(Quantity::Percentile.text(2.0), "50 %");
        assert_eq!(Quantity::Percentile.text(10_000.0), "99.99 %");
    }
}
