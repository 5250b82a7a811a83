//! A question to the control thread and the way of its answer.

use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::time::Duration;

use super::event::Event;

/// Where the answer goes, once.
#[derive(Debug)]
pub struct Reply<T>(SyncSender<T>);

impl<T> Reply<T> {
    /// A way for one answer, and its end.
    #[must_use]
    pub fn channel() -> (Self, Receiver<T>) {
        let (sender, receiver) = sync_channel(1);
        (Self(sender), receiver)
    }

    /// Answers. Whoever asked may have given up.
    pub fn send(self, answer: T) {
        let _ = self.0.try_send(answer);
    }
}

/// Asks, and waits so long; none where no answer came.
pub fn ask<T>(
    events: &Sender<Event>,
    within: Duration,
    question: impl FnOnce(Reply<T>) -> Event,
) -> Option<T> {
    let (reply, answer) = Reply::channel();
    events.send(question(reply)).ok()?;
    answer.recv_timeout(within).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn no_answer_is_none() {
        let (events, received) = channel();
        let question = |reply: Reply<Vec<_>>| Event::AdminRefresh { provider: "a".into(), reply };
        // The event lies in the queue, and its way of answering with it.
        assert!(ask(&events, Duration::from_millis(1), question).is_none());
        let Ok(Event::AdminRefresh { reply, .. }) = received.recv() else { panic!("no question") };
        reply.send(Vec::new());
        drop(received);
        assert!(ask(&events, Duration::MAX, question).is_none(), "the thread has ended");
    }
}
