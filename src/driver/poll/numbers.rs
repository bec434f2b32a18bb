//! Which source watches a number.
//!
//! Systems give out the smallest number that is free, so a list by number is nearly full, and an idle connection costs
//! four bytes of it. A number beyond most tables, which somebody has to have chosen, is looked up in a map.

use std::{collections::HashMap, os::fd::RawFd};

/// Numbers from here on are in the map.
const FEW: usize = 1 << 20;
/// The list is for so many at least: a program with few descriptors has it once.
const LEAST: usize = 256;
/// Nobody watches the number: no source has this index.
const NOBODY: u32 = u32::MAX;

/// The indices of sources, by number.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    list: Vec<u32>,
    map: HashMap<RawFd, u32>,
}

/// The number's place in the list, if it has one.
fn place(fd: RawFd) -> Option<usize> {
    usize::try_from(fd).ok().filter(|&place| place < FEW)
}

impl Numbers {
    pub(super) fn get(&self, fd: RawFd) -> Option<u32> {
        match place(fd) {
            Some(place) => self.list.get(place).copied().filter(|&index| index != NOBODY),
            None => self.map.get(&fd).copied(),
        }
    }

    pub(super) fn insert(&mut self, fd: RawFd, index: u32) {
        let Some(place) = place(fd) else {
            self.map.insert(fd, index);
            return;
        };
        if place >= self.list.len() {
            self.list.resize((place + 1).max(LEAST), NOBODY);
        }
        self.list[place] = index;
    }

    pub(super) fn remove(&mut self, fd: RawFd) {
        match place(fd) {
            Some(place) => self.list.get_mut(place).into_iter().for_each(|index| *index = NOBODY),
            None => drop(self.map.remove(&fd)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a number is taken for another, or for one that it was.
    #[test]
    fn small_and_large_numbers_are_found() {
        let all = [0, 1, 700, FEW as RawFd - 1, FEW as RawFd, RawFd::MAX, -1];
        let mut numbers = Numbers::default();
        for (index, fd) in (0..).zip(all) {
            assert_eq!(numbers.get(fd), None);
            numbers.insert(fd, index);
        }
        assert!((0..).zip(all).all(|(index, fd)| numbers.get(fd) == Some(index)));
        assert_eq!(numbers.get(2), None);
        for fd in all {
            numbers.remove(fd);
            assert_eq!(numbers.get(fd), None);
        }
        numbers.remove(3);
        numbers.remove(FEW as RawFd + 1);
    }
}
