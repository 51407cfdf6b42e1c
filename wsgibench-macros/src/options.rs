//! Attribute options: `name`, `name = value` and `name(...)`, separated by commas, with recovery after each mistake.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Expr, Ident, Token,
    ext::IdentExt,
    parenthesized,
    parse::{ParseStream, Parser},
    token,
};

use crate::errors::Errors;

/// One option.
pub(crate) struct Opt {
    pub(crate) name: Ident,
    pub(crate) value: Value,
}

/// The part after an option's name.
pub(crate) enum Value {
    /// Nothing.
    Flag,
    /// `= value`.
    Expr(Expr),
    /// `(...)`, not parsed yet.
    List(TokenStream),
}

impl ToTokens for Opt {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let name = &self.name;
        tokens.extend(match &self.value {
            Value::Flag => quote!(#name),
            Value::Expr(value) => quote!(#name = #value),
            // Without the parentheses: these tokens are only pointed at, and new tokens would point at the whole attribute.
            Value::List(inner) => quote!(#name #inner),
        });
    }
}

/// Returns the options in order. Invalid ones are reported and skipped; the options after them are still read.
pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Vec<Opt> {
    let parser = |input: ParseStream<'_>| {
        let mut options = Vec::new();
        while !input.is_empty() {
            match one(input) {
                Ok(option) => options.push(option),
                Err(error) => {
                    errors.add(error);
                    skip_to_comma(input)?;
                }
            }
            if !input.is_empty() && input.parse::<Token![,]>().is_err() {
                errors.add(input.error("expected `,` between options"));
                skip_to_comma(input)?;
                let _: Option<Token![,]> = input.parse()?;
            }
        }
        Ok(options)
    };
    match parser.parse2(tokens) {
        Ok(options) => options,
        Err(error) => {
            errors.add(error);
            Vec::new()
        }
    }
}

fn one(input: ParseStream<'_>) -> syn::Result<Opt> {
    let name = Ident::parse_any(input).map_err(|e| {
        syn::Error::new(
            e.span(),
            "expected an option: `name = value`, e.g. `connections = [64, 100]` or `tags = [\"fast\"]`",
        )
    })?;
    let value = if input.peek(token::Paren) {
        let inner;
        parenthesized!(inner in input);
        Value::List(inner.parse()?)
    } else if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new(name.span(), format!("`{name} =` is missing its value")));
        }
        Value::Expr(input.parse()?)
    } else {
        Value::Flag
    };
    Ok(Opt { name, value })
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// Passes each option with its name to `take`, and reports those given twice. Returns the names.
pub(crate) fn each(
    options: Vec<Opt>,
    errors: &mut Errors,
    mut take: impl FnMut(&Opt, &str, &mut Errors),
) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for option in options {
        let name = option.name.unraw().to_string();
        if seen.contains(&name) {
            errors.at(&option.name, format!("`{name}` is given twice; join both into one"));
            continue;
        }
        take(&option, &name, errors);
        seen.push(name);
    }
    seen
}

/// Returns the path of the harness, by default `::wsgibench_harness`.
pub(crate) fn default_crate() -> syn::Path {
    syn::parse_quote!(::wsgibench_harness)
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};

    use super::{Errors, parse};

    #[test]
    fn all_three_forms_are_parsed() {
        let mut errors = Errors::default();
        let options = parse(quote!(a, b = [1, 2], c(d = 1), crate = x::y,), &mut errors);
        assert!(errors.is_empty());
        let texts: Vec<_> = options.iter().map(|o| o.to_token_stream().to_string()).collect();
        assert_eq!(texts, ["a", "b = [1 , 2]", "c d = 1", "crate = x :: y"]);
    }

    #[test]
    fn options_after_a_mistake_are_parsed() {
        let mut errors = Errors::default();
        let options = parse(quote!("x" = 3, b =, c = [1] oops, d = 1), &mut errors);
        assert_eq!(
            options.iter().map(|o| o.name.to_string()).collect::<Vec<_>>(),
            ["c", "d"]
        );
        assert_eq!(errors.into_tokens().to_string().matches("compile_error").count(), 3);
    }
}
