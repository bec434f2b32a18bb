//! From an `async fn` to the functions that run it, as plain functions over tokens.
//!
//! The user's function stays whole, under its own name: names inside it mean what they mean without the attribute,
//! and the compiler's messages point at what was written.

use crate::{
    args::{Args, Shards},
    should_panic::wanted_panic,
};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Error, ItemFn, Meta, Result, ReturnType, Signature, Type};

/// `#[annulus::main]`.
pub(crate) fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    let function: ItemFn = match syn::parse2(item) {
        Ok(function) => function,
        Err(e) => return e.to_compile_error(),
    };
    let Signature { ident, output, .. } = &function.sig;
    let args = match checked(args, &function.sig) {
        Ok(args) => args,
        // Inside of a function, so that "there is no main" is not the first complaint.
        Err(e) => {
            let fault = e.to_compile_error();
            return quote!(fn #ident() { #fault });
        }
    };
    let (krate, driver, entries) = (args.krate(), option(args.driver.as_ref()), option(args.entries.as_ref()));
    let start_paused = option(args.start_paused.as_ref());
    let ItemFn { attrs, vis, sig, block } = &function;
    if let Some((_, shards)) = args.shards {
        let shards = match shards {
            Shards::Cores => option(None::<&usize>),
            Shards::Count(count) => option(Some(&count)),
        };
        let each = match sig.inputs.is_empty() {
            true => quote!(async |_: #krate::shard::Shard| #ident().await),
            false => quote!(#ident),
        };
        return quote! {
            #(#attrs)*
            #vis fn #ident() -> ::std::process::ExitCode {
                #sig #block
                #krate::__private::run_shards(#driver, #entries, #start_paused, #shards, #each)
            }
        };
    }
    quote! {
        #(#attrs)*
        #vis fn #ident() #output {
            #sig #block
            #krate::__private::run_main(#driver, #entries, #start_paused, #ident())
        }
    }
}

/// `#[annulus::test]`.
pub(crate) fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = syn::parse2(item).and_then(|function| tests(args, function));
    expanded.unwrap_or_else(|e| e.to_compile_error())
}

fn tests(args: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let args = checked(args, &function.sig)?;
    if let Some((name, _)) = &args.shards {
        let why = "a test has one runtime on each driver; one that is about shards starts them by `annulus::Shards`";
        return Err(Error::new(name.span(), why));
    }
    let ItemFn { attrs, vis, sig, block } = &function;
    let (of_tests, of_function): (Vec<_>, Vec<_>) = attrs.iter().partition(|attr| is_for_tests(attr));
    let gates = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    let tests = ["uring", "poll"]
        .into_iter()
        .filter(|driver| args.driver.as_deref().is_none_or(|only| only == *driver))
        .map(|driver| one_test(driver, &args, &function.sig, &of_tests));
    let name = &sig.ident;
    // `cfg(test)` is what `#[test]` itself does; the module has a name of its own kind beside the function's.
    Ok(quote! {
        #[cfg(test)]
        #(#of_function)*
        #vis #sig #block

        #[cfg(test)]
        #(#gates)*
        mod #name {
            #(#tests)*
        }
    })
}

/// `fn uring()` or `fn poll()`.
fn one_test(driver: &str, args: &Args, sig: &Signature, attrs: &[&Attribute]) -> TokenStream {
    let (krate, entries, function) = (args.krate(), option(args.entries.as_ref()), &sig.ident);
    let start_paused = option(args.start_paused.as_ref());
    let name = syn::Ident::new(driver, function.span());
    let path = quote!(::core::concat!(::core::module_path!(), "::", #driver));
    let panic = wanted_panic(attrs.iter().copied());
    let run = quote!(#krate::__private::run_test(#path, #driver, #entries, #start_paused, #panic, super::#function));
    // The compiler wants `#[should_panic]` tests to return nothing at all.
    let signature_and_body = match returns_nothing(&sig.output) {
        true => quote!(fn #name() { let _ = #run; }),
        false => quote!(fn #name() -> ::std::process::ExitCode { #run }),
    };
    quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #signature_and_body
    }
}

/// The arguments, if they and the signature are right; else all their faults.
fn checked(args: TokenStream, sig: &Signature) -> Result<Args> {
    let args = Args::parse(args);
    let shards = args.as_ref().is_ok_and(|args| args.shards.is_some());
    match (args, check_signature(sig, shards)) {
        (args, Ok(())) => args,
        (Ok(_), Err(e)) => Err(e),
        (Err(mut first), Err(second)) => {
            first.combine(second);
            Err(first)
        }
    }
}

/// With `shards`, the function may ask which of them it is.
fn check_signature(sig: &Signature, shards: bool) -> Result<()> {
    let fault = |at: &dyn ToTokens, what: &str| Err(Error::new_spanned(at.to_token_stream(), what));
    if sig.asyncness.is_none() {
        return fault(&sig.fn_token, "the function must be an `async fn`");
    }
    if shards && sig.inputs.len() > 1 {
        return fault(&sig.inputs, "the function takes one argument at most, the `annulus::shard::Shard` that it is");
    }
    if !shards && !sig.inputs.is_empty() {
        return fault(&sig.inputs, "the function takes no arguments: nobody is there to give them");
    }
    if !sig.generics.params.is_empty() {
        return fault(&sig.generics, "the function takes no generic parameters: nobody is there to choose them");
    }
    if let Some(word) = &sig.unsafety {
        return fault(word, "the function cannot be `unsafe`: nobody is there to keep its contract");
    }
    Ok(())
}

/// Whether the attribute speaks to the test harness.
fn is_for_tests(attr: &Attribute) -> bool {
    let speaks = |name: &str| matches!(name, "should_panic" | "ignore");
    match &attr.meta {
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            list.tokens.clone().into_iter().any(|token| speaks(&token.to_string()))
        }
        meta => meta.path().get_ident().is_some_and(|ident| speaks(&ident.to_string())),
    }
}

fn returns_nothing(output: &ReturnType) -> bool {
    match output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => matches!(&**ty, Type::Tuple(tuple) if tuple.elems.is_empty()),
    }
}

fn option(value: Option<&impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same tokens, whatever the spaces.
    fn same(left: TokenStream, right: TokenStream) {
        assert_eq!(left.to_string(), right.to_string());
    }

    #[test]
    fn main_keeps_the_function_whole() {
        let expanded = main(
            quote!(driver = "poll", entries = 8, start_paused = true, crate = other::path),
            quote! { #[allow(unused)] pub async fn main() -> io::Result<()> { work().await } },
        );
        same(
            expanded,
            quote! {
                #[allow(unused)]
                pub fn main() -> io::Result<()> {
                    async fn main() -> io::Result<()> { work().await }
                    other::path::__private::run_main(
                        ::core::option::Option::Some("poll"), ::core::option::Option::Some(8u32),
                        ::core::option::Option::Some(true), main()
                    )
                }
            },
        );
    }

    #[test]
    fn main_without_arguments_leaves_everything_open() {
        let text = main(quote!(driver = "auto"), quote! { async fn main() {} }).to_string();
        let call = quote! {
            ::annulus::__private::run_main(
                ::core::option::Option::None, ::core::option::Option::None, ::core::option::Option::None, main()
            )
        };
        assert!(text.contains(&call.to_string()), "{text}");
    }

    #[test]
    fn with_shards_main_gives_an_exit_code() {
        let expanded = main(quote!(shards = 2), quote! { async fn main() -> io::Result<()> { work().await } });
        same(
            expanded,
            quote! {
                fn main() -> ::std::process::ExitCode {
                    async fn main() -> io::Result<()> { work().await }
                    ::annulus::__private::run_shards(
                        ::core::option::Option::None, ::core::option::Option::None, ::core::option::Option::None,
                        ::core::option::Option::Some(2usize),
                        async |_: ::annulus::shard::Shard| main().await
                    )
                }
            },
        );
        let asks = quote! { async fn main(shard: Shard<Message>) {} };
        let text = main(quote!(worker_threads = "cores"), asks.clone()).to_string();
        assert!(text.contains(":: core :: option :: Option :: None , main)"), "{text}");
        for (args, function, why) in [
            (quote!(), asks, "takes no arguments"),
            (quote!(shards = 2), quote! { async fn main(a: u8, b: u8) {} }, "one argument at most"),
        ] {
            let text = main(args, function).to_string();
            assert!(text.contains("compile_error") && text.contains(why), "{text}");
        }
        let text = test(quote!(shards = 2), quote! { async fn one() {} }).to_string();
        assert!(text.contains("compile_error") && text.contains("annulus::Shards"), "{text}");
    }

    #[test]
    fn a_test_runs_on_both_drivers() {
        let expanded = test(quote!(), quote! { #[cfg(unix)] #[doc = "x"] #[ignore] async fn echo() { body() } });
        same(
            expanded,
            quote! {
                #[cfg(test)]
                #[cfg(unix)]
                #[doc = "x"]
                async fn echo() { body() }

                #[cfg(test)]
                #[cfg(unix)]
                mod echo {
                    #[::core::prelude::v1::test]
                    #[ignore]
                    fn uring() {
                        let _ = ::annulus::__private::run_test(
                            ::core::concat!(::core::module_path!(), "::", "uring"),
                            "uring", ::core::option::Option::None, ::core::option::Option::None,
                            ::core::option::Option::None, super::echo
                        );
                    }
                    #[::core::prelude::v1::test]
                    #[ignore]
                    fn poll() {
                        let _ = ::annulus::__private::run_test(
                            ::core::concat!(::core::module_path!(), "::", "poll"),
                            "poll", ::core::option::Option::None, ::core::option::Option::None,
                            ::core::option::Option::None, super::echo
                        );
                    }
                }
            },
        );
    }

    #[test]
    fn a_named_driver_leaves_one_test() {
        for (only, other) in [("uring", "poll"), ("poll", "uring")] {
            let text = test(quote!(driver = #only), quote! { async fn echo() {} }).to_string();
            assert!(text.contains(&format!("fn {only} ()")) && !text.contains(&format!("fn {other} ()")), "{text}");
        }
        let text = test(quote!(driver = "auto"), quote! { async fn echo() {} }).to_string();
        assert!(text.contains("fn uring ()") && text.contains("fn poll ()"));
    }

    #[test]
    fn a_returned_value_becomes_an_exit_code() {
        let text = test(quote!(), quote! { async fn echo() -> Result<(), String> { Ok(()) } }).to_string();
        assert_eq!(text.matches("() -> :: std :: process :: ExitCode").count(), 2);
        let text = test(quote!(), quote! { #[should_panic] async fn echo() -> () {} }).to_string();
        assert!(!text.contains("ExitCode"));
        assert_eq!(text.matches("should_panic").count(), 2);
    }

    /// Red when a test that is skipped would not panic as the harness wants it to.
    #[test]
    fn the_panic_that_is_wanted_is_handed_on() {
        let cases = [
            (quote!(#[should_panic]), quote!(Some(""))),
            (quote!(#[should_panic = "so"]), quote!(Some("so"))),
            (quote!(#[should_panic(expected = "so")]), quote!(Some("so"))),
        ];
        for (attr, wanted) in cases {
            let text = test(quote!(driver = "uring"), quote! { #attr async fn f() {} }).to_string();
            let wanted = format!(":: core :: option :: Option :: {wanted} , super :: f");
            assert!(text.contains(&wanted), "{text}");
        }
        let conditional = quote! { #[cfg_attr(a, ignore, should_panic(expected = "so"))] async fn f() {} };
        let text = test(quote!(driver = "uring"), conditional).to_string();
        let wanted = quote! {
            if ::core::cfg!(a) { ::core::option::Option::Some("so") } else { ::core::option::Option::None }, super::f
        };
        assert!(text.contains(&wanted.to_string()), "{text}");
    }

    #[test]
    fn conditional_attributes_go_where_the_plain_ones_go() {
        let text = test(
            quote!(driver = "poll"),
            quote! { #[cfg_attr(miri, ignore)] #[cfg_attr(x, allow(dead_code))] async fn f() {} },
        )
        .to_string();
        let module = text.find("mod f").unwrap();
        assert!(text.find("miri").unwrap() > module && text.find("dead_code").unwrap() < module);
    }

    /// The fault of a function, and the place it points to, for `main` and for `test`.
    fn faults(function: TokenStream) -> [String; 2] {
        [main(quote!(), function.clone()), test(quote!(), function)].map(|t| t.to_string())
    }

    #[test]
    fn a_wrong_signature_is_refused() {
        let wrong = [
            (quote! { fn main() {} }, "must be an `async fn`"),
            (quote! { async fn main(x: u8) {} }, "takes no arguments"),
            (quote! { async fn main(&self) {} }, "takes no arguments"),
            (quote! { async fn main<T>() {} }, "takes no generic parameters"),
            (quote! { async unsafe fn main() {} }, "cannot be `unsafe`"),
            (quote! { struct Main; }, "expected"),
        ];
        for (function, why) in wrong {
            for text in faults(function) {
                assert!(text.contains("compile_error") && text.contains(why), "{why}: {text}");
                assert!(!text.contains("__private"), "{text}");
            }
        }
    }

    #[test]
    fn the_fault_points_at_the_word() {
        let parsed: ItemFn = syn::parse_str("pub fn main() {}").unwrap();
        let span = check_signature(&parsed.sig, false).unwrap_err().span();
        assert_eq!((span.start().column, span.end().column), (4, 6));
        let parsed: ItemFn = syn::parse_str("async fn main(argc: u8) {}").unwrap();
        let span = check_signature(&parsed.sig, false).unwrap_err().span();
        assert_eq!(span.start().column, 14);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let text = test(quote!(threads = 2), quote! { fn f() {} }).to_string();
        assert!(text.contains("unknown argument `threads`") && text.contains("must be an `async fn`"), "{text}");
    }

    #[test]
    fn a_wrong_main_is_still_a_main() {
        let text = main(quote!(entries = 0), quote! { async fn main() {} }).to_string();
        assert!(text.starts_with("fn main ()") && text.contains("compile_error"), "{text}");
    }
}
