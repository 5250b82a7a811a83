//! How a connection begins, before its first request, and how it ends, behind its last answer.

use std::rc::Rc;

use super::{Client, Gate, Input, LINGER, LINGER_BYTES, ListenerId, Live, Next, Reason, judge};
use crate::tls;
use crate::uring::Buffer;
use crate::worker::access::Record;
use crate::worker::handshake::{NoSession, handshake};
use crate::worker::parking::Since;
use crate::worker::proxied::{self, Beginning};

impl Client {
    /// What is there of the first request, behind the header that proxies send on some listeners; none
    /// where there will not be one.
    pub(super) async fn beginning(&self) -> Option<Input> {
        let live = self.core.live();
        let listener = self.state.listener.http_id()?;
        let on = &live.snapshot.listeners[listener.index()];
        let first = match &on.proxy_protocol {
            None => None,
            Some(rule) => {
                let beginning = proxied::beginning(&self.core, &live, &self.state, on, rule);
                match Box::pin(beginning).await {
                    Beginning::Bytes(buffer) => Some(buffer).filter(|first| !first.is_empty()),
                    Beginning::Ended => return None,
                    Beginning::Refused(gate) => return self.refuse_begun(&live, listener, gate),
                }
            }
        };
        let Some(service) = &on.tls else {
            return Some(first.map_or(Input::Empty, Input::Buffered));
        };
        let secured = handshake(&self.core, &live, &self.state, (listener, service), first);
        match Box::pin(secured).await {
            Ok(()) => Some(Input::Empty),
            Err(NoSession::Ended) => None,
            Err(NoSession::Refused(Gate::PlainTextOnTls)) => {
                // What it has sent is read and thrown away.
                Box::pin(self.say(&live, listener, Gate::PlainTextOnTls)).await;
                None
            }
            Err(NoSession::Refused(gate)) => self.refuse_begun(&live, listener, gate),
        }
    }

    /// Records a connection that comes to no request.
    fn refuse_begun(&self, live: &Live, listener: ListenerId, gate: Gate) -> Option<Input> {
        let mut record = Record::new(&self.core, listener, None, Since::now());
        record.reason = Some(Reason::Gate(gate));
        record.finish(&self.core, live, &self.state);
        None
    }

    /// Answers a connection that comes to no request, and ends it.
    async fn say(&self, live: &Live, listener: ListenerId, gate: Gate) {
        let reason = Reason::Gate(gate);
        let answer = judge::refuse_unparsed(&self.core, live, listener, b"", reason);
        let (sent, _) = self.state.stream.send_all(answer.out, LINGER).await;
        answer.record.finish(&self.core, live, &self.state);
        if sent.is_ok() {
            self.linger().await;
        }
    }

    /// Whether a first request is the hello of a client that expects TLS.
    pub(super) fn is_unasked_tls(&self, buffer: &Buffer) -> bool {
        let is_first = self.state.served.get() == 0 && !self.state.stream.is_secure();
        is_first && tls::first(buffer.filled()) == tls::First::Handshake
    }

    /// Declines in its own language, so that the client can say what is wrong.
    pub(super) async fn decline_tls(
        &self,
        live: &Live,
        listener: ListenerId,
        mut buffer: Buffer,
    ) -> Next {
        buffer.clear();
        let fits = buffer.append(tls::DECLINED);
        debug_assert!(fits, "a head buffer holds more");
        let (sent, _) = self.state.stream.send_all(buffer, LINGER).await;
        let _ = self.refuse_begun(live, listener, Gate::TlsOnPlainText);
        if sent.is_ok() { Next::Linger } else { Next::Close }
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

    /// Tells a connection that is over a limit so.
    pub(super) async fn turn_away(self, live: Rc<Live>, listener: ListenerId, gate: Gate) {
        self.say(&live, listener, gate).await;
        self.core.turning_away.set(self.core.turning_away.get() - 1);
    }
}
