//! Replacement for the engine in builds without the feature `docker`.

use super::item::{Item, Kind};

/// A connection that cannot be opened.
pub(super) enum Connection {}

impl Connection {
    pub(super) fn open() -> Result<Self, String> {
        Err("this program was built without the feature `docker`".into())
    }

    pub(super) fn items(&self) -> Result<Vec<Item>, String> {
        match *self {}
    }

    pub(super) fn remove(&self, _: Kind, _: &str) -> Result<(), String> {
        match *self {}
    }
}
