//! Verdicts that are answers of the gateway's own, written and ready to send.

use super::{Answer, Case, Verdict};
use crate::auth::Refusal;
use crate::http1::HeadOverflow;
use crate::snapshot::cors::Cors;
use crate::snapshot::ids::RouteId;
use crate::snapshot::route_table::FixedResponse;
use crate::uring::Buffer;
use crate::worker::reason::{Gate, Reason};
use crate::worker::reply::{self, Framing};

impl Case<'_, '_, '_> {
    /// Tells everyone who asks here that the service is away.
    pub(super) fn answer_maintenance(self, route_id: RouteId, response: &FixedResponse) -> Verdict {
        let reason = Reason::Gate(Gate::Maintenance);
        // A gRPC call has an answer of its own kind.
        if self.facts.grpc.is_some() {
            return self.refuse(reason);
        }
        self.answer_fixed(route_id, response, Some(reason))
    }

    /// Answers with what the route says, as far as it fits a buffer; the rest is sent from there.
    pub(super) fn answer_fixed(
        mut self,
        route_id: RouteId,
        response: &FixedResponse,
        reason: Option<Reason>,
    ) -> Verdict {
        let mut out = self.live.heads.take();
        self.spare_body();
        let private = self.facts.private;
        if reply::respond(&mut out, response, reason, private, self.framing()).is_err() {
            return self.refuse(Reason::Gate(Gate::ForwardedHeadTooLarge));
        }
        self.record.reason = reason.or(self.record.reason);
        self.record.status = response.status;
        let bodiless = self.facts.is_head || matches!(response.status, 204 | 304);
        let body: &[u8] = if bodiless { &[] } else { &response.body };
        let fitting = body.len().min(out.spare_mut().len());
        let fits = out.append(&body[..fitting]);
        debug_assert!(fits, "cut to what fits");
        self.record.sent.set(fitting as u64);
        let rest = (fitting < body.len()).then_some((route_id, fitting));
        Verdict::Answer(Answer { out, record: self.record, facts: Some(self.facts), rest })
    }

    pub(super) fn answer_redirect(self, status: u16, location: Result<String, Gate>) -> Verdict {
        let private = self.facts.private;
        match location {
            Ok(location) => self.answer_head(status, |out, framing| {
                reply::redirect(out, status, &location, private, framing)
            }),
            Err(gate) => self.refuse(Reason::Gate(gate)),
        }
    }

    pub(super) fn refuse_token(mut self, refusal: Refusal, route: RouteId) -> Verdict {
        self.core.count(self.core.cells.tokens_refused);
        self.blame(&refusal);
        let reason = Reason::Token(refusal.reason);
        let mut out = self.live.heads.take();
        self.spare_body();
        let policy = self.live.snapshot.routes.route(route).auth.as_ref();
        let origin =
            self.head.fields.iter().find(|field| field.name.eq_ignore_ascii_case("origin"));
        let challenge = policy.map(|policy| (&refusal, policy, origin.map(|field| field.value)));
        let written = reply::refuse(&mut out, reason, challenge, self.framing());
        self.record.answered(written);
        self.record.refused(refusal);
        self.answer(out, reason)
    }

    pub(super) fn refuse(mut self, reason: Reason) -> Verdict {
        let mut out = self.live.heads.take();
        self.spare_body();
        let framing = self.framing();
        let written = reply::refuse(&mut out, reason, None, framing);
        self.record.answered(written);
        self.answer(out, reason)
    }

    /// Tells a browser what a page may ask for.
    pub(super) fn answer_preflight(self, cors: &Cors) -> Verdict {
        self.answer_head(204, |out, framing| reply::preflight(out, cors, framing))
    }

    /// Answers with a head alone.
    fn answer_head(
        mut self,
        status: u16,
        write: impl FnOnce(&mut Buffer, Framing<'_>) -> Result<(), HeadOverflow>,
    ) -> Verdict {
        let mut out = self.live.heads.take();
        self.spare_body();
        if write(&mut out, self.framing()).is_err() {
            return self.refuse(Reason::Gate(Gate::ForwardedHeadTooLarge));
        }
        self.record.status = status;
        Verdict::Answer(Answer { out, record: self.record, facts: Some(self.facts), rest: None })
    }

    fn answer(mut self, out: Buffer, reason: Reason) -> Verdict {
        self.record.reason = Some(reason);
        Verdict::Answer(Answer { out, record: self.record, facts: Some(self.facts), rest: None })
    }

    /// The connection goes on behind an answer of ours only if the body, which nobody wants, is small
    /// enough to be read and thrown away.
    fn spare_body(&mut self) {
        self.facts.keep_alive &= self.facts.can_discard_body();
    }

    /// How an answer of ours ends.
    fn framing(&self) -> Framing<'_> {
        Framing::of(self.live, &self.facts, self.record.since().time, self.facts.keep_alive)
    }
}
