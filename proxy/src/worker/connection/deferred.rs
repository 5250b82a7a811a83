//! Requests that wait before they are judged for good: for a key that nobody has yet, or for a turn
//! to have a token verified. The head stays in its buffer and is parsed again.

use std::rc::Rc;

use super::Client;
use crate::uring::Buffer;
use crate::worker::core::Live;
use crate::worker::judge::Verdict;
use crate::worker::parking::{Attempt, KeyLookup, Since, Wait};

impl Client {
    /// Waits as a verdict says until there is one that says no more of it, and with what snapshot.
    pub(super) async fn settle(&self, verdict: Verdict, buffer: &Buffer) -> (Verdict, Rc<Live>) {
        let (mut verdict, mut live) = (verdict, self.core.live());
        loop {
            (verdict, live) = match verdict {
                Verdict::Park(wait) => self.park(wait, buffer).await,
                Verdict::Queue(since) => self.queue(since, buffer).await,
                settled => return (settled, live),
            }
        }
    }

    /// Waits for a turn and judges again.
    async fn queue(&self, since: Since, buffer: &Buffer) -> (Verdict, Rc<Live>) {
        let turn = self.core.pacing.turn(self.state.standing.get()).await;
        let attempt = Attempt { since, may_park: true, turn: Some(&turn) };
        self.judge_again(buffer, attempt)
    }

    /// Waits for a key and judges again.
    async fn park(&self, mut wait: Wait, buffer: &Buffer) -> (Verdict, Rc<Live>) {
        let (core, parking) = (&self.core, &self.core.parking);
        let mut again = true;
        loop {
            let waited = parking.wait(&wait).await;
            // Whoever waited for the same key goes on at the same time.
            let turn = core.pacing.turn(self.state.standing.get()).await;
            let may_park = match waited {
                // Each time for a newer snapshot than the one before.
                Some(KeyLookup::Behind) => true,
                // What was looked for on behalf of another may have missed a key by a moment.
                Some(KeyLookup::Earlier) => std::mem::take(&mut again),
                Some(KeyLookup::Done | KeyLookup::Denied) | None => false,
            };
            let attempt = Attempt { since: wait.since, may_park, turn: Some(&turn) };
            match self.judge_again(buffer, attempt) {
                (Verdict::Park(once_more), _) => wait = once_more,
                (verdict, live) => {
                    let missing = verdict.lacks_key();
                    // Where the listener is gone, nobody has looked whether the key is there now.
                    if !matches!(verdict, Verdict::Incomplete) {
                        core.count_parking(&live, &wait, missing, waited.is_some());
                    }
                    if waited == Some(KeyLookup::Done) && missing {
                        parking.missed(wait);
                    }
                    return (verdict, live);
                }
            }
        }
    }

    /// Judges by the snapshot that there is now. `Incomplete` where the listener is gone.
    fn judge_again(&self, buffer: &Buffer, attempt: Attempt<'_>) -> (Verdict, Rc<Live>) {
        let live = self.core.live();
        let verdict = match self.state.listener.http_id() {
            Some(listener) => self.read_head(&live, listener, buffer, attempt),
            None => Verdict::Incomplete,
        };
        (verdict, live)
    }
}
