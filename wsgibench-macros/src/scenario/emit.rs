//! Generation of the registration.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{ItemFn, Path, spanned::Spanned};

use super::{
    attribute::{Attribute, Model, span_of},
    form::Form,
};
use crate::{doc, function, params};

/// Generates the registration as a struct literal, so that the compiler checks it against the harness in use.
pub(crate) fn registration(item: &ItemFn, form: &Form, attribute: &Attribute) -> TokenStream {
    let krate = &attribute.krate;
    let origin = function::origin(krate, item);
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
                    #origin
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

/// Generates the parameter sets.
fn sets(item: &ItemFn, form: &Form, attribute: &Attribute) -> TokenStream {
    let krate = &attribute.krate;
    let work = work(item, form, attribute);
    params::sets(
        krate,
        &form.params,
        &attribute.values,
        |case, values| quote!(#krate::declare::ParamSet::new(#case, #values, #work)),
    )
}

/// Generates the work of one set of values.
fn work(item: &ItemFn, form: &Form, attribute: &Attribute) -> TokenStream {
    let krate = &attribute.krate;
    let arguments: Vec<_> = form.params.list.iter().map(|param| &param.ident).collect();
    // With the span of the return type, so that the error for another `Load` or `Result` points at it.
    let span = function::returned(&item.sig).map_or_else(Span::call_site, Spanned::span);
    if !form.scripted {
        let copies = params::arguments(&form.params);
        let call = quote_spanned!(span=> __function(#(#copies),*));
        return quote!(#krate::declare::Work::Load(#call));
    }
    let load = match &attribute.model {
        Some(Model::Users) => quote!(#krate::load::Load::closed(users).for_script()),
        Some(Model::Rate) => quote!(#krate::load::Load::rate(rate).for_script()),
        // On copies, since the expression may consume values that the script needs.
        Some(Model::Load(load)) => {
            let copies = params::arguments(&form.params);
            let converted = quote_spanned!(load.span()=> #krate::__private::script_load(#load));
            quote!({
                #(let #arguments = #copies;)*
                #converted
            })
        }
        None => TokenStream::new(),
    };
    let outer = params::arguments(&form.params);
    let inner = params::arguments(&form.params);
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
