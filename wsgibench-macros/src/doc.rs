//! Doc comments become descriptions.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The doc comment as plain text: the indentation that `///` leaves is gone, empty lines stay.
pub(crate) fn description(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(line).flat_map(|text| {
        text.lines()
            .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned())
            .collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The attributes that must stand on everything made for the item: where the function is configured away, so is the rest.
pub(crate) fn conditions(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|a| a.path().is_ident("cfg")).collect()
}

fn line(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text), ..
            }) => {
                // An empty `///` is a paragraph break, and `lines` of an empty text gives none.
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
    fn doc_comments_lose_their_indentation_only() {
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
    fn no_comment_is_an_empty_description() {
        let item: syn::ItemFn = syn::parse_quote!(
            fn f() {}
        );
        assert_eq!(description(&item.attrs), "");
    }
}
