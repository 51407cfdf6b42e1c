//! What a run looks like: in the terminal, in a browser, in a spreadsheet, to other programs.
//!
//! This room reads records and events, and never runs anything. All renderers start from [`figures`], so that the same
//! figure reads the same everywhere.

pub mod charts;
pub mod comparison;
pub mod conformance;
pub mod criterion;
pub mod display;
pub mod endurance;
pub mod export;
pub mod facts;
pub mod faults;
pub mod figures;
pub mod footprint;
#[cfg(feature = "html")]
pub mod html;
pub mod intervals;
pub mod range;
pub mod ranking;
pub mod terminal;
pub mod units;

use crate::measure::event::Event;

/// Who wants to know what the conductor says.
pub trait Listener {
    /// Something happened.
    fn on(&mut self, event: &Event);
}
