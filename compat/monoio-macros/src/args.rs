//! The arguments between the parentheses.

use proc_macro2::TokenStream;
use syn::{
    Error, Ident, Lit, Result, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
};

/// Which driver is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Driver {
    Uring,
    Legacy,
    #[default]
    Fusion,
}

/// What the arguments say; `None` leaves it open.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) driver: Option<Driver>,
    pub(crate) entries: Option<u32>,
    /// How many threads run the body; 0 is one for each CPU.
    pub(crate) threads: Option<usize>,
    timer: Option<bool>,
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Args> {
        parse.parse2(tokens)
    }
}

fn parse(input: ParseStream<'_>) -> Result<Args> {
    const KNOWN: &str = "the arguments are `driver`, `entries`, `threads` (or `worker_threads`, `workers`) and \
                         `timer_enabled` (or `enable_timer`, `timer`)";
    let mut args = Args::default();
    while !input.is_empty() {
        let name = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        let value: Lit = input.parse()?;
        match name.to_string().to_lowercase().as_str() {
            "driver" => once(&mut args.driver, &name, driver(&value)?)?,
            "entries" => once(&mut args.entries, &name, entries(&value)?)?,
            "threads" | "worker_threads" | "workers" => once(&mut args.threads, &name, threads(&value)?)?,
            "timer_enabled" | "enable_timer" | "timer" => once(&mut args.timer, &name, timer(&value)?)?,
            _ => return Err(Error::new(name.span(), format!("unknown argument `{name}`: {KNOWN}"))),
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(args)
}

fn once<T>(slot: &mut Option<T>, name: &Ident, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(name.span(), format!("`{name}` is given twice, by this name or another of its own"))),
    }
}

fn driver(value: &Lit) -> Result<Driver> {
    let name = if let Lit::Str(name) = value { name.value().to_lowercase() } else { String::new() };
    match name.as_str() {
        "legacy" => Ok(Driver::Legacy),
        "uring" | "io_uring" | "iouring" => Ok(Driver::Uring),
        "fusion" | "auto" | "detect" => Ok(Driver::Fusion),
        _ => Err(Error::new(value.span(), "`driver` is \"uring\", \"legacy\" or \"fusion\"")),
    }
}

fn entries(value: &Lit) -> Result<u32> {
    let number = if let Lit::Int(number) = value { number.base10_parse().unwrap_or(0) } else { 0 };
    match number {
        0 => Err(Error::new(value.span(), "`entries` is a number from 1 to 4294967295")),
        number => Ok(number),
    }
}

fn threads(value: &Lit) -> Result<usize> {
    const WANTED: &str = "the number of threads is a number; 0 is one for each CPU";
    let Lit::Int(number) = value else { return Err(Error::new(value.span(), WANTED)) };
    number.base10_parse().map_err(|_| Error::new(value.span(), WANTED))
}

fn timer(value: &Lit) -> Result<bool> {
    match value {
        Lit::Bool(value) => Ok(value.value),
        _ => Err(Error::new(value.span(), "whether there is a timer is true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn fault(tokens: TokenStream) -> String {
        Args::parse(tokens).expect_err("a fault").to_string()
    }

    #[test]
    fn arguments_have_several_names_in_any_case() {
        for tokens in [
            quote!(driver = "io_uring", entries = 512, worker_threads = 2, timer_enabled = true),
            quote!(DRIVER = "Uring", Entries = 0x200, threads = 2, enable_timer = false),
            quote!(driver = "iouring", entries = 512, workers = 2, timer = true,),
        ] {
            let args = Args::parse(tokens).unwrap();
            assert_eq!((args.driver, args.entries, args.threads), (Some(Driver::Uring), Some(512), Some(2)));
        }
        for auto in ["fusion", "auto", "detect"] {
            assert_eq!(Args::parse(quote!(driver = #auto)).unwrap().driver, Some(Driver::Fusion));
        }
        assert_eq!(Args::parse(quote!(driver = "legacy", threads = 0)).unwrap().threads, Some(0));
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(fault(quote!(flavor = "x")).ends_with("`timer_enabled` (or `enable_timer`, `timer`)"));
        assert!(fault(quote!(threads = 2, workers = 2)).starts_with("`workers` is given twice"));
        assert!(fault(quote!(driver = "epoll")).contains("\"uring\", \"legacy\" or \"fusion\""));
        assert!(fault(quote!(driver = 4)).contains("\"uring\", \"legacy\" or \"fusion\""));
        for tokens in [quote!(entries = 0), quote!(entries = "8"), quote!(entries = 5000000000)] {
            assert_eq!(fault(tokens), "`entries` is a number from 1 to 4294967295");
        }
        assert!(fault(quote!(threads = "all")).contains("0 is one for each CPU"));
        assert_eq!(fault(quote!(timer = 1)), "whether there is a timer is true or false");
    }
}
