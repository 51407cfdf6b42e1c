//! `#[scenario]`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{errors::Errors, function, options};

mod attribute;
mod emit;
mod form;

pub(crate) fn expand(tokens: TokenStream, item: &TokenStream) -> TokenStream {
    let function = match function::parse("scenario", form::DECLARED_SHAPE, item) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    let mut errors = Errors::default();
    let form = form::read(&function.sig, &mut errors);
    let options = options::parse(tokens, &mut errors);
    let attribute = attribute::read(options, &form, &mut errors);
    if !errors.is_empty() {
        let errors = errors.into_tokens();
        return quote!(#item #errors);
    }
    let registration = emit::registration(&function, &form, &attribute);
    quote!(#item #registration)
}
