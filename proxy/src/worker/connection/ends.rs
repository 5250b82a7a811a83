//! How a connection begins, before its first request, and how it ends, behind its last answer.

use std::rc::Rc;

use super::{Client, Gate, Input, LINGER, LINGER_BYTES, ListenerId, Live, Reason, judge};
use crate::worker::access::Record;
use crate::worker::parking::Since;
use crate::worker::proxied::{self, Beginning};

impl Client {
    /// What is there of the first request, behind the header that proxies send on some listeners; none
    /// where there will not be one.
    pub(super) async fn beginning(&self) -> Option<Input> {
        let live = self.core.live();
        let listener = self.state.listener.http_id()?;
        let on = &live.snapshot.listeners[listener.index()];
        let Some(rule) = &on.proxy_protocol else { return Some(Input::Empty) };
        let beginning = proxied::beginning(&self.core, &live, &self.state, on, rule);
        match Box::pin(beginning).await {
            Beginning::Bytes(buffer) if buffer.is_empty() => Some(Input::Empty),
            Beginning::Bytes(buffer) => Some(Input::Buffered(buffer)),
            Beginning::Ended => None,
            Beginning::Refused(gate) => {
                let mut record = Record::new(&self.core, listener, None, Since::now());
                record.reason = Some(Reason::Gate(gate));
                record.finish(&self.core, &live, self.state.peer());
                None
            }
        }
    }

    /// Says goodbye and reads on for a while, so that the last answer arrives.
    pub(super) async fn linger(&self) {
        let stream = &self.state.stream;
        stream.shutdown_write();
        stream.arm(LINGER);
        let mut buffer = self.core.live().heads.take();
        let mut total = 0;
        while total < LINGER_BYTES {
            buffer.clear();
            let (result, returned) = stream.recv(buffer).await;
            buffer = returned;
            match result {
                Ok(received) if received > 0 && !stream.expired() => total += received,
                _ => return,
            }
        }
    }

    /// Answers 503 to a connection over the limit.
    pub(super) async fn turn_away(self, live: Rc<Live>, listener: ListenerId, gate: Gate) {
        let reason = Reason::Gate(gate);
        let answer = judge::refuse_unparsed(&self.core, &live, listener, b"", reason);
        let (sent, _) = self.state.stream.send_all(answer.out, LINGER).await;
        answer.record.finish(&self.core, &live, self.state.peer());
        if sent.is_ok() {
            self.linger().await;
        }
        self.core.turning_away.set(self.core.turning_away.get() - 1);
    }
}
