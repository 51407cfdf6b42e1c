//! `WSGIBENCH_*` environment variables: one reading of them for options, switches and everything else.
//!
//! An empty variable counts as unset, since CI systems set a variable to the empty string where a value is missing.

pub(crate) mod colors;
mod options;

use std::ffi::{OsStr, OsString};

#[cfg(test)]
pub(crate) use options::parse_with;
pub(crate) use options::{names, parse_arguments};

/// A switch variable with a value that is neither on nor off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value `{value}` for {name}: use 1, true, yes or on; or 0, false, no or off")]
pub struct SwitchError {
    name: String,
    value: String,
}

/// Returns the value of a variable, or `None` where it is unset, empty or not UTF-8.
pub(crate) fn text(name: &str) -> Option<String> {
    set(std::env::var_os(name))?.into_string().ok()
}

/// Returns whether a switch variable is on. An unset one is off.
///
/// # Errors
/// Any value other than the usual words for on and off.
pub fn switch(name: &str) -> Result<bool, SwitchError> {
    set(std::env::var_os(name)).map_or(Ok(false), |value| parse_switch(name, &value))
}

/// Returns the value of a variable that is set to something.
fn set(value: Option<OsString>) -> Option<OsString> {
    value.filter(|value| !value.as_encoded_bytes().trim_ascii().is_empty())
}

fn parse_switch(name: &str, value: &OsStr) -> Result<bool, SwitchError> {
    match word(value) {
        Some(on) => Ok(on),
        None => Err(SwitchError {
            name: name.to_owned(),
            value: value.to_string_lossy().into_owned(),
        }),
    }
}

/// Reads one of the usual words for on and off.
fn word(value: &OsStr) -> Option<bool> {
    match value.to_str()?.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_take_the_usual_words_and_name_the_variable_otherwise() {
        for on in ["1", "true", "yes", "on", "TRUE", " Yes "] {
            assert_eq!(parse_switch("X", OsStr::new(on)), Ok(true), "{on}");
        }
        for off in ["0", "false", "no", "off", "Off"] {
            assert_eq!(parse_switch("X", OsStr::new(off)), Ok(false), "{off}");
        }
        let error = parse_switch("WSGIBENCH_X", OsStr::new("maybe"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("WSGIBENCH_X") && error.contains("`maybe`"), "{error}");
    }

    #[test]
    fn an_empty_variable_is_unset() {
        assert_eq!(set(Some("".into())), None);
        assert_eq!(set(Some(" \n".into())), None);
        assert_eq!(set(Some("a".into())), Some("a".into()));
        assert_eq!(switch("WSGIBENCH_NO_SUCH_VARIABLE"), Ok(false));
    }
}
