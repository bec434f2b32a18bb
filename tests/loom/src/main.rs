//! The runtime's own `handoff` and `state`, over loom's atomics: every model runs in every order there is.

mod rt;

fn main() {
    for (name, model) in rt::task::models::ALL {
        loom::model(model);
        println!("ok {name}");
    }
}
