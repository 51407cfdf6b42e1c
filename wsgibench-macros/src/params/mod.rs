//! Parameters of a function and their values, which both attributes give by lists and named cases.

use quote::ToTokens;
use syn::{Expr, Ident, Pat, PatType, Type, ext::IdentExt};

use crate::{
    errors::Errors,
    options::{Opt, Value},
};

mod cases;
mod emit;

use cases::Case;
pub(crate) use emit::{arguments, sets};

/// A function with parameters.
pub(crate) struct Params {
    /// Its name, as a token to point at.
    pub(crate) function: Ident,
    /// Its parameters.
    pub(crate) list: Vec<Param>,
}

/// One parameter.
pub(crate) struct Param {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

impl Param {
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

impl Params {
    /// Returns the parameter of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Param> {
        self.list.iter().find(|param| param.name() == name)
    }

    /// Returns the names of all parameters.
    pub(crate) fn names(&self) -> Vec<String> {
        self.list.iter().map(Param::name).collect()
    }
}

/// Reads one parameter of a signature.
pub(crate) fn read(parameter: &PatType, errors: &mut Errors) -> Option<Param> {
    if matches!(&*parameter.ty, Type::ImplTrait(_)) {
        errors.at(
            &parameter.ty,
            "a parameter needs a concrete type, since its values come from the attribute's list",
        );
    }
    match &*parameter.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(Param {
            ident: pat.ident.clone(),
            ty: (*parameter.ty).clone(),
        }),
        other => {
            errors.at(
                other.to_token_stream(),
                "a parameter needs a plain name, under which the attribute gives its values",
            );
            None
        }
    }
}

/// The values of the parameters: lists, which are crossed, and named cases.
#[derive(Default)]
pub(crate) struct Values {
    lists: Vec<List>,
    cases: Vec<Case>,
}

/// A list of values by name.
struct List {
    name: String,
    values: Expr,
}

impl Values {
    /// Reads the list of one parameter.
    pub(crate) fn list(&mut self, option: &Opt, name: &str, errors: &mut Errors) {
        let example = match name {
            "connections" => "connections = [64, 100]".to_owned(),
            "users" => "users = [10, 100]".to_owned(),
            "rate" => "rate = [500, 2_000]".to_owned(),
            other => format!("{other} = [value, ...]"),
        };
        match &option.value {
            Value::Expr(Expr::Array(array)) if array.elems.is_empty() => {
                errors.at(
                    array,
                    format!("the list of `{name}` is empty, so there would be no case; write `{example}`"),
                );
            }
            Value::Expr(value @ (Expr::Lit(_) | Expr::Tuple(_))) => {
                errors.at(value, format!("`{name}` needs a list of values; write `{example}`"));
            }
            Value::Expr(value) => self.lists.push(List {
                name: name.to_owned(),
                values: value.clone(),
            }),
            Value::Flag | Value::List(_) => {
                errors.at(option, format!("`{name}` needs a list of values; write `{example}`"));
            }
        }
    }

    /// Reads the named cases.
    pub(crate) fn cases(&mut self, option: &Opt, params: &Params, errors: &mut Errors) {
        self.cases = cases::read(option, params, errors);
    }

    /// Checks that each parameter has its values from exactly one place, and that all cases have the same parameters. `seen`
    /// are the names of all options; `missing` returns the error for a parameter without values, `None` if it is already
    /// reported.
    pub(crate) fn check(
        &self,
        params: &Params,
        seen: &[String],
        errors: &mut Errors,
        missing: impl Fn(&Param) -> Option<String>,
    ) {
        for param in &params.list {
            let name = param.name();
            let giving = self.cases.iter().find(|case| case.value(&name).is_some());
            match (seen.contains(&name), giving) {
                (true, Some(case)) => errors.at(
                    &case.name,
                    format!("`{name}` already has a list; leave it out of the cases or remove the list"),
                ),
                (false, Some(_)) => {
                    for case in self.cases.iter().filter(|case| case.value(&name).is_none()) {
                        errors.at(
                            &case.name,
                            format!("case `{}` has no value for `{name}`, but others do", case.name),
                        );
                    }
                }
                // A mistake in `cases` is already reported.
                (false, None) if seen.iter().any(|s| s == "cases") && self.cases.is_empty() => {}
                (false, None) => {
                    if let Some(text) = missing(param) {
                        errors.at(&param.ident, text);
                    }
                }
                (true, None) => {}
            }
        }
    }
}
