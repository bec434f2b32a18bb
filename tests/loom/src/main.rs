//! What the product's threads share, over loom's atomics and locks: every model runs in every order there is.

mod driver;
mod entry;
mod ring;
mod rt;
#[allow(dead_code, reason = "the models need a part of it")]
#[path = "../../../src/untraced.rs"]
mod trace;

fn main() {
    let all = [&rt::task::models::ALL[..], &rt::answers::ALL, &driver::models::ALL, &ring::models::ALL];
    for (name, model) in all.into_iter().flatten() {
        let start = std::time::Instant::now();
        loom::model(model);
        println!("ok {name} ({:.1?})", start.elapsed());
    }
}
