//! Checks of a body's content, compiled once.

use std::{cell::RefCell, collections::HashMap};

use memchr::memmem::Finder;
use regex::bytes::Regex;
use serde_json::Value;

use super::request::Check;

/// Largest body whose content can be checked, bytes.
pub(super) const LARGEST: usize = 16 << 20;
/// Characters of a text or pattern in the name of a check.
const SHOWN: usize = 40;
/// Number of compiled patterns kept per thread; limits the memory of scripts that keep making new ones.
const KEPT: usize = 256;

/// A check that needs the whole body.
#[derive(Debug)]
pub(super) enum BodyCheck {
    Contains(Box<Finder<'static>>),
    Matches(Regex),
    Json(String, Value),
}

impl BodyCheck {
    /// Compiles a check; `None` if it does not check the content.
    ///
    /// # Errors
    /// Returns a message that names the invalid pattern or JSON pointer.
    pub(super) fn new(check: &Check) -> Result<Option<Self>, String> {
        Ok(Some(match check {
            Check::BodyContains(text) => Self::Contains(Box::new(Finder::new(text).into_owned())),
            Check::BodyMatches(pattern) => Self::Matches(compile(pattern)?),
            Check::Json(pointer, _) if !(pointer.is_empty() || pointer.starts_with('/')) => {
                return Err(format!("{pointer:?} is not a JSON pointer: begin it with /"));
            }
            Check::Json(pointer, value) => Self::Json(pointer.clone(), value.clone()),
            Check::Status(_) | Check::Body(_) | Check::BodyLength(_) | Check::Header(..) => return Ok(None),
        }))
    }

    pub(super) fn holds(&self, body: &[u8]) -> bool {
        match self {
            Self::Contains(finder) => finder.find(body).is_some(),
            Self::Matches(pattern) => pattern.is_match(body),
            Self::Json(pointer, expected) => {
                serde_json::from_slice::<Value>(body).is_ok_and(|document| document.pointer(pointer) == Some(expected))
            }
        }
    }

    /// Returns the name under which failures are counted, e.g. `body contains "Music"`.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Contains(finder) => contains_name(&String::from_utf8_lossy(finder.needle())),
            Self::Matches(pattern) => matches_name(pattern.as_str()),
            Self::Json(pointer, value) => json_name(pointer, value),
        }
    }
}

pub(super) fn contains_name(text: &str) -> String {
    format!("body contains {:?}", shown(text))
}

pub(super) fn matches_name(pattern: &str) -> String {
    format!("body matches {}", shown(pattern))
}

pub(super) fn json_name(pointer: &str, value: &Value) -> String {
    let pointer = if pointer.is_empty() { "document" } else { pointer };
    format!("json {} = {}", shown(pointer), shown(&value.to_string()))
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Compiles a regular expression.
///
/// # Errors
/// Returns a message of one line, e.g. `"[" is not a regular expression: unclosed character class`.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.trim().trim_start_matches("error: ");
        format!("{pattern:?} is not a regular expression: {reason}")
    })
}

/// Matches a body against a pattern, which is compiled at its first use on this thread.
///
/// # Errors
/// Returns the errors of [`compile`].
pub(super) fn is_match(pattern: &str, body: &[u8]) -> Result<bool, String> {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
    }
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(pattern) {
            return Ok(regex.is_match(body));
        }
        let regex = compile(pattern)?;
        let holds = regex.is_match(body);
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(pattern.to_owned(), regex);
        Ok(holds)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(check: &Check) -> BodyCheck {
        BodyCheck::new(check).unwrap().unwrap()
    }

    #[test]
    fn content_checks_hold_for_matching_bodies_only() {
        let contains = check(&Check::BodyContains("Music".into()));
        assert!(contains.holds(b"<h1>Music</h1>") && !contains.holds(b"music"));
        let matches = check(&Check::BodyMatches(r"^\d+ books$".into()));
        assert!(matches.holds(b"20 books") && !matches.holds(b"no books"));
        let json = check(&Check::Json("/items/1/id".into(), json!(7)));
        assert!(json.holds(br#"{"items": [{}, {"id": 7}]}"#));
        assert!(!json.holds(br#"{"items": [{}, {"id": "7"}]}"#) && !json.holds(b"{") && !json.holds(b"{}"));
        assert!(check(&Check::Json(String::new(), json!([1]))).holds(b" [1]"));
    }

    #[test]
    fn names_are_cut_short() {
        assert_eq!(
            check(&Check::BodyContains("x\n".into())).name(),
            r#"body contains "x\n""#
        );
        let long = check(&Check::BodyMatches("a".repeat(90))).name();
        assert_eq!(long, format!("body matches {}...", "a".repeat(40)));
        assert_eq!(check(&Check::Json("/a".into(), json!("b"))).name(), "json /a = \"b\"");
    }

    #[test]
    fn invalid_patterns_are_named_in_one_line() {
        let error = BodyCheck::new(&Check::BodyMatches("[".into())).unwrap_err();
        assert_eq!(error, "\"[\" is not a regular expression: unclosed character class");
        assert_eq!(is_match("[", b"").unwrap_err(), error);
        assert_eq!(is_match("a+", b"caat"), Ok(true));
        let error = BodyCheck::new(&Check::Json("a".into(), json!(1))).unwrap_err();
        assert!(error.contains("begin it with /"), "{error}");
    }
}
