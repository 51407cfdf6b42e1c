//! Whether output has colours: by an option, else by the environment.

use std::{env, ffi::OsString};

use console::Term;

/// Turns the colours of both streams on or off; `None`: as the environment and the terminal ask.
pub(crate) fn set(choice: Option<bool>) {
    let wanted = |terminal: &Term| {
        choice.unwrap_or_else(|| by_environment(|name| env::var_os(name), terminal.features().is_attended()))
    };
    console::set_colors_enabled(wanted(&Term::stdout()));
    console::set_colors_enabled_stderr(wanted(&Term::stderr()));
}

/// `NO_COLOR` precedes `CLICOLOR_FORCE`, and an empty variable counts as unset, unlike in `console`.
fn by_environment(variable: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
    let value = |name: &str| variable(name).filter(|value| !value.is_empty());
    if value("NO_COLOR").is_some() {
        return false;
    }
    if value("CLICOLOR_FORCE").is_some_and(|forced| forced != "0") {
        return true;
    }
    let is_off = value("CLICOLOR").is_some_and(|value| value == "0");
    let is_dumb = value("TERM").is_none_or(|terminal| terminal == "dumb");
    is_terminal && !is_off && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_precedes_a_forced_colour_and_empty_variables_are_unset() {
        for (variables, is_terminal, expected) in [
            ("TERM=xterm", true, true),
            ("TERM=xterm", false, false),
            ("TERM=dumb", true, false),
            ("", true, false),
            ("CLICOLOR_FORCE=1", false, true),
            ("CLICOLOR_FORCE=0", false, false),
            ("CLICOLOR_FORCE=", false, false),
            ("CLICOLOR_FORCE=1 NO_COLOR=1", true, false),
            ("CLICOLOR_FORCE=1 NO_COLOR=", false, true),
            ("NO_COLOR= TERM=xterm", true, true),
            ("CLICOLOR=0 TERM=xterm", true, false),
        ] {
            let variable = |name: &str| {
                let mut pairs = variables.split(' ').filter_map(|pair| pair.split_once('='));
                pairs.find(|(of, _)| *of == name).map(|(_, value)| value.into())
            };
            assert_eq!(
                by_environment(variable, is_terminal),
                expected,
                "{variables} {is_terminal}"
            );
        }
    }
}
