//! `#[server]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{FnArg, ItemFn, ext::IdentExt, spanned::Spanned};

use crate::{
    doc,
    errors::{Errors, list, nearest},
    function,
    options::{self, Opt, Value},
    params::{self, Params, Values},
};

const SHAPE: &str = "fn name(parameters...) -> Server { ... }";

/// Options other than parameters.
const OPTIONS: [&str; 2] = ["cases", "crate"];

/// Most parameters of a server, as many as the check of `servers = [...]` knows.
const MOST_PARAMETERS: usize = 6;

pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    let function = match function::parse("server", SHAPE, item) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    let mut errors = Errors::default();
    let params = parameters(&function, &mut errors);
    let attribute = Attribute::read(options::parse(options, &mut errors), &params, &mut errors);
    check(&function, &params, &mut errors);
    if !errors.is_empty() {
        let errors = errors.into_tokens();
        return quote!(#item #errors);
    }
    let entry = entry(&function, &params, &attribute);
    quote!(#item #entry)
}

fn parameters(function: &ItemFn, errors: &mut Errors) -> Params {
    let typed = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(parameter),
        FnArg::Receiver(_) => None,
    });
    Params {
        function: function.sig.ident.clone(),
        list: typed.filter_map(|parameter| params::read(parameter, errors)).collect(),
    }
}

/// The validated attribute.
struct Attribute {
    krate: syn::Path,
    values: Values,
}

impl Attribute {
    fn read(options: Vec<Opt>, params: &Params, errors: &mut Errors) -> Self {
        let mut attribute = Self {
            krate: options::default_crate(),
            values: Values::default(),
        };
        let seen = options::each(options, errors, |option, name, errors| {
            attribute.take(option, name, params, errors);
        });
        attribute.values.check(params, &seen, errors, |param| {
            let name = param.name();
            (!meant(&name, &seen, params))
                .then(|| format!("the parameter `{name}` has no values; write `#[server({name} = [value, ...])]`"))
        });
        attribute
    }

    fn take(&mut self, option: &Opt, name: &str, params: &Params, errors: &mut Errors) {
        match (name, &option.value) {
            ("crate", Value::Expr(syn::Expr::Path(path))) => self.krate = path.path.clone(),
            ("crate", _) => errors.at(
                option,
                "`crate` needs the path of the harness, e.g. `crate = my_crate::wsgibench_harness`",
            ),
            ("cases", _) => self.values.cases(option, params, errors),
            _ if params.get(name).is_some() => self.values.list(option, name, errors),
            _ => errors.at(&option.name, unknown(name, params)),
        }
    }
}

/// Whether an unknown option was probably meant to be this parameter.
fn meant(name: &str, seen: &[String], params: &Params) -> bool {
    let names = params.names();
    seen.iter()
        .any(|s| !names.contains(s) && nearest(s, names.iter().map(String::as_str)) == Some(name))
}

fn unknown(name: &str, params: &Params) -> String {
    let names = params.names();
    let hint = nearest(name, names.iter().map(String::as_str).chain(OPTIONS))
        .map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    format!(
        "`{name}` is neither a parameter of `{}` nor an option of `#[server]`{hint}\nparameters: {}\noptions: {}; command, limits, tags and other settings are methods of `Server`",
        params.function,
        list(names.iter().map(String::as_str)),
        list(OPTIONS)
    )
}

fn check(function: &ItemFn, params: &Params, errors: &mut Errors) {
    let signature = &function.sig;
    function::check("server", signature, errors);
    if let Some(token) = &signature.asyncness {
        errors.at(
            token,
            format!("a `#[server]` function cannot be `async`; write `{SHAPE}`"),
        );
    }
    for param in params
        .list
        .iter()
        .filter(|param| OPTIONS.contains(&param.name().as_str()))
    {
        errors.at(
            &param.ident,
            format!(
                "parameter `{}` has the name of an option of `#[server]`; rename it",
                param.name()
            ),
        );
    }
    if let Some(param) = params.list.get(MOST_PARAMETERS) {
        errors.at(
            &param.ident,
            format!(
                "a server has at most {MOST_PARAMETERS} parameters; join some into a type that implements `ParamValue`"
            ),
        );
    }
    if !function::returned(signature).is_some_and(|ty| function::is_named(ty, "Server")) {
        errors.at(
            function::return_tokens(signature),
            format!("a `#[server]` function returns `Server`; write `{SHAPE}`"),
        );
    }
}

fn entry(function: &ItemFn, params: &Params, attribute: &Attribute) -> TokenStream {
    let krate = &attribute.krate;
    // With the span of the return type, so that the error for another `Server` points at it.
    let span = function::returned(&function.sig).map_or_else(Span::call_site, Spanned::span);
    let arguments = params::arguments(params);
    let call = quote_spanned!(span=> __function(#(#arguments),*));
    let variants = params::sets(
        krate,
        params,
        &attribute.values,
        |case, values| quote!(#krate::declare::ServerVariant::new(#case, #values, #call)),
    );
    let ident = &function.sig.ident;
    let visibility = &function.vis;
    let name = ident.unraw().to_string();
    let origin = function::origin(krate, function);
    let conditions = doc::conditions(&function.attrs);
    quote! {
        // The type namespace is free for the name of a function, and a `use` of the function imports the type too, so that in
        // `servers = [...]` the compiler can check whether a path is a server.
        #(#conditions)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, unreachable_pub, clippy::all, clippy::pedantic)]
        #visibility enum #ident {}

        #(#conditions)*
        const _: () = {
            impl #krate::__private::IsServer for #ident {
                const NAME: &'static str = #name;
            }

            #[allow(unused_variables, clippy::all, clippy::pedantic)]
            fn __wsgibench_variants() -> ::std::vec::Vec<#krate::declare::ServerVariant> {
                #variants
            }

            #krate::__private::inventory::submit! {
                #krate::declare::ServerEntry {
                    #origin
                    variants: __wsgibench_variants,
                }
            }
        };
    }
}
