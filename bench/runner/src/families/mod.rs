//! What is compared, by families: each has its contenders, its workloads, and who puts the load on. To add one: a file
//! beside this one, and a line in `FAMILIES`.

mod bulk;
mod churn;
mod echo;
mod http;
mod hyper;
mod idle;
mod micro;
mod op;
mod proxy;
mod read;
mod shards;
mod udp;
mod wal;

/// All families, in the order in which they run.
pub const FAMILIES: [&Family; 13] = [
    &echo::FAMILY,
    &http::FAMILY,
    &hyper::FAMILY,
    &proxy::FAMILY,
    &bulk::FAMILY,
    &churn::FAMILY,
    &udp::FAMILY,
    &micro::FAMILY,
    &op::FAMILY,
    &read::FAMILY,
    &wal::FAMILY,
    &idle::FAMILY,
    &shards::FAMILY,
];

/// What a program that measures itself in slices says beside their lower quartile.
const SLICES: [Column; 3] = [
    Column::new("min", "least slice", 0),
    Column::new("median", "median slice", 0),
    Column::new("rate", "per second", 0),
];

/// Contenders that do the same things, and can be compared.
pub struct Family {
    /// As in `--family`; the results go into a directory of this name.
    pub name: &'static str,
    pub title: &'static str,
    pub load: Load,
    pub contenders: &'static [Contender],
    pub workloads: &'static [Workload],
    /// The contender that all others are compared with.
    pub reference: &'static str,
    /// The reference once more, under another name: what it differs from itself is noise.
    pub control: &'static str,
    /// The closed workload whose requests per second are the saturation that [`Rate::Share`] means.
    pub saturation: Option<&'static str>,
    /// What the family is about: the first column, the ratio and the plot are of this.
    pub cost: Column,
    /// The other columns of its tables.
    pub columns: &'static [Column],
    pub judge: Judge,
}

/// Who puts the load on, and prints the sample: `name=value` pairs.
pub enum Load {
    /// A program on a CPU of its own: `PROGRAM --addr A --pid P --secs S --warm W [--rate R] ARGS`. The contender is a
    /// server: `CONTENDER --addr 127.0.0.1:0 ARGS` prints `driver: NAME` if it has a choice, then `listening ADDR`, and
    /// serves until it is killed. The sample has `srv_wait`, `load_wait` and `others` (see `load`). Exit code 2: it cannot do
    /// that here.
    Program(&'static str),
    /// The contender itself: `CONTENDER ARGS-OF-THE-WORKLOAD ARGS --secs S` prints the sample, which has `wait`, and
    /// ends; with exit code 2 if it has no such workload.
    Itself,
}

/// Which samples count.
#[derive(PartialEq, Eq)]
pub enum Judge {
    /// Clean ones; a dirty one is repeated. The overview has the ratio to the reference.
    Clean,
    /// All of them: each is cut into many short slices, whose least noise can only raise. The overview has the least of
    /// the first column, which is that of a sample's slices.
    Least,
}

/// A program, how it is called, and the driver it must say it runs on.
pub struct Contender {
    pub name: &'static str,
    pub program: &'static str,
    pub args: &'static [&'static str],
    pub driver: Option<&'static str>,
    /// What `ANNULUS_HIDE_OPS` hides from it.
    pub hidden: Option<&'static str>,
    /// Not measured unless asked for, by name or with `--all`.
    pub extra: bool,
}

/// A load: a name, what it is in words, and arguments.
pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    pub args: &'static [&'static str],
    pub rate: Option<Rate>,
    /// Not measured unless asked for, by name or with `--all`.
    pub extra: bool,
}

/// Requests offered per second, handed to the load as `--rate`.
#[derive(Clone, Copy)]
pub enum Rate {
    Fixed(f64),
    /// A share of what saturates the reference, which is measured first.
    Share(f64),
}

/// A quantity of the sample: its name there, its heading, and how many digits to show.
pub struct Column {
    pub key: &'static str,
    pub title: &'static str,
    pub digits: usize,
    /// Also a plot, for workloads with a rate.
    pub plot: bool,
}

impl Contender {
    pub const fn new(name: &'static str, program: &'static str, args: &'static [&'static str]) -> Self {
        Self { name, program, args, driver: None, hidden: None, extra: false }
    }

    /// A program on annulus, and its driver.
    pub const fn on(self, driver: &'static str) -> Self {
        Self { driver: Some(driver), ..self }
    }

    /// A program on annulus that has to do without an ability.
    pub const fn without(self, ability: &'static str) -> Self {
        Self { hidden: Some(ability), ..self }
    }

    pub const fn extra(self) -> Self {
        Self { extra: true, ..self }
    }
}

impl Workload {
    pub const fn new(name: &'static str, title: &'static str, args: &'static [&'static str]) -> Self {
        Self { name, title, args, rate: None, extra: false }
    }

    pub const fn at(self, rate: Rate) -> Self {
        Self { rate: Some(rate), ..self }
    }

    pub const fn extra(self) -> Self {
        Self { extra: true, ..self }
    }
}

impl Column {
    pub const fn new(key: &'static str, title: &'static str, digits: usize) -> Self {
        Self { key, title, digits, plot: false }
    }

    pub const fn plotted(self) -> Self {
        Self { plot: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::FAMILIES;

    #[test]
    fn names_are_unique_and_the_ones_referred_to_exist() {
        for family in FAMILIES {
            let (who, what) = (family.contenders.iter().map(|it| it.name), family.workloads.iter().map(|it| it.name));
            for name in who.clone().chain(what.clone()) {
                assert_eq!(who.clone().chain(what.clone()).filter(|&other| other == name).count(), 1, "{name}");
            }
            for name in [family.reference, family.control] {
                let it = family.contenders.iter().find(|it| it.name == name).expect(name);
                assert!(!it.extra, "{name} is always needed");
            }
            assert!(family.saturation.is_none_or(|name| what.clone().any(|other| other == name)));
        }
    }
}
