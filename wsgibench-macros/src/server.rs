//! `#[server]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, ext::IdentExt};

use crate::{
    doc,
    errors::Errors,
    function,
    options::{self, Value},
};

const SHAPE: &str = "fn name() -> Server { ... }";

pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    let function = match function::parse("server", SHAPE, item) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    let mut errors = Errors::default();
    let krate = crate_path(options, &mut errors);
    check(&function, &mut errors);
    if !errors.is_empty() {
        let errors = errors.into_tokens();
        return quote!(#item #errors);
    }
    let entry = entry(&function, &krate);
    quote!(#item #entry)
}

fn crate_path(tokens: TokenStream, errors: &mut Errors) -> syn::Path {
    let mut krate = options::default_crate();
    for option in options::parse(tokens, errors) {
        match (option.name.unraw().to_string().as_str(), &option.value) {
            ("crate", Value::Expr(syn::Expr::Path(path))) => krate = path.path.clone(),
            ("crate", _) => errors.at(&option, "`crate` needs the path of the harness, e.g. `crate = my_crate::wsgibench_harness`"),
            (name, _) => errors.at(
                &option.name,
                format!(
                    "`#[server]` has no option `{name}` (only `crate = path`); command, limits, tags and other settings are methods of `Server`"
                ),
            ),
        }
    }
    krate
}

fn check(function: &ItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    function::check("server", signature, errors);
    if let Some(token) = &signature.asyncness {
        errors.at(
            token,
            format!("a `#[server]` function cannot be `async`; write `{SHAPE}`"),
        );
    }
    for input in &signature.inputs {
        if let syn::FnArg::Typed(parameter) = input {
            errors.at(
                parameter,
                "a `#[server]` function has no parameters; for variants of a server write a function for each and share a helper",
            );
        }
    }
    if !function::returned(signature).is_some_and(|ty| function::is_named(ty, "Server")) {
        errors.at(
            function::return_tokens(signature),
            format!("a `#[server]` function returns `Server`; write `{SHAPE}`"),
        );
    }
}

fn entry(function: &ItemFn, krate: &syn::Path) -> TokenStream {
    let ident = &function.sig.ident;
    let visibility = &function.vis;
    let name = ident.unraw().to_string();
    let description = doc::description(&function.attrs);
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

            #krate::__private::inventory::submit! {
                #krate::declare::ServerEntry {
                    name: #name,
                    module: ::core::module_path!(),
                    location: #krate::declare::Location {
                        file: ::core::file!(),
                        line: ::core::line!(),
                        column: ::core::column!(),
                    },
                    manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
                    description: #description,
                    build: #ident,
                }
            }
        };
    }
}
