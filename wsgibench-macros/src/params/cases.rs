//! `cases(small(connections = 10, size = 1), ...)`.

use proc_macro2::Ident;
use syn::{Expr, ext::IdentExt};

use super::Params;
use crate::{
    errors::{Errors, list, nearest},
    options::{self, Opt, Value},
};

const WANTED: &str =
    "named cases, e.g. `cases(small(connections = 10, size = 1), large(connections = 100, size = 64))`";

/// A named combination of values.
pub(crate) struct Case {
    pub(crate) name: Ident,
    values: Vec<(String, Expr)>,
}

impl Case {
    /// Returns its value for a parameter.
    pub(crate) fn value(&self, name: &str) -> Option<&Expr> {
        self.values
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value)
    }

    /// Returns its name in ids.
    pub(crate) fn id(&self) -> String {
        self.name.unraw().to_string()
    }
}

/// Parses the cases and reports every mistake in them.
pub(crate) fn read(option: &Opt, params: &Params, errors: &mut Errors) -> Vec<Case> {
    let Value::List(tokens) = &option.value else {
        errors.at(option, format!("`cases` needs {WANTED}"));
        return Vec::new();
    };
    let mut cases: Vec<Case> = Vec::new();
    let inner = options::parse(tokens.clone(), errors);
    if inner.is_empty() && tokens.is_empty() {
        errors.at(option, format!("`cases` is empty; it needs {WANTED}"));
    }
    for case in inner {
        let Value::List(values) = &case.value else {
            errors.at(&case, format!("a case is a name with values in parentheses: {WANTED}"));
            continue;
        };
        if cases.iter().any(|other| other.name == case.name) {
            errors.at(&case.name, format!("case `{}` is defined twice", case.name));
            continue;
        }
        let mut read = Case {
            name: case.name.clone(),
            values: Vec::new(),
        };
        let given = options::parse(values.clone(), errors);
        if given.is_empty() && values.is_empty() {
            errors.at(&case, format!("case `{}` has no values", case.name));
        }
        for pair in given {
            value(&mut read, &pair, params, errors);
        }
        cases.push(read);
    }
    cases
}

fn value(case: &mut Case, pair: &Opt, params: &Params, errors: &mut Errors) {
    let name = pair.name.unraw().to_string();
    if params.get(&name).is_none() {
        let names = params.names();
        let choices = || names.iter().map(String::as_str);
        let meant = nearest(&name, choices()).map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
        errors.at(
            &pair.name,
            format!(
                "`{}` has no parameter `{name}`{meant}\nparameters: {}",
                params.function,
                list(choices())
            ),
        );
        return;
    }
    if case.value(&name).is_some() {
        errors.at(&pair.name, format!("`{name}` is given twice in case `{}`", case.name));
        return;
    }
    match &pair.value {
        Value::Expr(Expr::Array(array)) => {
            // A parameter may be an array, which the compiler accepts.
            case.values.push((name, Expr::Array(array.clone())));
        }
        Value::Expr(value) => case.values.push((name, value.clone())),
        Value::Flag | Value::List(_) => errors.at(pair, format!("`{name}` needs a value: `{name} = value`")),
    }
}
