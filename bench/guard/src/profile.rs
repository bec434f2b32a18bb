//! Where the instructions are: by function, and by line.

use std::collections::HashMap;

/// How many lines of each list are printed.
const LONGEST: usize = 40;

/// Prints it, for so many operations. A place is an address in this program's file and how often it was executed.
pub fn print(places: &[(u64, u32)], ops: f64) -> Result<(), Box<dyn std::error::Error>> {
    let program = addr2line::Loader::new(std::env::current_exe()?)?;
    let (mut functions, mut lines) = (HashMap::new(), HashMap::new());
    for &(place, count) in places {
        // The first frame is the function that was inlined into all others.
        let frame = program.find_frames(place).ok().and_then(|mut frames| frames.next().ok().flatten());
        let name = frame.as_ref().and_then(|frame| Some(frame.function.as_ref()?.demangle().ok()?.into_owned()));
        let name =
            name.or_else(|| Some(addr2line::demangle_auto(program.find_symbol(place)?.into(), None).into_owned()));
        let name = name.unwrap_or_else(|| "?".into());
        let location = frame.as_ref().and_then(|frame| frame.location.as_ref());
        let file = location.and_then(|at| at.file).map_or("?", short);
        let line = location.and_then(|at| at.line).unwrap_or(0);
        *lines.entry(format!("{file}:{line} {name}")).or_insert(0) += u64::from(count);
        *functions.entry(format!("{file} {name}")).or_insert(0) += u64::from(count);
    }
    for (title, counts) in [("function", functions), ("line", lines)] {
        println!("\ninstructions of an operation, by {title}");
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(name, count)| (u64::MAX - count, name.clone()));
        for (name, count) in counts.iter().take(LONGEST) {
            println!("{:>9.1}  {name}", *count as f64 / ops);
        }
    }
    Ok(())
}

/// A file's path without what is the same for all files of its package.
fn short(path: &str) -> &str {
    path.rsplit_once("/src/").map_or(path, |(_, path)| path)
}
