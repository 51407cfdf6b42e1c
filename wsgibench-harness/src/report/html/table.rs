//! A plain table: what a section shows where every row has the same cells.

use serde::Serialize;

/// A table whose first cell of a row says what the row is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Table {
    /// Unique within a page.
    pub(super) id: String,
    /// What stands over it.
    pub(super) title: String,
    /// What it says and how to read it.
    pub(super) caption: String,
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Vec<String>>,
}

/// The head of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Head {
    name: &'static str,
    /// Its cells are figures, which stand at the right.
    figures: bool,
}

/// A column of words.
pub(super) const fn text_column(name: &'static str) -> Head {
    Head { name, figures: false }
}

/// A column of figures.
pub(super) const fn numeric_column(name: &'static str) -> Head {
    Head { name, figures: true }
}

impl Table {
    /// `None` where it has no rows: an empty table says nothing.
    pub(super) fn filled(self) -> Option<Self> {
        (!self.rows.is_empty()).then_some(self)
    }
}
