//! A mailbox: bounded, with one reader on its shard and writers on every thread.
//!
//! A sender that finds no room puts its message into a line beside the queue, and whoever takes a message out moves the
//! first of the line in. So senders are served in the order in which they came, no message is in the queue beyond its
//! bound, and nobody has to race for a place that became free. No code of others (wakers, messages' drops) runs under
//! the lock.

use crate::{
    driver::quietly,
    sync::mpsc::error::{SendError, TrySendError},
};
use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

pub(super) struct Mailbox<M> {
    capacity: usize,
    inside: Mutex<Inside<M>>,
}

struct Inside<M> {
    queue: VecDeque<M>,
    /// Those who wait for room, by their tickets. While anybody does, the queue is full.
    line: VecDeque<InLine<M>>,
    tickets: u64,
    reader: Option<Waker>,
    closed: bool,
}

struct InLine<M> {
    ticket: u64,
    message: M,
    sender: Option<Waker>,
}

/// How far a send is.
pub(super) enum Sending<M> {
    New(M),
    InLine(u64),
    Over,
}

impl<M> Mailbox<M> {
    pub(super) fn new(capacity: usize) -> Mailbox<M> {
        let (queue, line) = (VecDeque::new(), VecDeque::new());
        Mailbox { capacity, inside: Mutex::new(Inside { queue, line, tickets: 0, reader: None, closed: false }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inside<M>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn try_send(&self, message: M) -> Result<(), TrySendError<M>> {
        let mut inside = self.lock();
        if inside.closed {
            return Err(TrySendError::Closed(message));
        }
        if inside.queue.len() >= self.capacity {
            return Err(TrySendError::Full(message));
        }
        inside.queue.push_back(message);
        let reader = inside.reader.take();
        drop(inside);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Goes on with a send.
    pub(super) fn poll_send(&self, sending: &mut Sending<M>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<M>>> {
        match mem::replace(sending, Sending::Over) {
            Sending::New(message) => match self.try_send(message) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(TrySendError::Closed(message)) => Poll::Ready(Err(SendError(message))),
                Err(TrySendError::Full(message)) => self.stand_in_line(message, sending, cx),
            },
            Sending::InLine(ticket) => self.poll_line(ticket, sending, cx),
            Sending::Over => panic!("a send was polled again after it had ended"),
        }
    }

    fn stand_in_line(
        &self,
        message: M,
        sending: &mut Sending<M>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<M>>> {
        let sender = cx.waker().clone();
        let mut inside = self.lock();
        // Since `try_send` there may be room, or nobody there.
        if inside.closed || inside.queue.len() < self.capacity {
            drop(inside);
            *sending = Sending::New(message);
            return self.poll_send(sending, cx);
        }
        let ticket = inside.tickets;
        inside.tickets += 1;
        inside.line.push_back(InLine { ticket, message, sender: Some(sender) });
        *sending = Sending::InLine(ticket);
        Poll::Pending
    }

    fn poll_line(&self, ticket: u64, sending: &mut Sending<M>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<M>>> {
        let sender = cx.waker().clone();
        let mut inside = self.lock();
        // Who is not in line any more was let in.
        let Some(at) = inside.place(ticket) else { return Poll::Ready(Ok(())) };
        if inside.closed {
            let left = inside.line.remove(at);
            drop(inside);
            return Poll::Ready(left.map_or(Ok(()), |left| Err(SendError(left.message))));
        }
        let old = inside.line[at].sender.replace(sender);
        drop(inside);
        drop(old);
        *sending = Sending::InLine(ticket);
        Poll::Pending
    }

    /// A send that is given up takes its message along, unless it was let in.
    pub(super) fn give_up(&self, sending: &Sending<M>) {
        let Sending::InLine(ticket) = *sending else { return };
        let mut inside = self.lock();
        let left = inside.place(ticket).and_then(|at| inside.line.remove(at));
        drop(inside);
        drop(left);
    }

    /// The next message. Without one, `cx` is woken for it.
    pub(super) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<M> {
        if let Some(message) = self.try_recv() {
            return Poll::Ready(message);
        }
        let reader = cx.waker().clone();
        let mut inside = self.lock();
        let old = inside.reader.replace(reader);
        let came = !inside.queue.is_empty();
        drop(inside);
        drop(old);
        match came {
            // Somebody sent between the two locks; the waker that was left is woken once in vain.
            true => self.try_recv().map_or(Poll::Pending, Poll::Ready),
            false => Poll::Pending,
        }
    }

    pub(super) fn try_recv(&self) -> Option<M> {
        let mut inside = self.lock();
        let message = inside.queue.pop_front()?;
        let next = inside.line.pop_front().map(|InLine { message, sender, .. }| {
            inside.queue.push_back(message);
            sender
        });
        drop(inside);
        next.flatten().into_iter().for_each(Waker::wake);
        Some(message)
    }

    /// Nobody reads any more: what is queued is dropped, and those in line get their messages back.
    pub(super) fn close(&self) {
        let mut inside = self.lock();
        inside.closed = true;
        let (queued, reader) = (mem::take(&mut inside.queue), inside.reader.take());
        // They stay in line, and find there that it leads nowhere.
        let senders: Vec<Waker> = inside.line.iter_mut().filter_map(|in_line| in_line.sender.take()).collect();
        drop(inside);
        drop(reader);
        senders.into_iter().for_each(|waker| quietly(|| waker.wake()));
        drop(queued);
    }

    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        let inside = self.lock();
        (inside.queue.len(), inside.line.len())
    }
}

impl<M> Inside<M> {
    /// Where in the line a ticket stands.
    fn place(&self, ticket: u64) -> Option<usize> {
        self.line.binary_search_by_key(&ticket, |in_line| in_line.ticket).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, rc::Rc};

    /// A send whose drop gives up.
    async fn send(mailbox: &Mailbox<u32>, message: u32) -> Result<(), SendError<u32>> {
        let mut sending = Sending::New(message);
        poll_fn(|cx| mailbox.poll_send(&mut sending, cx)).await
    }

    /// Red when a newcomer overtakes the line, when the line is let in out of order, and when the bound is not kept.
    #[crate::test]
    async fn the_line_is_served_in_its_order_and_the_bound_is_kept() {
        let mailbox = Rc::new(Mailbox::new(2));
        let sends: Vec<_> = (0..6)
            .map(|n| {
                let mailbox = mailbox.clone();
                crate::spawn(async move { send(&mailbox, n).await })
            })
            .collect();
        crate::yield_now().await;
        assert_eq!(mailbox.len(), (2, 4));
        for n in 0..6 {
            assert!(matches!(mailbox.try_send(9), Err(TrySendError::Full(9))), "{n}: nobody overtakes the line");
            assert_eq!(mailbox.try_recv(), Some(n));
            assert!(mailbox.len().0 <= 2);
            if n == 3 {
                break;
            }
        }
        for sent in sends {
            sent.await.unwrap().unwrap();
        }
        assert_eq!(mailbox.len(), (2, 0));
        assert_eq!((mailbox.try_recv(), mailbox.try_recv(), mailbox.try_recv()), (Some(4), Some(5), None));
    }

    #[crate::test]
    async fn who_gives_up_takes_the_message_along_and_the_others_stay() {
        let mailbox = Mailbox::new(1);
        mailbox.try_send(0).unwrap();
        let mut sends: Vec<_> = (1..4).map(Sending::New).collect();
        for sending in &mut sends {
            poll_fn(|cx| Poll::Ready(mailbox.poll_send(sending, cx).is_pending())).await;
        }
        mailbox.give_up(&sends[1]);
        mailbox.give_up(&sends[1]);
        assert_eq!(
            [mailbox.try_recv(), mailbox.try_recv(), mailbox.try_recv(), None],
            [Some(0), Some(1), Some(3), None]
        );
        mailbox.give_up(&sends[2]);
        let ended = poll_fn(|cx| Poll::Ready(mailbox.poll_send(&mut sends[2], cx).is_ready())).await;
        assert!(ended, "it was let in");
    }

    #[crate::test]
    async fn at_the_close_those_in_line_get_their_messages_back() {
        let mailbox = Rc::new(Mailbox::new(1));
        mailbox.try_send(0).unwrap();
        let there = mailbox.clone();
        let waiting = crate::spawn(async move { send(&there, 7).await });
        crate::yield_now().await;
        mailbox.close();
        let waiting = crate::time::timeout(std::time::Duration::from_secs(20), waiting);
        assert_eq!(waiting.await.expect("the line was forgotten").unwrap().unwrap_err().0, 7);
        assert_eq!(send(&mailbox, 8).await.unwrap_err().0, 8);
        assert_eq!(mailbox.len(), (0, 0));
    }
}
