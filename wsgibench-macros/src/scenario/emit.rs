//! Generation of the registration.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{ItemFn, Path, ext::IdentExt, spanned::Spanned};

use super::{
    attribute::{Attribute, Axis, Model, span_of},
    form::Form,
};
use crate::{doc, function};

/// Generates the registration as a struct literal, so that the compiler checks it against the harness in use.
pub(crate) fn registration(item: &ItemFn, form: &Form, attribute: &Attribute) -> TokenStream {
    let krate = &attribute.krate;
    let name = form.ident.unraw().to_string();
    let description = doc::description(&item.attrs);
    let conditions = doc::conditions(&item.attrs);
    let servers = attribute.servers.iter().map(|path| server_name(krate, path));
    let baseline = attribute
        .baseline
        .as_ref()
        .map_or_else(|| quote!(""), |path| server_name(krate, path));
    let (tags, ignore) = (&attribute.tags, &attribute.ignore);
    let setup = hook(krate, attribute.setup.as_ref());
    let teardown = hook(krate, attribute.teardown.as_ref());
    let baseline_check = baseline_check(attribute);
    let server_checks = attribute
        .servers
        .iter()
        .chain(&attribute.baseline)
        .map(|path| quote_spanned!(span_of(path)=> const _: () = #krate::__private::assert_server(&#path);));
    let sets = sets(item, form, attribute);
    quote! {
        #(#conditions)*
        const _: () = {
            #(#server_checks)*
            const __WSGIBENCH_SERVERS: &[&str] = &[#(#servers),*];
            const __WSGIBENCH_BASELINE: &str = #baseline;
            #baseline_check

            #[allow(unused_variables, clippy::all, clippy::pedantic)]
            fn __wsgibench_params() -> ::std::vec::Vec<#krate::declare::ParamSet> {
                #sets
            }

            #krate::__private::inventory::submit! {
                #krate::declare::ScenarioEntry {
                    name: #name,
                    module: ::core::module_path!(),
                    location: #krate::declare::Location {
                        file: ::core::file!(),
                        line: ::core::line!(),
                        column: ::core::column!(),
                    },
                    manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
                    description: #description,
                    servers: __WSGIBENCH_SERVERS,
                    baseline: __WSGIBENCH_BASELINE,
                    tags: &[#(#tags),*],
                    ignore: #ignore,
                    setup: #setup,
                    teardown: #teardown,
                    params: __wsgibench_params,
                }
            }
        };
    }
}

fn server_name(krate: &Path, path: &Path) -> TokenStream {
    quote_spanned!(span_of(path)=> <#path as #krate::__private::IsServer>::NAME)
}

fn baseline_check(attribute: &Attribute) -> TokenStream {
    let Some(baseline) = attribute.baseline.as_ref().filter(|_| !attribute.servers.is_empty()) else {
        return TokenStream::new();
    };
    let krate = &attribute.krate;
    let text = "`baseline` must be one of `servers`, since only measured servers can be compared";
    quote_spanned!(span_of(baseline)=> const _: () = ::core::assert!(#krate::__private::contains(__WSGIBENCH_SERVERS, __WSGIBENCH_BASELINE), #text);)
}

fn hook(krate: &Path, path: Option<&Path>) -> TokenStream {
    match path {
        None => quote!(::core::option::Option::None),
        Some(path) => {
            let call = quote_spanned!(span_of(path)=> ::std::boxed::Box::pin(#path(ctx)));
            quote!(::core::option::Option::Some({
                fn __wsgibench_hook(ctx: &mut #krate::declare::SetupContext) -> #krate::declare::HookFuture<'_> {
                    #call
                }
                __wsgibench_hook
            }))
        }
    }
}

/// Generates the nested loops over cases and lists, in which each value is evaluated once.
fn sets(item: &ItemFn, form: &Form, attribute: &Attribute) -> TokenStream {
    let krate = &attribute.krate;
    let ident = &form.ident;
    let axes: Vec<AxisCode> = attribute
        .axes
        .iter()
        .enumerate()
        .map(|(i, axis)| AxisCode::new(krate, form, i, axis))
        .collect();
    let lists = axes.iter().map(|axis| &axis.list);
    let (case_list, case_open, case_name) = cases(form, attribute);
    let values = values(form, attribute);
    let work = work(item, form, attribute);
    // Built from the inside out: the innermost body, wrapped in one loop for each list, in the order of the options.
    let body = quote! {
        let __values: ::std::vec::Vec<(::std::string::String, ::std::string::String)> = ::std::vec![#(#values),*];
        __sets.push(#krate::declare::ParamSet::new(#case_name, __values, #work));
    };
    let looped = axes.iter().rev().fold(body, |inner, axis| {
        let (variable, list) = (&axis.variable, &axis.name);
        quote!(for #variable in ::core::clone::Clone::clone(&#list) { #inner })
    });
    let looped = match case_open {
        Some(open) => quote!(for #open in __cases { #looped }),
        None => looped,
    };
    quote! {
        // Under a private name, since a parameter may have the name of the function.
        let __function = #ident;
        let mut __sets = ::std::vec::Vec::new();
        #(#lists)*
        #case_list
        #looped
        __sets
    }
}

/// A list in the body of the generated function.
struct AxisCode {
    /// Name of the vector.
    name: syn::Ident,
    /// Its definition.
    list: TokenStream,
    /// Name of the value inside the loop: the user's parameter.
    variable: syn::Ident,
}

impl AxisCode {
    fn new(krate: &Path, form: &Form, index: usize, axis: &Axis) -> Self {
        let name = format_ident!("__axis_{index}");
        let param = form.param(&axis.name);
        let variable = param.map_or_else(|| format_ident!("{}", axis.name), |param| param.ident.clone());
        let ty = match param {
            Some(param) => {
                let ty = &param.ty;
                quote!(#ty)
            }
            None if axis.name == "users" => quote!(usize),
            None => quote!(_),
        };
        let values = &axis.values;
        let list = match values {
            syn::Expr::Array(array) => {
                let elements = &array.elems;
                quote!(let #name: ::std::vec::Vec<#ty> = ::std::vec![#elements];)
            }
            other => {
                let span = other.span();
                let collected = quote_spanned!(span=> #krate::__private::values::<#ty, _>(#other));
                quote!(let #name: ::std::vec::Vec<#ty> = #collected;)
            }
        };
        Self { name, list, variable }
    }
}

/// Returns the list of named cases, the pattern of its loop, and the name with the parameters that it replaces in the id.
fn cases(form: &Form, attribute: &Attribute) -> (TokenStream, Option<TokenStream>, TokenStream) {
    let Some(first) = attribute.cases.first() else {
        return (TokenStream::new(), None, quote!(::core::option::Option::None));
    };
    let given: Vec<_> = form
        .params
        .iter()
        .filter(|param| first.value(&param.name()).is_some())
        .collect();
    let types = given.iter().map(|param| &param.ty);
    let rows = attribute.cases.iter().map(|case| {
        let id = case.id();
        let values = given.iter().filter_map(|param| case.value(&param.name()));
        quote!((#id, #(#values),*))
    });
    let idents = given.iter().map(|param| &param.ident);
    let names = given.iter().map(|param| param.name());
    (
        quote!(let __cases: ::std::vec::Vec<(&'static str, #(#types),*)> = ::std::vec![#(#rows),*];),
        Some(quote!((__case, #(#idents),*))),
        quote!(::core::option::Option::Some((__case, &[#(#names),*]))),
    )
}

/// Returns the texts of all values: a script's load model first, then the parameters in the function's order.
fn values(form: &Form, attribute: &Attribute) -> Vec<TokenStream> {
    let krate = &attribute.krate;
    let model = attribute.axes.iter().filter(|axis| form.param(&axis.name).is_none());
    let model = model.map(|axis| (axis.name.clone(), format_ident!("{}", axis.name)));
    let params = form.params.iter().map(|param| (param.name(), param.ident.clone()));
    model
        .chain(params)
        .map(|(name, ident)| {
            let span = form.param(&name).map_or_else(Span::call_site, |param| param.ty.span());
            let text = quote_spanned!(span=> #krate::declare::ParamValue::text(&#ident));
            quote!((::std::string::String::from(#name), #text))
        })
        .collect()
}

/// Generates the work of one set of values.
fn work(item: &ItemFn, form: &Form, attribute: &Attribute) -> TokenStream {
    let krate = &attribute.krate;
    let arguments: Vec<_> = form.params.iter().map(|param| &param.ident).collect();
    let copies = |of: &[&syn::Ident]| -> Vec<TokenStream> {
        of.iter()
            .map(|ident| quote!(::core::clone::Clone::clone(&#ident)))
            .collect()
    };
    // With the span of the return type, so that the error for another `Load` or `Result` points at it.
    let span = function::returned(&item.sig).map_or_else(Span::call_site, Spanned::span);
    if !form.scripted {
        let copies = copies(&arguments);
        let call = quote_spanned!(span=> __function(#(#copies),*));
        return quote!(#krate::declare::Work::Load(#call));
    }
    let load = match &attribute.model {
        Some(Model::Users) => quote!(#krate::load::Load::closed(users).for_script()),
        Some(Model::Rate) => quote!(#krate::load::Load::rate(rate).for_script()),
        // On copies, since the expression may consume values that the script needs.
        Some(Model::Load(load)) => {
            let copies = copies(&arguments);
            let converted = quote_spanned!(load.span()=> #krate::__private::script_load(#load));
            quote!({
                #(let #arguments = #copies;)*
                #converted
            })
        }
        None => TokenStream::new(),
    };
    let outer = copies(&arguments);
    let inner = copies(&arguments);
    let call = quote_spanned!(span=> __function(__user, #(#arguments),*));
    let hooks = user_hooks(attribute);
    quote! {
        #krate::declare::Work::Script {
            load: #load,
            script: {
                #(let #arguments = #outer;)*
                #krate::__private::script(move |__user| {
                    #(let #arguments = #inner;)*
                    ::std::boxed::Box::pin(#call)
                })
                #hooks
            },
        }
    }
}

/// Generates the hooks that each user runs before its first run of the script and after its last.
fn user_hooks(attribute: &Attribute) -> TokenStream {
    let hook = |method: &str, path: &Option<Path>| {
        path.as_ref().map(|path| {
            let method = format_ident!("{method}");
            let call = quote_spanned!(span_of(path)=> ::std::boxed::Box::pin(#path(__user)));
            quote!(.#method(move |__user| #call))
        })
    };
    let setup = hook("with_user_setup", &attribute.user_setup);
    let teardown = hook("with_user_teardown", &attribute.user_teardown);
    quote!(#setup #teardown)
}
