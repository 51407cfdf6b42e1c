//! Parsing of the function: declared or scripted, and its parameters.

use syn::{FnArg, PatType, Signature, Type};

use crate::{
    errors::Errors,
    function,
    params::{self, Param, Params},
};

pub(crate) const DECLARED_SHAPE: &str = "fn name(parameters...) -> Load { ... }";
pub(crate) const SCRIPTED_SHAPE: &str = "async fn name(user: &mut User, parameters...) -> Result<()> { ... }";

/// The parsed signature.
pub(crate) struct Form {
    /// Whether it is an `async fn` with a `User`.
    pub(crate) scripted: bool,
    /// The function and its parameters without the user.
    pub(crate) params: Params,
}

/// Parses and checks the signature.
pub(crate) fn read(signature: &Signature, errors: &mut Errors) -> Form {
    function::check("scenario", signature, errors);
    let scripted = signature.asyncness.is_some();
    check_return(signature, scripted, errors);
    let mut typed: Vec<&PatType> = signature
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(parameter) => Some(parameter),
            FnArg::Receiver(_) => None,
        })
        .collect();
    if scripted && check_user(signature, &typed, errors) {
        typed.remove(0);
    }
    let list = typed
        .into_iter()
        .filter_map(|parameter| param(parameter, scripted, errors))
        .collect();
    Form {
        scripted,
        params: Params {
            function: signature.ident.clone(),
            list,
        },
    }
}

fn check_return(signature: &Signature, scripted: bool, errors: &mut Errors) {
    let returned = function::returned(signature);
    let is = |name| returned.is_some_and(|ty| function::is_named(ty, name));
    let tokens = || function::return_tokens(signature);
    match (scripted, is("Load"), is("Result")) {
        (true, false, true) | (false, true, false) => {}
        (true, true, _) => errors.at(
            signature.asyncness,
            format!("a declared load cannot be `async`; remove `async`, or script a user: `{SCRIPTED_SHAPE}`"),
        ),
        (true, false, false) => errors.at(
            tokens(),
            format!("a scripted scenario returns `Result<()>`; write `{SCRIPTED_SHAPE}`"),
        ),
        (false, _, _) => errors.at(
            tokens(),
            format!(
                "a `#[scenario]` function returns `Load`: `{DECLARED_SHAPE}`; a scripted user is `{SCRIPTED_SHAPE}`"
            ),
        ),
    }
}

/// Whether the first parameter is the user, even with a wrong type: it then needs no list.
fn check_user(signature: &Signature, typed: &[&PatType], errors: &mut Errors) -> bool {
    let Some(first) = typed.first() else {
        if signature.receiver().is_none() {
            errors.at(
                &signature.ident,
                format!("an `async` scenario needs the user as its first parameter: `{SCRIPTED_SHAPE}`"),
            );
        }
        return false;
    };
    if is_user(&first.ty) {
        return true;
    }
    let meant = match &*first.ty {
        Type::Reference(reference) => function::is_named(&reference.elem, "User"),
        other => function::is_named(other, "User"),
    };
    if meant {
        errors.at(&first.ty, "the user must have the type `&mut User`");
    } else {
        errors.at(
            first,
            format!("the first parameter of an `async` scenario is `user: &mut User`: `{SCRIPTED_SHAPE}`"),
        );
    }
    meant
}

fn is_user(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if reference.mutability.is_some() && function::is_named(&reference.elem, "User"))
}

fn mentions_user(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => function::is_named(&reference.elem, "User"),
        other => function::is_named(other, "User"),
    }
}

fn param(parameter: &PatType, scripted: bool, errors: &mut Errors) -> Option<Param> {
    if mentions_user(&parameter.ty) {
        let text = if scripted {
            "the user must be the first parameter, and the only `User`".to_owned()
        } else {
            format!("only a scripted scenario has a user; make it `async`: `{SCRIPTED_SHAPE}`")
        };
        errors.at(parameter, text);
        return None;
    }
    params::read(parameter, errors)
}
