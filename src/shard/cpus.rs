//! Which CPUs there are, and in which order shards take them.

use crate::sys::unix;
use std::{collections::BTreeMap, fs, io};

/// How shards are put on CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// One on each core first, in turn from each NUMA node, and on the cores' further threads when no core is left.
    #[default]
    Spread,
    /// Close together: all threads of a core, then the next core of the same NUMA node.
    Pack,
    /// Wherever the system puts them.
    Unpinned,
}

/// A CPU and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cpu {
    number: usize,
    node: usize,
    /// The lowest number among the threads of its core.
    core: usize,
}

/// The CPUs of `numbers`, in the order in which shards take them.
pub(super) fn in_order(numbers: &[usize], placement: Placement) -> Vec<usize> {
    let nodes = nodes(|path| fs::read_to_string(path).ok());
    let cpus: Vec<Cpu> = numbers
        .iter()
        .map(|&number| {
            let siblings = format!("/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list");
            let siblings = fs::read_to_string(siblings).ok().and_then(|text| parse_list(&text));
            let core = siblings.and_then(|cpus| cpus.into_iter().min()).unwrap_or(number);
            Cpu { number, node: nodes.get(&number).copied().unwrap_or(0), core }
        })
        .collect();
    order(cpus, placement)
}

/// Which node each CPU belongs to, as the system's files say.
fn nodes(read: impl Fn(&str) -> Option<String>) -> BTreeMap<usize, usize> {
    let online = read("/sys/devices/system/node/online").and_then(|text| parse_list(&text)).unwrap_or_default();
    let cpus_of = |node: usize| {
        let list = read(&format!("/sys/devices/system/node/node{node}/cpulist")).and_then(|text| parse_list(&text));
        list.unwrap_or_default().into_iter().map(move |cpu| (cpu, node))
    };
    online.into_iter().flat_map(cpus_of).collect()
}

fn order(mut cpus: Vec<Cpu>, placement: Placement) -> Vec<usize> {
    cpus.sort_by_key(|cpu| (cpu.node, cpu.core, cpu.number));
    if placement == Placement::Spread {
        // Which thread of its core each is, and the how manieth such thread of its node.
        let mut of_core: BTreeMap<usize, usize> = BTreeMap::new();
        let mut of_node: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut keyed: Vec<_> = cpus
            .into_iter()
            .map(|cpu| {
                let thread = next(of_core.entry(cpu.core).or_default());
                let place = next(of_node.entry((thread, cpu.node)).or_default());
                ((thread, place, cpu.node), cpu)
            })
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        cpus = keyed.into_iter().map(|(_, cpu)| cpu).collect();
    }
    cpus.into_iter().map(|cpu| cpu.number).collect()
}

fn next(counter: &mut usize) -> usize {
    *counter += 1;
    *counter - 1
}

/// The most CPUs that a list may name, and the most shards: more than any kernel is built for.
pub(super) const MOST: usize = 1 << 16;

/// The numbers in a list as the kernel writes them: `0-3,8,10-11`. `None` for what is no such list.
pub(super) fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// The CPUs that this thread may run on; `None` on a system that does not tell.
///
/// # Errors
/// Those of `sched_getaffinity(2)`.
pub(super) fn allowed() -> io::Result<Option<Vec<usize>>> {
    unix::affinity()
}

/// Keeps this thread on these CPUs, by their numbers. Threads that it makes afterwards begin with the same.
///
/// ```
/// std::thread::spawn(|| match annulus::shard::pin_thread([0, 1]) {
///     Err(error) if error.kind() != std::io::ErrorKind::Unsupported => println!("they are not ours: {error}"),
///     _ => {}
/// })
/// # .join().unwrap();
/// ```
///
/// # Errors
/// Those of `sched_setaffinity(2)`: `EINVAL` if none of them is one that this process may use, and for numbers that no
/// CPU has. `Unsupported` where there is no such call (macOS and the BSDs).
pub fn pin_thread(cpus: impl IntoIterator<Item = usize>) -> io::Result<()> {
    unix::pin(&cpus.into_iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        let all: Vec<usize> = vec![0, 1, 2, 3, 8, 10, 11];
        assert_eq!(parse_list("0-3,8,10-11\n"), Some(all));
        assert_eq!(parse_list("\n"), Some(vec![]));
        assert_eq!(parse_list("5"), Some(vec![5]));
        for wrong in ["a", "3-1", "1-", "-1", "0--2", "0-99999999999", "0-70000", "1;2", "1 2"] {
            assert_eq!(parse_list(wrong), None, "{wrong}");
        }
    }

    /// Two nodes with two cores of two threads each, numbered as x86 does: the second threads come last.
    fn machine() -> Vec<Cpu> {
        (0..8).map(|number| Cpu { number, node: number / 2 % 2, core: number % 4 }).collect()
    }

    #[test]
    fn cores_come_before_their_second_threads() {
        assert_eq!(order(machine(), Placement::Spread), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(order(machine(), Placement::Pack), [0, 4, 1, 5, 2, 6, 3, 7]);
        let some = machine().into_iter().filter(|cpu| [4, 0, 7].contains(&cpu.number)).collect();
        assert_eq!(order(some, Placement::Spread), [0, 7, 4], "a core's only allowed thread is its first");
    }

    #[test]
    fn nodes_are_found_by_their_lists() {
        let file = |path: &str| {
            let text = match path.rsplit_once("node/")?.1 {
                "online" => "0,2",
                "node0/cpulist" => "0-1",
                "node2/cpulist" => "2,5",
                _ => return None,
            };
            Some(text.to_owned())
        };
        assert_eq!(nodes(file), BTreeMap::from([(0, 0), (1, 0), (2, 2), (5, 2)]));
        assert_eq!(nodes(|_| None), BTreeMap::new());
    }

    /// Red when a thread stays on other CPUs than it was told, or a wrong number is no error.
    #[test]
    fn a_thread_stays_where_it_is_put() {
        let Some(all) = allowed().unwrap() else {
            assert_eq!(pin_thread([0]).unwrap_err().kind(), io::ErrorKind::Unsupported);
            return;
        };
        let (first, last) = (all[0], all[all.len() - 1]);
        let pinned = move || {
            for wrong in [vec![], vec![MOST - 1], vec![MOST], vec![usize::MAX], vec![first, MOST]] {
                assert_eq!(pin_thread(wrong).unwrap_err().raw_os_error(), Some(libc::EINVAL));
            }
            let before = allowed().unwrap();
            pin_thread([last, first, last]).unwrap();
            let both = allowed().unwrap();
            pin_thread([first]).unwrap();
            (before, both, allowed().unwrap())
        };
        let mut both = vec![first, last];
        both.dedup();
        assert_eq!(std::thread::spawn(pinned).join().unwrap(), (Some(all), Some(both), Some(vec![first])));
    }

    #[test]
    fn this_machine_has_an_order_without_doubles() {
        let Some(allowed) = allowed().unwrap() else { return };
        for placement in [Placement::Spread, Placement::Pack] {
            let mut order = in_order(&allowed, placement);
            order.sort_unstable();
            assert_eq!(order, allowed);
        }
    }
}
