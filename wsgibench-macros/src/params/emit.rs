//! Generation of the loops over all values.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Path, spanned::Spanned};

use super::{List, Params, Values};

/// Returns a copy of each parameter, as arguments of a call.
pub(crate) fn arguments(params: &Params) -> Vec<TokenStream> {
    params
        .list
        .iter()
        .map(|param| {
            let ident = &param.ident;
            quote!(::core::clone::Clone::clone(&#ident))
        })
        .collect()
}

/// Generates the nested loops over cases and lists, in which each value is evaluated once, and a vector of what `item` makes of each set:
/// it gets the name of the case with the parameters that it replaces in the id, and the texts of all values. The function is
/// `__function` in it.
pub(crate) fn sets(
    krate: &Path,
    params: &Params,
    values: &Values,
    item: impl Fn(TokenStream, TokenStream) -> TokenStream,
) -> TokenStream {
    let function = &params.function;
    let lists: Vec<ListCode> = values
        .lists
        .iter()
        .enumerate()
        .map(|(i, list)| ListCode::new(krate, params, i, list))
        .collect();
    let definitions = lists.iter().map(|list| &list.definition);
    let (case_list, case_open, case_name) = cases(params, values);
    let texts = texts(krate, params, values);
    // Built from the inside out: the innermost body, wrapped in one loop for each list, in the order of the options.
    let item = item(case_name, quote!(__values));
    let body = quote! {
        let __values: ::std::vec::Vec<(::std::string::String, ::std::string::String)> = ::std::vec![#(#texts),*];
        __sets.push(#item);
    };
    let looped = lists.iter().rev().fold(body, |inner, list| {
        let (variable, name) = (&list.variable, &list.name);
        quote!(for #variable in ::core::clone::Clone::clone(&#name) { #inner })
    });
    let looped = match case_open {
        Some(open) => quote!(for #open in __cases { #looped }),
        None => looped,
    };
    quote! {
        // Under a private name, since a parameter may have the name of the function.
        let __function = #function;
        let mut __sets = ::std::vec::Vec::new();
        #(#definitions)*
        #case_list
        #looped
        __sets
    }
}

/// A list in the body of the generated function.
struct ListCode {
    /// Name of the vector.
    name: syn::Ident,
    /// Its definition.
    definition: TokenStream,
    /// Name of the value inside the loop: the user's parameter.
    variable: syn::Ident,
}

impl ListCode {
    fn new(krate: &Path, params: &Params, index: usize, list: &List) -> Self {
        let name = format_ident!("__axis_{index}");
        let param = params.get(&list.name);
        let variable = param.map_or_else(|| format_ident!("{}", list.name), |param| param.ident.clone());
        let ty = match param {
            Some(param) => {
                let ty = &param.ty;
                quote!(#ty)
            }
            None if list.name == "users" => quote!(usize),
            None => quote!(_),
        };
        let definition = match &list.values {
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
        Self {
            name,
            definition,
            variable,
        }
    }
}

/// Returns the list of named cases, the pattern of its loop, and the name with the parameters that it replaces in the id.
fn cases(params: &Params, values: &Values) -> (TokenStream, Option<TokenStream>, TokenStream) {
    let Some(first) = values.cases.first() else {
        return (TokenStream::new(), None, quote!(::core::option::Option::None));
    };
    let given: Vec<_> = params
        .list
        .iter()
        .filter(|param| first.value(&param.name()).is_some())
        .collect();
    let types = given.iter().map(|param| &param.ty);
    let rows = values.cases.iter().map(|case| {
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

/// Returns the texts of all values: lists without a parameter (a script's load model) first, then the parameters in the function's order.
fn texts(krate: &Path, params: &Params, values: &Values) -> Vec<TokenStream> {
    let model = values.lists.iter().filter(|list| params.get(&list.name).is_none());
    let model = model.map(|list| (list.name.clone(), format_ident!("{}", list.name)));
    let named = params.list.iter().map(|param| (param.name(), param.ident.clone()));
    model
        .chain(named)
        .map(|(name, ident)| {
            let span = params.get(&name).map_or_else(Span::call_site, |param| param.ty.span());
            let text = quote_spanned!(span=> #krate::declare::ParamValue::text(&#ident));
            quote!((::std::string::String::from(#name), #text))
        })
        .collect()
}
