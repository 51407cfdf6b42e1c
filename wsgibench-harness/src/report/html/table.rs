//! A plain table, for sections with uniform rows.

use serde::Serialize;

/// A table whose first column names the subject of the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Table {
    /// HTML id, unique within the page.
    pub(super) id: String,
    /// Its heading.
    pub(super) title: String,
    /// Its contents and how to read them.
    pub(super) caption: String,
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Vec<String>>,
}

/// A column heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Head {
    name: &'static str,
    /// Whether its cells are figures, which are right-aligned.
    figures: bool,
}

/// Creates a column of text.
pub(super) const fn text_column(name: &'static str) -> Head {
    Head { name, figures: false }
}

/// Creates a column of figures.
pub(super) const fn numeric_column(name: &'static str) -> Head {
    Head { name, figures: true }
}

impl Table {
    /// Creates a table; `None` without rows.
    pub(super) fn filled(self) -> Option<Self> {
        (!self.rows.is_empty()).then_some(self)
    }
}
