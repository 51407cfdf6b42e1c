//! Reports of a run: terminal output, HTML, spreadsheets and machine-readable exports.
//!
//! Renderers read records and events and never run anything. All of them start from [`figures`], so that a figure reads the
//! same everywhere.

pub mod answers;
pub mod charts;
pub mod comparison;
pub mod conformance;
pub mod counts;
pub mod criterion;
pub mod display;
pub mod endurance;
pub mod explanation;
pub mod export;
pub mod facts;
pub mod faults;
pub mod figures;
#[cfg(test)]
#[path = "../../tests/report_fixture/mod.rs"]
mod fixture;
pub mod footprint;
#[cfg(feature = "html")]
pub mod html;
pub mod intervals;
pub mod range;
pub mod ranking;
pub mod terminal;
pub mod thresholds;
pub mod tuning;
pub mod units;
pub mod waits;

use crate::measure::event::Event;

/// A receiver of progress events.
pub trait Listener {
    /// Handles an event.
    fn on(&mut self, event: &Event);
}
