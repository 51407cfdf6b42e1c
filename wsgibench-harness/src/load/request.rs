//! One request of a mix, and the checks its answer must pass.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::LoadError;

/// A request of the mix. Text of the form `{name}` in path, header values and text bodies is replaced per request
/// by the value that `values` gives under that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Method, as it stands on the wire.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Extra headers, in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Body,
    /// Share in the mix, relative to the others.
    pub weight: u32,
    /// What the answer must be; any failure counts as `check_failed` (`status` for the status).
    pub checks: Vec<Check>,
    /// Values that differ from request to request, by name.
    pub values: Vec<(String, Values)>,
}

impl Request {
    /// A request without headers, body or checks, of weight 1.
    #[must_use]
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Body::Empty,
            weight: 1,
            checks: Vec::new(),
            values: Vec::new(),
        }
    }
}

/// A request body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// These bytes, with a content-length.
    Bytes(Vec<u8>),
    /// So many bytes of a fixed pattern, streamed in pieces with a content-length, never held whole.
    Streamed(u64),
    /// So many bytes of a fixed pattern, streamed with chunked transfer coding.
    Chunked(u64),
}

/// Where a per-request value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// The number of the request in the whole session, warm-up and all rounds: no two requests have the same. (Under a
    /// closed load on several workers some numbers are left out.)
    Counter,
    /// A seeded random integer in `low..=high`.
    Random {
        /// Smallest value.
        low: u64,
        /// Largest value.
        high: u64,
    },
    /// Rows in turn, over and over (one column of a CSV file, read when the load is declared).
    Rows(Vec<String>),
}

impl Values {
    /// One column of a CSV file whose first line names the columns; the rows are used in turn, over and over.
    ///
    /// # Errors
    /// [`LoadError::InvalidPlan`] when the file cannot be read, is no CSV, or has no such column or no rows.
    pub fn csv(file: impl AsRef<Path>, column: &str) -> Result<Self, LoadError> {
        let file = file.as_ref();
        let wrong = |what: String| LoadError::InvalidPlan(format!("{}: {what}", file.display()));
        let mut reader = csv::Reader::from_path(file).map_err(|error| wrong(error.to_string()))?;
        let header = reader.headers().map_err(|error| wrong(error.to_string()))?;
        let Some(index) = header.iter().position(|name| name == column) else {
            let known: Vec<&str> = header.iter().collect();
            return Err(wrong(format!("no column {column:?}; it has {}", known.join(", "))));
        };
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            rows.push(record.get(index).unwrap_or_default().to_owned());
        }
        if rows.is_empty() {
            return Err(wrong("it has no rows".into()));
        }
        Ok(Self::Rows(rows))
    }
}

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Exactly this status. Without a status check, any of 200 to 399 passes.
    Status(u16),
    /// Exactly this body.
    Body(Vec<u8>),
    /// A body of exactly this length, bytes.
    BodyLength(u64),
    /// This header (name compared without case) with exactly this value.
    Header(String, String),
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn a_column_of_a_csv_file() {
        let users = file("name,city\nAda,\"London, GB\"\nEmmy,Erlangen\n");
        let city = Values::csv(users.path(), "city").unwrap();
        assert_eq!(city, Values::Rows(vec!["London, GB".into(), "Erlangen".into()]));
        let message = |result: Result<Values, LoadError>| result.unwrap_err().to_string();
        assert!(message(Values::csv(users.path(), "town")).contains("no column \"town\"; it has name, city"));
        assert!(message(Values::csv(file("a,b\n").path(), "a")).contains("no rows"));
        assert!(message(Values::csv("/no/such/file.csv", "a")).contains("/no/such/file.csv"));
    }
}
