//! A direction in the kernel's hands: joining, looking after it, and taking it back.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::direction::Direction;
use crate::relay::splicer::{self, Joined, Splicer};
use crate::uring;

/// Between two looks at bytes on their way into the sink, at first; then twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(32);

/// What a flow is looked at for.
enum Event {
    /// The source said that it is done, or failed, or something was cancelled.
    HungUp(io::Result<()>),
    /// Its counters say so.
    Due,
}

/// What the kernel does for a direction.
pub(super) enum KernelPart {
    /// Nothing by now.
    Possible,
    /// Nothing, or nothing more. What it took in for a flow and left to be read is there as long as
    /// the flow is.
    Over { flow: Option<Joined>, before: u64 },
}

impl KernelPart {
    pub(super) fn new(splicer: Option<&Splicer>) -> Self {
        if splicer.is_some() { Self::Possible } else { Self::Over { flow: None, before: 0 } }
    }

    /// Whether the kernel has lost something of what it was to leave to be read.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Over { flow: Some(flow), .. } if flow.is_broken())
    }
}

impl Direction<'_> {
    /// Lets the kernel move bytes, if it may and takes it, until it does no more; what is left is to
    /// be read here, and to be sent behind what the kernel has sent.
    ///
    /// A flow may begin when all that was received is read, which its end is counted from, and when
    /// nothing is being received into the other direction's buffer.
    ///
    /// # Errors
    /// When the direction failed. It has passed then what the kernel has taken from the source: of a
    /// sink that was reset nobody knows how much it got.
    pub(super) async fn let_kernel(&self, part: &mut KernelPart) -> io::Result<()> {
        let KernelPart::Possible = part else { return Ok(()) };
        let Some(splicer) = self.ways.splicer else { return Ok(()) };
        // The counter first: what comes behind it may be forwarded.
        let received = splicer::received(self.from);
        if self.state.receiving.get() > 0 || !self.from.is_drained()? {
            return Ok(());
        }
        let flow = received.ok().and_then(|received| self.join(splicer, received));
        let mut passed = Ok(());
        let before = self.bytes.get();
        if let Some(flow) = &flow {
            passed = self.look_after(flow, before).await;
            if passed.is_err() {
                self.bytes.set(before + flow.forwarded());
            }
        }
        *part = KernelPart::Over { flow, before };
        passed
    }

    /// Whether all that has arrived since the kernel took part has passed: at the end of the stream.
    /// What the program let pass to the source may wait in the socket's queue behind what the other
    /// direction sends by it, while a receive shows the end already.
    pub(super) fn is_whole(&self, part: &KernelPart) -> bool {
        let KernelPart::Over { flow: Some(flow), before } = part else { return true };
        // Without counters nobody knows.
        flow.arrived(self.from).map_or(true, |bytes| self.bytes.get() - before >= bytes)
    }

    /// Hands the direction to the kernel, if it takes it.
    fn join(&self, splicer: &Splicer, received: u64) -> Option<Joined> {
        let joined = splicer.join(self.from, self.to, received);
        let flow = joined.inspect_err(|off| tracing::debug!(%off, "a tunnel is not spliced"));
        let flow = flow.ok()?;
        self.state.flows.borrow_mut().push(flow.watched());
        Some(flow)
    }

    async fn look_after(&self, flow: &Joined, before: u64) -> io::Result<()> {
        self.wait_for_end(flow, before).await?;
        flow.settle(self.from)?;
        let mut pause = FIRST_LOOK;
        while !self.look(flow, before)? {
            uring::sleep(pause).await;
            pause = LAST_LOOK.min(pause * 2);
        }
        Ok(())
    }

    /// Until the source is done, or is given back.
    async fn wait_for_end(&self, flow: &Joined, before: u64) -> io::Result<()> {
        // What the flow's part ends with, once it is over but for the wait for the hang-up.
        let mut over = None;
        loop {
            let mut hung_up = pin!(self.from.hung_up());
            loop {
                let event = poll_fn(|context| match hung_up.as_mut().poll(context) {
                    Poll::Ready(result) => Poll::Ready(Event::HungUp(result.map(drop))),
                    Poll::Pending if over.is_some() => Poll::Pending,
                    Poll::Pending => flow.poll_due(context).map(|()| Event::Due),
                });
                match (event.await, over.take()) {
                    (Event::HungUp(_), Some(result)) => return result,
                    (Event::HungUp(Ok(())), None) if self.is_broken() => {
                        // What came before a reset is not waited for.
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                    (Event::HungUp(Ok(())), None) => return Ok(()),
                    (Event::HungUp(Err(error)), None) if self.from.is_bystander(&error) => break,
                    (Event::HungUp(Err(error)), None) => return Err(error),
                    (Event::Due, _) => {
                        let looked = self.look(flow, before);
                        if looked.is_err() || flow.is_returned() {
                            over = Some(looked.map(drop));
                            self.from.cancel();
                        }
                    }
                }
            }
        }
    }

    /// Counts what has passed, and says whether it is all that the kernel has taken.
    ///
    /// # Errors
    /// When the sink takes nothing any more, or something is lost.
    fn look(&self, flow: &Joined, before: u64) -> io::Result<bool> {
        let (handed_over, is_all) = flow.look(self.to)?;
        let bytes = before + handed_over;
        if self.bytes.replace(bytes) != bytes {
            self.state.has_moved();
        }
        if !is_all && self.to.is_dead() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if flow.is_broken() {
            tracing::warn!("a spliced tunnel is reset: the kernel has lost or mixed up what came");
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(is_all)
    }
}
