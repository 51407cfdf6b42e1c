//! The attribute: known options, parameter lists, cases and the load model of a script.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Expr, ExprArray, ExprLit, Lit, Path};

use super::form::Form;
use crate::{
    errors::{Errors, list, nearest},
    options::{self, Opt, Value},
    params::Values,
};

/// Options of every scenario.
const OPTIONS: [&str; 8] = [
    "servers", "baseline", "tags", "ignore", "setup", "teardown", "cases", "crate",
];
/// Load models of a scripted user, which has exactly one.
const MODELS: [&str; 3] = ["users", "rate", "load"];

/// Further options of a scripted user.
const OF_USERS: [&str; 2] = ["user_setup", "user_teardown"];

/// The validated attribute.
pub(crate) struct Attribute {
    pub(crate) krate: Path,
    pub(crate) servers: Vec<Path>,
    pub(crate) baseline: Option<Path>,
    pub(crate) tags: Vec<String>,
    pub(crate) ignore: String,
    pub(crate) setup: Option<Path>,
    pub(crate) teardown: Option<Path>,
    pub(crate) user_setup: Option<Path>,
    pub(crate) user_teardown: Option<Path>,
    pub(crate) values: Values,
    pub(crate) model: Option<Model>,
}

/// The load model of a script; `users` and `rate` are each a list of values too.
#[derive(Clone)]
pub(crate) enum Model {
    Users,
    Rate,
    Load(Expr),
}

/// Parses the options and checks them against the function.
pub(crate) fn read(options: Vec<Opt>, form: &Form, errors: &mut Errors) -> Attribute {
    let mut attribute = Attribute {
        krate: options::default_crate(),
        servers: Vec::new(),
        baseline: None,
        tags: Vec::new(),
        ignore: String::new(),
        setup: None,
        teardown: None,
        user_setup: None,
        user_teardown: None,
        values: Values::default(),
        model: None,
    };
    for param in &form.params.list {
        let name = param.name();
        let of_users = name == "load" || OF_USERS.contains(&name.as_str());
        if OPTIONS.contains(&name.as_str()) || (form.scripted && of_users) {
            errors.at(
                &param.ident,
                format!("parameter `{name}` has the name of an option of `#[scenario]`; rename it"),
            );
        }
    }
    let seen = options::each(options, errors, |option, name, errors| {
        attribute.take(option, name, form, errors);
    });
    let of_script = |name: &str| form.scripted && matches!(name, "users" | "rate");
    attribute.values.check(&form.params, &seen, errors, |param| {
        let name = param.name();
        // A mistake in the name of the option is already reported.
        if meant(&name, &seen, form) {
            None
        } else if of_script(&name) {
            Some(format!(
                "the parameter `{name}` has no values; write `{name} = [...]`, which is the load model too"
            ))
        } else {
            Some(format!(
                "the parameter `{name}` has no values; write `#[scenario({name} = [value, ...])]`"
            ))
        }
    });
    let named = |model: &&str| seen.iter().any(|s| s == *model) || meant(model, &seen, form);
    if form.scripted && attribute.model.is_none() && !MODELS.iter().any(named) {
        errors.at(
            &form.params.function,
            "a scripted scenario needs a load model: `users = [10, 100]` (that many users at once), `rate = [50]` (that many arrive \
             every second) or `load = <a Load without requests>`",
        );
    }
    attribute
}

impl Attribute {
    fn take(&mut self, option: &Opt, name: &str, form: &Form, errors: &mut Errors) {
        match name {
            "servers" => self.servers = paths(option, errors),
            "baseline" => {
                self.baseline = path(
                    option,
                    "the path of a `#[server]` function, e.g. `baseline = gunicorn`",
                    errors,
                );
            }
            "setup" => self.setup = path(option, HOOK, errors),
            "teardown" => self.teardown = path(option, HOOK, errors),
            "user_setup" if form.scripted => self.user_setup = path(option, USER_HOOK, errors),
            "user_teardown" if form.scripted => self.user_teardown = path(option, USER_HOOK, errors),
            "crate" => {
                let krate = path(
                    option,
                    "the path of the harness, e.g. `crate = my_crate::wsgibench_harness`",
                    errors,
                );
                self.krate = krate.unwrap_or_else(options::default_crate);
            }
            "tags" => self.tags = tags(option, errors),
            "ignore" => self.ignore = reason(option, errors),
            "cases" => self.values.cases(option, &form.params, errors),
            "load" if form.scripted => self.load(option, errors),
            "users" | "rate" if form.scripted => {
                let model = if name == "users" { Model::Users } else { Model::Rate };
                self.set_model(option, model, errors);
                self.values.list(option, name, errors);
            }
            _ if form.params.get(name).is_some() => self.values.list(option, name, errors),
            _ => errors.at(&option.name, unknown(name, form)),
        }
    }

    fn load(&mut self, option: &Opt, errors: &mut Errors) {
        match &option.value {
            Value::Expr(Expr::Lit(_) | Expr::Array(_)) | Value::Flag | Value::List(_) => errors.at(
                option,
                "`load` takes a load without requests, e.g. `load = Load::users(5).every(secs(1)).arriving_for(secs(60))`",
            ),
            Value::Expr(value) => self.set_model(option, Model::Load(value.clone()), errors),
        }
    }

    fn set_model(&mut self, option: &Opt, model: Model, errors: &mut Errors) {
        if self.model.is_some() {
            errors.at(
                &option.name,
                "a scripted scenario has one load model: `users`, `rate` or `load`",
            );
        } else {
            self.model = Some(model);
        }
    }
}

/// Whether an unknown option was probably meant to be this one.
fn meant(name: &str, seen: &[String], form: &Form) -> bool {
    let choices = choices(form);
    seen.iter()
        .any(|s| !choices.contains(s) && nearest(s, choices.iter().map(String::as_str)) == Some(name))
}

/// Returns all names that are valid before a `=`.
fn choices(form: &Form) -> Vec<String> {
    let (models, of_users): (&[&str], &[&str]) = if form.scripted {
        (&MODELS, &OF_USERS)
    } else {
        (&[], &[])
    };
    let params = form.params.names().into_iter();
    let options = OPTIONS.iter().chain(models).chain(of_users);
    let options = options.map(|&option| option.to_owned());
    params.chain(options).collect()
}

const HOOK: &str = "the path of an `async fn(ctx: &mut SetupContext) -> Result<()>`, e.g. `setup = fill_database`";

const USER_HOOK: &str = "the path of an `async fn(user: &mut User) -> Result<()>`, e.g. `user_setup = sign_in`";

fn unknown(name: &str, form: &Form) -> String {
    let choices = choices(form);
    let (params, options) = choices.split_at(form.params.list.len());
    let hint = match nearest(name, choices.iter().map(String::as_str)) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None if !form.scripted && MODELS.contains(&name) => {
            "; it is the load model of a scripted user; a declared scenario sets it in the `Load` that it returns"
                .into()
        }
        None if !form.scripted && OF_USERS.contains(&name) => {
            "; it is for scripted users only; `setup` and `teardown` run once per launch".into()
        }
        None => String::new(),
    };
    format!(
        "`{name}` is neither a parameter of `{}` nor an option of `#[scenario]`{hint}\nparameters: {}\noptions: {}",
        form.params.function,
        list(params.iter().map(String::as_str)),
        list(options.iter().map(String::as_str))
    )
}

fn array<'a>(option: &'a Opt, wanted: &str, errors: &mut Errors) -> Option<&'a ExprArray> {
    match &option.value {
        Value::Expr(Expr::Array(array)) if array.elems.is_empty() => {
            errors.at(array, format!("the list of `{}` is empty; {wanted}", option.name));
            None
        }
        Value::Expr(Expr::Array(array)) => Some(array),
        Value::Expr(other) => {
            errors.at(other, format!("`{}` needs a list: {wanted}", option.name));
            None
        }
        Value::Flag | Value::List(_) => {
            errors.at(option, format!("`{}` needs a list: {wanted}", option.name));
            None
        }
    }
}

fn paths(option: &Opt, errors: &mut Errors) -> Vec<Path> {
    const WANTED: &str = "paths of `#[server]` functions, e.g. `servers = [gunicorn, other::uwsgi]`; without it the scenario runs on all servers";
    let mut paths: Vec<Path> = Vec::new();
    let Some(array) = array(option, WANTED, errors) else {
        return paths;
    };
    for element in &array.elems {
        match element {
            Expr::Path(path) if path.qself.is_none() => {
                let text = path.path.to_token_stream().to_string();
                if paths.iter().any(|other| other.to_token_stream().to_string() == text) {
                    errors.at(element, "this server is in the list twice");
                } else {
                    paths.push(path.path.clone());
                }
            }
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => {
                let name = text.value();
                errors.at(element, format!("a server is named by its path, so that the compiler can check it; write `{name}` without quotes"));
            }
            Expr::Call(call) => errors.at(
                element,
                format!(
                    "name the function, do not call it; write `{}`",
                    call.func.to_token_stream()
                ),
            ),
            _ => errors.at(element, format!("expected {WANTED}")),
        }
    }
    paths
}

fn path(option: &Opt, wanted: &str, errors: &mut Errors) -> Option<Path> {
    match &option.value {
        Value::Expr(Expr::Path(path)) if path.qself.is_none() => Some(path.path.clone()),
        Value::Expr(Expr::Array(array)) => {
            errors.at(array, format!("`{}` needs one path, not a list: {wanted}", option.name));
            None
        }
        Value::Expr(other) => {
            errors.at(other, format!("`{}` needs {wanted}", option.name));
            None
        }
        Value::Flag | Value::List(_) => {
            errors.at(option, format!("`{}` needs {wanted}", option.name));
            None
        }
    }
}

fn tags(option: &Opt, errors: &mut Errors) -> Vec<String> {
    const WANTED: &str = "strings, e.g. `tags = [\"study\", \"fast\"]`";
    let mut tags: Vec<String> = Vec::new();
    let Some(array) = array(option, WANTED, errors) else {
        return tags;
    };
    for element in &array.elems {
        match element {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) if text.value().trim().is_empty() => errors.at(element, "a tag cannot be empty"),
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) if tags.contains(&text.value()) => errors.at(element, "this tag is in the list twice"),
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => tags.push(text.value()),
            Expr::Path(_) => errors.at(
                element,
                format!("a tag is a string; write `\"{}\"`", element.to_token_stream()),
            ),
            _ => errors.at(element, format!("`tags` needs {WANTED}")),
        }
    }
    tags
}

fn reason(option: &Opt, errors: &mut Errors) -> String {
    const WANTED: &str = "`ignore` needs the reason as a string, e.g. `ignore = \"needs an hour\"`";
    match &option.value {
        Value::Expr(Expr::Lit(ExprLit {
            lit: Lit::Str(text), ..
        })) if !text.value().trim().is_empty() => return text.value(),
        Value::Expr(value) => errors.at(value, WANTED),
        Value::Flag | Value::List(_) => errors.at(option, WANTED),
    }
    String::new()
}

/// Returns the span of the call that makes the options known to the compiler.
pub(crate) fn span_of(path: &Path) -> Span {
    syn::spanned::Spanned::span(path)
}
