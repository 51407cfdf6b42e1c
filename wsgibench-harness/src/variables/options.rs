//! Environment variables that stand for command-line options.
//!
//! clap reads variables itself, but takes an empty one for a value, knows only `true` and `false` for switches, and lets a switch that is
//! off conflict with other options. So clap only declares the names (`Arg::env`), and the values are turned into arguments here.

use std::ffi::{OsStr, OsString};

use clap::{
    Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, Id,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{parse_switch, set, word};

/// Returns the names of the variables that stand for options of a command.
pub(crate) fn names<T: CommandFactory>() -> Vec<String> {
    let command = T::command();
    let variables = command.get_arguments().filter_map(Arg::get_env);
    variables.filter_map(|name| name.to_str().map(str::to_owned)).collect()
}

/// Parses arguments, the program's name first, and takes options that they lack from the environment.
///
/// # Errors
/// clap's own, with its text and exit status; one that is due to a variable names the variable.
pub(crate) fn parse_arguments<T: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<T, clap::Error> {
    parse_with(arguments, &|name| std::env::var_os(name))
}

/// Parses arguments as [`parse_arguments`] does, with the environment that `variable` reads.
///
/// # Errors
/// As [`parse_arguments`].
pub(crate) fn parse_with<T: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = OsString>,
    variable: &dyn Fn(&OsStr) -> Option<OsString>,
) -> Result<T, clap::Error> {
    let matches = matches(T::command(), arguments.into_iter().collect(), variable)?;
    T::from_arg_matches(&matches)
}

/// An option whose value comes from a variable.
struct Taken {
    /// The variable.
    name: String,
    /// The option, e.g. `--launches`.
    option: String,
    /// The argument that says the same.
    argument: OsString,
}

fn matches(
    command: Command,
    mut arguments: Vec<OsString>,
    variable: &dyn Fn(&OsStr) -> Option<OsString>,
) -> Result<ArgMatches, clap::Error> {
    let declared: Vec<Arg> = command
        .get_arguments()
        .filter(|arg| arg.get_env().is_some())
        .cloned()
        .collect();
    let command = without_environment(command);
    // What requires or excludes another option is judged once the variables are known.
    let given = without_relations(command.clone()).try_get_matches_from(&arguments)?;
    let mut taken = Vec::new();
    for arg in &declared {
        let on_command_line = given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        let name = arg.get_env().unwrap_or_default();
        let Some(value) = set(variable(name)).filter(|_| !on_command_line) else {
            continue;
        };
        let Some(argument) = argument(arg, name, &value, &command)? else {
            continue;
        };
        let option = format!("--{}", arg.get_long().unwrap_or_default());
        let name = name.to_string_lossy().into_owned();
        check_alone(without_relations(command.clone()), &argument)
            .map_err(|error| naming(error, &[(&option, &name)]))?;
        taken.push(Taken { name, option, argument });
    }
    let at = 1.min(arguments.len());
    arguments.splice(at..at, taken.iter().map(|taken| taken.argument.clone()));
    let names: Vec<(&str, &str)> = taken
        .iter()
        .map(|taken| (taken.option.as_str(), taken.name.as_str()))
        .collect();
    command
        .try_get_matches_from(arguments)
        .map_err(|error| naming(error, &names))
}

/// Parses one argument as if it were the whole command line, to find out whether its value is valid.
fn check_alone(command: Command, argument: &OsStr) -> Result<(), clap::Error> {
    let program = command.get_name().to_owned();
    let command = command.arg_required_else_help(false).subcommand_required(false);
    command.try_get_matches_from([OsStr::new(&program), argument]).map(drop)
}

/// Returns the argument that says what a variable says; `None` for an option that is off.
fn argument(arg: &Arg, name: &OsStr, value: &OsStr, command: &Command) -> Result<Option<OsString>, clap::Error> {
    let long = format!("--{}", arg.get_long().unwrap_or_default());
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let value_is_optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    if is_switch {
        let on = parse_switch(&name.to_string_lossy(), value)
            .map_err(|error| command.clone().error(ErrorKind::InvalidValue, error))?;
        return Ok(on.then(|| long.into()));
    }
    match word(value).filter(|_| value_is_optional) {
        Some(true) => Ok(Some(long.into())),
        Some(false) => Ok(None),
        None => {
            let mut argument = OsString::from(long);
            argument.push("=");
            argument.push(value);
            Ok(Some(argument))
        }
    }
}

/// Keeps clap from reading variables; the help still names them.
fn without_environment(command: Command) -> Command {
    command.mut_args(|arg| {
        let Some(name) = arg.get_env().map(|name| name.to_string_lossy().into_owned()) else {
            return arg;
        };
        let short = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let long = arg.get_long_help().map(|long| format!("{long}\n\n[env: {name}]"));
        let arg = arg.env(Resettable::<clap::builder::OsStr>::Reset);
        let arg = arg.help(format!("{short} [env: {name}]").trim_start().to_owned());
        match long {
            Some(long) => arg.long_help(long),
            None => arg,
        }
    })
}

/// Forgets which options exclude or require each other.
fn without_relations(command: Command) -> Command {
    let groups: Vec<_> = command.get_groups().map(|group| group.get_id().clone()).collect();
    let command = command.mut_args(|arg| {
        arg.conflicts_with(Resettable::<Id>::Reset)
            .requires(Resettable::<Id>::Reset)
    });
    groups.into_iter().fold(command, |command, group| {
        command.mut_group(group, |group| group.multiple(true).required(false))
    })
}

/// Puts the names of variables in place of the options that they stand for.
fn naming(mut error: clap::Error, names: &[(&str, &str)]) -> clap::Error {
    let rename = |text: &str| {
        let option = text.split([' ', '=', '[']).next();
        let known = names.iter().find(|(known, _)| Some(*known) == option);
        known.map_or_else(|| text.to_owned(), |(_, name)| (*name).to_owned())
    };
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let renamed = match error.get(kind) {
            Some(ContextValue::String(text)) => ContextValue::String(rename(text)),
            Some(ContextValue::Strings(texts)) => {
                ContextValue::Strings(texts.iter().map(|text| rename(text)).collect())
            }
            _ => continue,
        };
        error.insert(kind, renamed);
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "x")]
    struct Options {
        #[arg(long, env = "X_QUICK", conflicts_with = "profile")]
        quick: bool,
        #[arg(long, env = "X_PROFILE")]
        profile: Option<String>,
        #[arg(long, env = "X_GATE", num_args = 0..=1, require_equals = true, default_missing_value = "on", value_parser = ["on", "strict"])]
        gate: Option<String>,
        #[arg(long, env = "X_ROUNDS", default_value_t = 3)]
        rounds: u32,
        #[arg(long, env = "X_ONLY", value_delimiter = ',')]
        only: Vec<String>,
        #[arg(long, env = "X_NEEDS", requires = "profile")]
        needs: Option<String>,
        filters: Vec<String>,
    }

    fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Options, String> {
        let arguments = ["x"].iter().chain(arguments).map(OsString::from);
        let variable = |name: &OsStr| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        parse_with(arguments, &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_stand_for_options_that_are_not_given() {
        let options = parse(
            &["--rounds", "5", "ping"],
            &[("X_ROUNDS", "7"), ("X_ONLY", "a,b"), ("X_QUICK", "yes")],
        );
        let options = options.unwrap();
        assert_eq!((options.rounds, options.quick), (5, true));
        assert_eq!(
            (options.only, options.filters),
            (vec!["a".into(), "b".into()], vec!["ping".into()])
        );
        assert_eq!(parse(&[], &[("X_ROUNDS", "7")]).unwrap().rounds, 7);
    }

    #[test]
    fn an_empty_variable_is_unset() {
        let all = ["X_QUICK", "X_PROFILE", "X_GATE", "X_ROUNDS", "X_ONLY", "X_NEEDS"].map(|name| (name, ""));
        let options = parse(&["--profile", "p"], &all).unwrap();
        assert_eq!((options.quick, options.gate, options.rounds), (false, None, 3));
        assert!(options.only.is_empty() && options.needs.is_none());
    }

    #[test]
    fn an_option_that_is_off_conflicts_with_nothing() {
        let options = parse(&["--profile", "p"], &[("X_QUICK", "false"), ("X_GATE", "0")]).unwrap();
        assert_eq!((options.quick, options.gate), (false, None));
        assert_eq!(parse(&[], &[("X_GATE", "true")]).unwrap().gate.as_deref(), Some("on"));
        assert_eq!(
            parse(&[], &[("X_GATE", "strict")]).unwrap().gate.as_deref(),
            Some("strict")
        );
    }

    #[test]
    fn errors_name_the_variable() {
        for (name, value) in [("X_QUICK", "maybe"), ("X_ROUNDS", "many"), ("X_GATE", "soft")] {
            let error = parse(&[], &[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
        let error = parse(&["--profile", "p"], &[("X_QUICK", "1")]).unwrap_err();
        assert!(error.contains("X_QUICK") && error.contains("--profile"), "{error}");
        let error = parse(&["--rounds", "many"], &[("X_ROUNDS", "1")]).unwrap_err();
        assert!(error.contains("--rounds") && !error.contains("X_ROUNDS"), "{error}");
    }

    #[test]
    fn required_options_may_come_from_the_environment() {
        assert!(parse(&["--needs", "n"], &[("X_PROFILE", "p")]).is_ok());
        assert!(parse(&["--needs", "n"], &[]).unwrap_err().contains("--profile"));
    }

    #[test]
    fn the_help_names_the_variables_without_their_values() {
        let help = parse(&["--help"], &[("X_ROUNDS", "7")]).unwrap_err();
        assert!(help.contains("[env: X_ROUNDS]"), "{help}");
    }
}
