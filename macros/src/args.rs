//! The arguments between the parentheses: `driver = "poll", entries = 64, start_paused = true, crate = path`.

use proc_macro2::TokenStream;
use syn::{
    Error, Ident, LitBool, LitInt, LitStr, Path, Result, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    parse_quote,
};

const KNOWN: &str = "the arguments are `driver`, `entries`, `start_paused`, `shards` (or `worker_threads`) and `crate`";

/// What the arguments say; `None` leaves it open.
#[derive(Default)]
pub(crate) struct Args {
    /// `uring` or `poll`.
    pub(crate) driver: Option<String>,
    pub(crate) entries: Option<u32>,
    pub(crate) start_paused: Option<bool>,
    /// How many shards, with the word that asked for them.
    pub(crate) shards: Option<(Ident, Shards)>,
    krate: Option<Path>,
}

/// How many shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shards {
    /// One for each CPU.
    Cores,
    Count(usize),
}

impl Args {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Args> {
        parse.parse2(tokens)
    }

    /// The path to annulus.
    pub(crate) fn krate(&self) -> Path {
        self.krate.clone().unwrap_or_else(|| parse_quote!(::annulus))
    }
}

fn parse(input: ParseStream<'_>) -> Result<Args> {
    let mut args = Args::default();
    let mut seen: Vec<Ident> = Vec::new();
    while !input.is_empty() {
        let name = input.call(Ident::parse_any)?;
        if seen.contains(&name) {
            return Err(Error::new(name.span(), format!("`{name}` is given twice")));
        }
        match name.to_string().as_str() {
            "driver" => args.driver = value(input, &name, driver)?,
            "entries" => args.entries = Some(value(input, &name, entries)?),
            "start_paused" => args.start_paused = Some(value(input, &name, start_paused)?),
            "shards" | "worker_threads" => {
                if let Some((first, _)) = &args.shards {
                    let why = format!("`{name}` is another name of `{first}`, which is given already");
                    return Err(Error::new(name.span(), why));
                }
                args.shards = Some((name.clone(), value(input, &name, shards)?));
            }
            "crate" => args.krate = Some(value(input, &name, krate)?),
            _ => return Err(Error::new(name.span(), format!("unknown argument `{name}`: {KNOWN}"))),
        }
        seen.push(name);
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(args)
}

/// The value after `name =`.
fn value<T>(input: ParseStream<'_>, name: &Ident, parse: fn(ParseStream<'_>) -> Result<T>) -> Result<T> {
    if input.parse::<Option<Token![=]>>()?.is_none() || input.is_empty() {
        return Err(Error::new(name.span(), format!("`{name}` wants a value: `{name} = …`")));
    }
    parse(input)
}

fn driver(input: ParseStream<'_>) -> Result<Option<String>> {
    const WANTED: &str = "`driver` is \"uring\", \"poll\" or \"auto\"";
    let name: LitStr = input.parse().map_err(|e| Error::new(e.span(), WANTED))?;
    match name.value().as_str() {
        "auto" => Ok(None),
        "uring" | "poll" => Ok(Some(name.value())),
        _ => Err(Error::new(name.span(), WANTED)),
    }
}

fn entries(input: ParseStream<'_>) -> Result<u32> {
    const WANTED: &str = "`entries` is a number from 1 to 4294967295";
    let number: LitInt = input.parse().map_err(|e| Error::new(e.span(), WANTED))?;
    match number.base10_parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Error::new(number.span(), WANTED)),
    }
}

fn start_paused(input: ParseStream<'_>) -> Result<bool> {
    const WANTED: &str = "`start_paused` is true or false";
    Ok(input.parse::<LitBool>().map_err(|e| Error::new(e.span(), WANTED))?.value)
}

fn shards(input: ParseStream<'_>) -> Result<Shards> {
    const WANTED: &str = "the number of shards is a number from 1, or \"cores\"";
    if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        return if text.value() == "cores" { Ok(Shards::Cores) } else { Err(Error::new(text.span(), WANTED)) };
    }
    let number: LitInt = input.parse().map_err(|e| Error::new(e.span(), WANTED))?;
    match number.base10_parse() {
        Ok(n) if n > 0 => Ok(Shards::Count(n)),
        _ => Err(Error::new(number.span(), WANTED)),
    }
}

fn krate(input: ParseStream<'_>) -> Result<Path> {
    const WANTED: &str = "`crate` is a path, with or without quotes";
    if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        return text.parse_with(Path::parse_mod_style).map_err(|_| Error::new(text.span(), WANTED));
    }
    input.call(Path::parse_mod_style).map_err(|e| Error::new(e.span(), WANTED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{ToTokens, quote};

    fn fault(tokens: TokenStream) -> String {
        Args::parse(tokens).err().expect("a fault").to_string()
    }

    #[test]
    fn all_arguments_are_understood() {
        let args = Args::parse(quote!(driver = "poll", entries = 0x40, start_paused = true, crate = a::b,)).unwrap();
        assert_eq!((args.driver.as_deref(), args.entries, args.start_paused), (Some("poll"), Some(64), Some(true)));
        assert_eq!(args.krate().into_token_stream().to_string(), "a :: b");
        let args = Args::parse(quote!(crate = "::x::y", driver = "auto")).unwrap();
        assert_eq!((args.driver, args.entries.is_none()), (None, true));
        assert_eq!(args.krate.into_token_stream().to_string(), ":: x :: y");
        assert_eq!(Args::parse(quote!()).unwrap().krate().into_token_stream().to_string(), ":: annulus");
    }

    #[test]
    fn shards_have_two_names() {
        for (tokens, wanted) in [
            (quote!(shards = 4), Shards::Count(4)),
            (quote!(worker_threads = 4, driver = "poll"), Shards::Count(4)),
            (quote!(shards = "cores"), Shards::Cores),
        ] {
            assert_eq!(Args::parse(tokens).unwrap().shards.unwrap().1, wanted);
        }
        let both = fault(quote!(shards = 2, worker_threads = 2));
        assert_eq!(both, "`worker_threads` is another name of `shards`, which is given already");
    }

    #[test]
    fn an_unknown_argument_names_the_known_ones() {
        for tokens in [quote!(threads = 4), quote!(flavor = "x"), quote!(entries = 4, workers)] {
            let told = "`driver`, `entries`, `start_paused`, `shards` (or `worker_threads`) and `crate`";
            assert!(fault(tokens).ends_with(told));
        }
    }

    #[test]
    fn a_wrong_value_says_what_is_right() {
        for tokens in [quote!(driver = "kqueue"), quote!(driver = 3), quote!(driver = uring)] {
            assert_eq!(fault(tokens), "`driver` is \"uring\", \"poll\" or \"auto\"");
        }
        for tokens in [quote!(entries = 0), quote!(entries = -1), quote!(entries = "8"), quote!(entries = 5000000000)] {
            assert_eq!(fault(tokens), "`entries` is a number from 1 to 4294967295");
        }
        for tokens in [quote!(start_paused = 1), quote!(start_paused = "true")] {
            assert_eq!(fault(tokens), "`start_paused` is true or false");
        }
        for tokens in [quote!(shards = 0), quote!(worker_threads = "all"), quote!(shards = cores), quote!(shards = -1)]
        {
            assert_eq!(fault(tokens), "the number of shards is a number from 1, or \"cores\"");
        }
        for tokens in [quote!(crate = 5), quote!(crate = "a b"), quote!(crate = "")] {
            assert_eq!(fault(tokens), "`crate` is a path, with or without quotes");
        }
    }

    #[test]
    fn a_missing_or_second_value_is_refused() {
        assert_eq!(fault(quote!(entries)), "`entries` wants a value: `entries = …`");
        assert_eq!(fault(quote!(driver =)), "`driver` wants a value: `driver = …`");
        assert_eq!(fault(quote!(entries = 1, entries = 2)), "`entries` is given twice");
        assert_eq!(fault(quote!(entries = 1 driver = "poll")), "expected `,`");
    }
}
