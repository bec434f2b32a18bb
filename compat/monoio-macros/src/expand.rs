//! From an `async fn` to a function that runs it.

use crate::{
    args::{Args, Driver},
    should_panic::wanted_panic,
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::mem;
use syn::{Error, ItemFn, Result, ReturnType, Signature, Type, parse_quote};

pub(crate) fn or_error(expanded: Result<TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.to_compile_error())
}

/// `#[monoio::main]`.
pub(crate) fn main(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let (args, function) = (Args::parse(args)?, parse(item)?);
    let ItemFn { attrs, vis, mut sig, block } = function;
    sig.asyncness = None;
    if sig.ident == "main" {
        alone(&sig)?;
    }
    let (body, future) = if alone(&sig).is_ok() {
        let output = &sig.output;
        (quote!(async fn body() #output #block), quote!(body()))
    } else {
        (TokenStream::new(), quote!(async #block))
    };
    let call = call(&args, &quote!(main), future);
    let call = on_threads(&args, &sig, call)?;
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            #body
            #call
        }
    })
}

/// `#[monoio::test]`.
pub(crate) fn test(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    one_test(&Args::parse(args)?, parse(item)?)
}

/// `#[monoio::test_all]`.
pub(crate) fn test_all(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let (mut args, function) = (Args::parse(args)?, parse(item)?);
    if args.driver.is_some() {
        return Err(Error::new_spanned(&function.sig.ident, "`test_all` runs on both drivers, and takes no `driver`"));
    }
    let mut tests = TokenStream::new();
    for (prefix, driver) in [("uring", Driver::Uring), ("legacy", Driver::Legacy)] {
        let mut function = function.clone();
        function.sig.ident = format_ident!("{prefix}_{}", function.sig.ident);
        args.driver = Some(driver);
        tests.extend(one_test(&args, function)?);
    }
    Ok(tests)
}

fn one_test(args: &Args, function: ItemFn) -> Result<TokenStream> {
    let ItemFn { attrs, vis, mut sig, block } = function;
    if let Some(second) = attrs.iter().find(|attr| attr.path().is_ident("test")) {
        return Err(Error::new_spanned(second, "the function is a test already: `#[test]` would make a second one"));
    }
    alone(&sig)?;
    let output = mem::replace(&mut sig.output, ReturnType::Default);
    sig.asyncness = None;
    let name = sig.ident.to_string();
    let panic = wanted_panic(&attrs);
    let last = quote!(::core::concat!(::core::module_path!(), "::", #name), #panic, body());
    let call = call(args, &quote!(test), last);
    let call = on_threads(args, &sig, call)?;
    // The compiler wants `#[should_panic]` tests to return nothing at all.
    let call = match returns_nothing(&output) {
        true => quote!(let _ = #call;),
        false => {
            sig.output = parse_quote!(-> ::std::process::ExitCode);
            call
        }
    };
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis #sig {
            async fn body() #output #block
            #call
        }
    })
}

fn parse(item: TokenStream) -> Result<ItemFn> {
    let function: ItemFn = syn::parse2(item)?;
    match function.sig.asyncness {
        Some(_) => Ok(function),
        None => Err(Error::new_spanned(function.sig.fn_token, "the function must be an `async fn`")),
    }
}

/// Whether the function can be called by nobody in particular.
fn alone(sig: &Signature) -> Result<()> {
    if !sig.inputs.is_empty() {
        return Err(Error::new_spanned(&sig.inputs, "the function takes no arguments: nobody is there to give them"));
    }
    if !sig.generics.params.is_empty() {
        let why = "the function takes no generic parameters: nobody is there to choose them";
        return Err(Error::new_spanned(&sig.generics, why));
    }
    Ok(())
}

/// Has a function of `::monoio::__private` run the future.
fn call(args: &Args, how: &TokenStream, last: TokenStream) -> TokenStream {
    let driver = match args.driver.unwrap_or_default() {
        Driver::Uring => quote!(Uring),
        Driver::Legacy => quote!(Legacy),
        Driver::Fusion => quote!(Fusion),
    };
    let entries = args.entries.unwrap_or(1024);
    quote!(::monoio::__private::#how(::monoio::__private::Named::#driver, #entries, #last))
}

/// With more than one thread, each makes the call.
fn on_threads(args: &Args, sig: &Signature, call: TokenStream) -> Result<TokenStream> {
    let Some(threads) = args.threads.filter(|threads| *threads != 1) else { return Ok(call) };
    alone(sig)?;
    if !returns_nothing(&sig.output) {
        return Err(Error::new_spanned(&sig.output, "with several threads the function returns nothing"));
    }
    Ok(quote!(::monoio::__private::on_threads(#threads, || #call)))
}

fn returns_nothing(output: &ReturnType) -> bool {
    match output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => matches!(&**ty, Type::Tuple(tuple) if tuple.elems.is_empty()),
    }
}
