//! Requirements of both attributes on the function.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{GenericParam, ItemFn, Path, ReturnType, Safety, Signature, Type, ext::IdentExt, parse2};

use crate::{doc, errors::Errors};

/// Parses the item. Anything except a function with a body is an error on the keyword of the item.
pub(crate) fn parse(attribute: &str, shape: &str, item: &TokenStream) -> Result<ItemFn, syn::Error> {
    if let Ok(function) = parse2::<ItemFn>(item.clone()) {
        return Ok(function);
    }
    // The keyword (`struct`, `mod`) is the token to point at, not the doc comment or the visibility.
    let keyword = parse2::<syn::Item>(item.clone()).ok().map(|item| keyword(&item));
    let text = match &keyword {
        Some((_, word)) => {
            format!("`#[{attribute}]` is only supported on functions, but this is {word}; write `{shape}`")
        }
        None => format!("`#[{attribute}]` needs a function with a body; write `{shape}`"),
    };
    Err(match keyword {
        Some((Some(tokens), _)) => syn::Error::new_spanned(tokens, text),
        _ => syn::Error::new_spanned(item, text),
    })
}

fn keyword(item: &syn::Item) -> (Option<TokenStream>, &'static str) {
    use syn::Item;
    match item {
        Item::Struct(i) => (Some(i.ident.to_token_stream()), "a struct"),
        Item::Enum(i) => (Some(i.ident.to_token_stream()), "an enum"),
        Item::Union(i) => (Some(i.ident.to_token_stream()), "a union"),
        Item::Const(i) => (Some(i.ident.to_token_stream()), "a constant"),
        Item::Static(i) => (Some(i.ident.to_token_stream()), "a static"),
        Item::Mod(i) => (Some(i.ident.to_token_stream()), "a module"),
        Item::Trait(i) => (Some(i.ident.to_token_stream()), "a trait"),
        Item::Type(i) => (Some(i.ident.to_token_stream()), "a type alias"),
        Item::Impl(i) => (Some(i.impl_token.to_token_stream()), "an impl block"),
        Item::Use(i) => (Some(i.use_token.to_token_stream()), "an import"),
        _ => (None, "another item"),
    }
}

/// Returns the fields of a registry entry that say what was declared, and where.
pub(crate) fn origin(krate: &Path, function: &ItemFn) -> TokenStream {
    let name = function.sig.ident.unraw().to_string();
    let description = doc::description(&function.attrs);
    quote! {
        name: #name,
        module: ::core::module_path!(),
        location: #krate::declare::Location {
            file: ::core::file!(),
            line: ::core::line!(),
            column: ::core::column!(),
        },
        manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
        description: #description,
    }
}

/// Rejects functions that neither attribute can call: generics, `self`, `unsafe`, `extern`, variadics.
pub(crate) fn check(attribute: &str, signature: &Signature, errors: &mut Errors) {
    if let Safety::Unsafe(token) = &signature.safety {
        errors.at(
            token,
            format!("`#[{attribute}]` functions are called by the harness and cannot be `unsafe`; use an `unsafe` block inside"),
        );
    }
    if let Some(abi) = &signature.abi {
        errors.at(
            abi,
            format!("`#[{attribute}]` functions are plain Rust functions; remove the `extern`"),
        );
    }
    if let Some(dots) = &signature.variadic {
        errors.at(dots, format!("`#[{attribute}]` functions cannot be variadic"));
    }
    if let Some(receiver) = signature.receiver() {
        errors.at(
            receiver,
            format!("`#[{attribute}]` is not supported on methods; move it out of the `impl` block and remove `self`"),
        );
    }
    for parameter in &signature.generics.params {
        match parameter {
            // `async fn f<'a>(user: &'a mut User)` is equivalent to the elided form.
            GenericParam::Lifetime(lifetime) if lifetime.bounds.is_empty() && signature.asyncness.is_some() => {}
            other => errors.at(
                other,
                format!(
                    "`#[{attribute}]` functions cannot be generic, since the harness calls them without type arguments"
                ),
            ),
        }
    }
    if let Some(clause) = &signature.generics.where_clause {
        errors.at(
            clause,
            format!("`#[{attribute}]` functions cannot have a `where` clause"),
        );
    }
}

/// Whether the type is a path that ends with `name`.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == name),
        Type::Paren(inner) => is_named(&inner.elem, name),
        _ => false,
    }
}

/// Returns the return type as written, if any.
pub(crate) fn returned(signature: &Signature) -> Option<&Type> {
    match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(ty),
    }
}

/// Returns the tokens to point at for a wrong return type: the type, or the name of a function without one.
pub(crate) fn return_tokens(signature: &Signature) -> TokenStream {
    returned(signature).map_or_else(|| signature.ident.to_token_stream(), ToTokens::to_token_stream)
}
