//! What `#[should_panic]` says. The macros of the package `monoio` in compat/ have this file, too.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Meta, MetaNameValue, Token, punctuated::Punctuated};

/// What a panic of the test has to say, if it is to panic: a test that is skipped has to panic, too, or it would count
/// as failed.
pub(crate) fn wanted_panic<'a>(attrs: impl IntoIterator<Item = &'a Attribute>) -> TokenStream {
    let mut wanted = quote!(::core::option::Option::None);
    for attr in attrs {
        let (condition, metas) = match &attr.meta {
            Meta::List(list) if list.path.is_ident("cfg_attr") => {
                let metas = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap_or_default();
                let mut metas = metas.into_iter();
                (metas.next(), metas.collect())
            }
            meta => (None, vec![meta.clone()]),
        };
        for meta in metas.iter().filter(|meta| meta.path().is_ident("should_panic")) {
            let text = expected(meta);
            let this = quote!(::core::option::Option::Some(#text));
            wanted = match &condition {
                Some(condition) => quote!(if ::core::cfg!(#condition) { #this } else { #wanted }),
                None => this,
            };
        }
    }
    wanted
}

/// The text in `should_panic`, `should_panic = "text"` or `should_panic(expected = "text")`; any panic will do for the
/// first. What else may be written there, the compiler complains of.
fn expected(should_panic: &Meta) -> TokenStream {
    let value = match should_panic {
        Meta::Path(_) => None,
        Meta::NameValue(text) => Some(text.value.clone()),
        Meta::List(list) => list.parse_args::<MetaNameValue>().ok().map(|text| text.value),
    };
    value.map_or_else(|| quote!(""), |value| quote!(#value))
}
