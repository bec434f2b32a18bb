//! What a slot keeps for a request whose memory is lent for longer than until its result.
//!
//! A zero-copy send is answered twice: by its result, with `F_MORE`, and by a notification, `F_NOTIF`, when nobody
//! reads the memory any more, which may be when the peer has acknowledged the last byte. Errors may come with both, or
//! as the only answer; some kernels may send the notification first. This file decides what an answer is; it is pure.

use crate::entry::{Cqe, CqeFlags};

/// Where such a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lending {
    /// It is an ordinary one: answered once.
    No,
    /// Nothing was answered.
    Sent,
    /// It was refused with the flag that asks for the usage, and is tried without.
    Doubted,
    /// The notification came before the result, and said whether the memory was copied.
    Early { copied: bool },
    /// The result is there; the notification is owed.
    Answered,
}

/// What to make of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// This is the result.
    Tell(Cqe),
    /// This is the last answer, and the memory is free.
    Last(Cqe),
    /// This is the result, and that the last answer, which came before it.
    Both(Cqe, Cqe),
    /// The request is to be made again, without the flag.
    Again,
    /// It belongs to nobody.
    Stray,
}

impl Lending {
    /// Whether there was a result: nothing is left to cancel then.
    pub(super) fn is_answered(self) -> bool {
        self == Lending::Answered
    }

    /// Takes in an answer. `asked` says that the request asked for the usage.
    pub(super) fn judge(&mut self, cqe: Cqe, asked: bool) -> Step {
        let notification = cqe.flags.contains(CqeFlags::NOTIF);
        match *self {
            Lending::No => Step::Stray,
            Lending::Sent if asked && cqe.is_final() && !notification && cqe.res == -libc::EINVAL => {
                *self = Lending::Doubted;
                Step::Again
            }
            Lending::Sent | Lending::Doubted if notification => {
                *self = Lending::Early { copied: cqe.was_copied() };
                Step::Wait
            }
            Lending::Sent | Lending::Doubted if cqe.is_final() => Step::Last(cqe),
            Lending::Sent | Lending::Doubted => {
                *self = Lending::Answered;
                Step::Tell(cqe)
            }
            Lending::Early { copied } if !notification => {
                *self = Lending::Answered;
                Step::Both(Cqe { flags: cqe.flags | CqeFlags::MORE, ..cqe }, Cqe::notification(cqe.user_data, copied))
            }
            Lending::Answered if cqe.is_final() => Step::Last(cqe),
            Lending::Early { .. } | Lending::Answered => Step::Stray,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(res: i32) -> Cqe {
        Cqe { flags: CqeFlags::MORE, ..Cqe::new(0, res) }
    }

    fn notification() -> Cqe {
        Cqe::notification(0, true)
    }

    #[test]
    fn the_result_first_and_the_memory_later() {
        let mut lending = Lending::Sent;
        assert_eq!(lending.judge(result(5), true), Step::Tell(result(5)));
        assert!(lending.is_answered());
        assert_eq!(lending.judge(result(6), true), Step::Stray);
        assert_eq!(lending.judge(notification(), true), Step::Last(notification()));
    }

    #[test]
    fn an_error_may_be_all_there_is() {
        let error = Cqe::new(0, -libc::EPIPE);
        assert_eq!(Lending::Sent.judge(error, true), Step::Last(error));
        assert_eq!(Lending::No.judge(result(5), true), Step::Stray);
    }

    /// Red when the first notification is taken for the end: the result would find nobody.
    #[test]
    fn a_notification_that_comes_first_is_kept() {
        for copied in [false, true] {
            let (mut lending, notification) = (Lending::Sent, Cqe::notification(0, copied));
            assert_eq!((lending.judge(notification, true), notification.was_copied()), (Step::Wait, copied));
            assert_eq!(lending.judge(notification, true), Step::Stray);
            assert_eq!(lending.judge(Cqe::new(0, 5), true), Step::Both(result(5), notification));
            assert!(lending.is_answered());
        }
    }

    #[test]
    fn a_kernel_that_knows_no_usage_is_asked_without() {
        let refused = Cqe::new(0, -libc::EINVAL);
        let mut lending = Lending::Sent;
        assert_eq!(lending.judge(refused, true), Step::Again);
        assert_eq!((lending, lending.judge(refused, false)), (Lending::Doubted, Step::Last(refused)));
        assert_eq!(Lending::Sent.judge(refused, false), Step::Last(refused));
    }
}
