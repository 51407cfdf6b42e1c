//! Requests of a mix, their values and their checks.

use std::{fs::File, io::Read, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::error::LoadError;

/// A request of the mix.
///
/// `{name}` in the path, in header values and in the bytes of a body is replaced, request by request, by the
/// [`values`](Self::values) of that name. Without a check of the status, any of 200 to 399 passes.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// let search = get("/books?subject=music")
///     .expect_status(200)
///     .expect_header("content-type", "text/html; charset=utf-8")
///     .expect_body_contains("<h1>Music</h1>")
///     .expect_body_matches(r"\d+ books");
/// let review = post("/api/reviews")
///     .header("content-type", "application/json")
///     .body(r#"{"book": 7, "stars": 4}"#)
///     .expect_status(201)
///     .expect_json("/stars", 4)
///     .timeout(secs(2));
/// let load = Load::closed(16).request(search.weight(9)).request(review);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request is sent as part of a load: add it by `.request(...)`"]
pub struct Request {
    /// Method, as sent.
    pub method: String,
    /// Path and query; begins with `/`.
    pub path: String,
    /// Extra headers, in order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Body,
    /// Share in the mix, relative to the other requests; 0: never sent.
    pub weight: u32,
    /// Checks of the response; a failed one counts as `check_failed` (as `status` for the status).
    pub checks: Vec<Check>,
    /// Values that differ from request to request, by name.
    pub values: Vec<(String, Values)>,
    /// Time after which the request counts as a timeout; `None`: the load's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Returns a GET of `path` (path and query).
pub fn get(path: impl Into<String>) -> Request {
    Request::new("GET", path)
}

/// Returns a POST to `path`; without a body, with a content-length of 0.
pub fn post(path: impl Into<String>) -> Request {
    Request::new("POST", path)
}

/// Returns a PUT to `path`; without a body, with a content-length of 0.
pub fn put(path: impl Into<String>) -> Request {
    Request::new("PUT", path)
}

/// Returns a DELETE of `path`.
pub fn delete(path: impl Into<String>) -> Request {
    Request::new("DELETE", path)
}

/// Returns a request with any other method.
pub fn request(method: impl Into<String>, path: impl Into<String>) -> Request {
    Request::new(method, path)
}

impl Request {
    /// Returns a request without headers, body or checks, of weight 1.
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Body::Empty,
            weight: 1,
            checks: Vec::new(),
            values: Vec::new(),
            timeout: None,
        }
    }

    /// Adds a header. `content-length` and `transfer-encoding` follow from the body and are refused.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body, sent with a content-length.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(bytes.into());
        self
    }

    /// Sets a body of `length` bytes of a fixed pattern, streamed with a content-length and never held in memory.
    pub fn streamed_body(mut self, length: u64) -> Self {
        self.body = Body::Streamed(length);
        self
    }

    /// Sets a body of `length` bytes of a fixed pattern, streamed with chunked transfer coding.
    pub fn chunked_body(mut self, length: u64) -> Self {
        self.body = Body::Chunked(length);
        self
    }

    /// Sets the share in the mix, relative to the other requests; 1 by default.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the values that replace `{name}` in the path, the header values and the body, request by request.
    ///
    /// ```
    /// use wsgibench_harness::prelude::*;
    /// let load = Load::closed(8).request(get("/item/{id}").values("id", Values::Random { low: 1, high: 1000 }));
    /// ```
    pub fn values(mut self, name: impl Into<String>, values: Values) -> Self {
        self.values.push((name.into(), values));
        self
    }

    /// Sets the time after which the request counts as a timeout, in place of the load's.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Expects this status.
    pub fn expect_status(self, status: u16) -> Self {
        self.expect(Check::Status(status))
    }

    /// Expects exactly this body.
    pub fn expect_body(self, body: impl Into<Vec<u8>>) -> Self {
        self.expect(Check::Body(body.into()))
    }

    /// Expects a body of exactly `length` bytes.
    pub fn expect_body_length(self, length: u64) -> Self {
        self.expect(Check::BodyLength(length))
    }

    /// Expects this text anywhere in the body. Bodies of up to 16 MiB can be checked.
    pub fn expect_body_contains(self, text: impl Into<String>) -> Self {
        self.expect(Check::BodyContains(text.into()))
    }

    /// Expects a match of this regular expression anywhere in the body (syntax of the crate `regex`). An invalid pattern is
    /// an error when the scenario is declared. Bodies of up to 16 MiB can be checked.
    pub fn expect_body_matches(self, pattern: impl Into<String>) -> Self {
        self.expect(Check::BodyMatches(pattern.into()))
    }

    /// Expects a JSON body with this value at a JSON pointer (RFC 6901), e.g. `/items/0/id`; an empty pointer is the whole
    /// document. Bodies of up to 16 MiB can be checked.
    pub fn expect_json(self, pointer: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.expect(Check::Json(pointer.into(), value.into()))
    }

    /// Expects this header (name compared without case) with exactly this value.
    pub fn expect_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.expect(Check::Header(name.into(), value.into()))
    }

    /// Adds a check.
    pub fn expect(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }
}

/// A request body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// These bytes, with a content-length.
    Bytes(Vec<u8>),
    /// This many bytes of a fixed pattern, streamed with a content-length and never held in memory.
    Streamed(u64),
    /// This many bytes of a fixed pattern, streamed with chunked transfer coding.
    Chunked(u64),
}

/// The source of a per-request value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Values {
    /// The unique number of the request in the session (warm-up and all rounds). A closed load on several workers skips some
    /// numbers.
    Counter,
    /// A random integer in `low..=high`, drawn from the plan's seed.
    Random {
        /// Smallest value.
        low: u64,
        /// Largest value.
        high: u64,
    },
    /// These rows in order, repeated from the start at the end.
    Rows(Vec<String>),
}

impl Values {
    /// Reads one column of a CSV file whose first line names the columns; the rows are used in order and repeated.
    ///
    /// # Errors
    /// Returns [`LoadError::InvalidPlan`] if the file cannot be read, is not CSV, lacks the column, or has no rows.
    pub fn csv(file: impl AsRef<Path>, column: &str) -> Result<Self, LoadError> {
        let file = file.as_ref();
        let wrong = |what: String| LoadError::InvalidPlan(format!("{}: {what}", file.display()));
        let content = File::open(file).map_err(|error| wrong(error.to_string()))?;
        Self::column(content, column).map_err(wrong)
    }

    /// Parses one column of a CSV file; an error is the problem without the file's name.
    pub(super) fn column(mut content: impl Read, column: &str) -> Result<Self, String> {
        // `csv` skips a byte order mark only if the first read returns all of it; a pipe may return less.
        let mut text = Vec::new();
        content.read_to_end(&mut text).map_err(|error| error.to_string())?;
        let mut reader = csv::Reader::from_reader(&*text);
        let header = reader.headers().map_err(|error| error.to_string())?;
        let Some(index) = header.iter().position(|name| name == column) else {
            let known: Vec<&str> = header.iter().collect();
            return Err(format!("no column {column:?}; choose one of {}", known.join(", ")));
        };
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            rows.push(record.get(index).unwrap_or_default().to_owned());
        }
        if rows.is_empty() {
            return Err("the file has no rows".into());
        }
        Ok(Self::Rows(rows))
    }
}

/// A check of a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// Exactly this status. Without a status check, any of 200 to 399 passes.
    Status(u16),
    /// Exactly this body.
    Body(Vec<u8>),
    /// A body of exactly this length, bytes.
    BodyLength(u64),
    /// This text anywhere in the body.
    BodyContains(String),
    /// A match of this regular expression anywhere in the body.
    BodyMatches(String),
    /// A JSON body with this value at this JSON pointer.
    Json(String, serde_json::Value),
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
    fn csv_reads_one_column_and_names_the_problem_of_a_bad_file() {
        let users = file("name,city\nAda,\"London, GB\"\nEmmy,Erlangen\n");
        let city = Values::csv(users.path(), "city").unwrap();
        assert_eq!(city, Values::Rows(vec!["London, GB".into(), "Erlangen".into()]));
        let message = |result: Result<Values, LoadError>| result.unwrap_err().to_string();
        assert!(message(Values::csv(users.path(), "town")).contains("no column \"town\"; choose one of name, city"));
        assert!(message(Values::csv(file("a,b\n").path(), "a")).contains("no rows"));
        let split = [&b"\xef"[..], b"\xbb\xbfa\n1\n"];
        let mark = Values::column(split[0].chain(split[1]), "a");
        assert_eq!(
            mark,
            Ok(Values::Rows(vec!["1".into()])),
            "a byte order mark in two reads"
        );
        assert!(message(Values::csv("/no/such/file.csv", "a")).contains("/no/such/file.csv"));
    }
}
