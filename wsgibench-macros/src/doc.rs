//! Extraction of descriptions from doc comments.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// Returns the doc comment as plain text, without the indentation after `///` and with empty lines kept.
pub(crate) fn description(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(line).flat_map(|text| {
        text.lines()
            .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned())
            .collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Returns the attributes that all items generated for the function need: if the function is configured out, so are they.
pub(crate) fn conditions(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|a| a.path().is_ident("cfg")).collect()
}

fn line(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => {
                // An empty `///` is a paragraph break, but `lines` of an empty text yields nothing.
                let text = text.value();
                Some(if text.is_empty() { "\n".into() } else { text })
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::description;

    #[test]
    fn doc_comments_lose_only_their_indentation() {
        let item: syn::ItemFn = syn::parse_quote! {
            /// First line,
            /// second line.
            ///
            ///   Indented.
            #[inline]
            fn f() {}
        };
        assert_eq!(description(&item.attrs), "First line,\nsecond line.\n\n  Indented.");
    }

    #[test]
    fn missing_comment_is_an_empty_description() {
        let item: syn::ItemFn = syn::parse_quote!(
            fn f() {}
        );
        assert_eq!(description(&item.attrs), "");
    }
}
