//! Tracy's zones and frames, with the feature `tracy`; without it, nothing at all.
//!
//! A tick is a frame and a phase is a zone. On demand: nothing is collected until a Tracy profiler connects, from the
//! same machine, and nothing is kept for one that does not.

use crate::telemetry::Phase;

#[cfg(feature = "tracy")]
mod live {
    use tracy_client::{Client, Span, SpanLocation, span_location};

    use super::Phase;

    /// A phase under way.
    pub struct Zone(Option<Span>);

    impl Zone {
        /// Begins a phase's.
        pub fn of(phase: Phase) -> Self {
            Zone(Client::running().map(|client| client.span(location(phase), 0)))
        }

        /// Ends it.
        pub fn end(&mut self) {
            self.0 = None;
        }
    }

    /// Lets a profiler connect from now on.
    pub fn start() {
        Client::start();
    }

    /// A tick is done.
    pub fn frame() {
        if let Some(client) = Client::running() {
            client.frame_mark();
        }
    }

    fn location(phase: Phase) -> &'static SpanLocation {
        match phase {
            Phase::Ingress => span_location!("ingress"),
            Phase::Simulate => span_location!("simulate"),
            Phase::Interest => span_location!("interest"),
            Phase::Generate => span_location!("generate"),
            Phase::Replicate => span_location!("replicate"),
            Phase::Stream => span_location!("stream"),
            Phase::Egress => span_location!("egress"),
        }
    }
}

#[cfg(not(feature = "tracy"))]
mod live {
    use super::Phase;

    /// A phase under way: nothing.
    pub struct Zone;

    impl Zone {
        /// Nothing.
        pub fn of(_: Phase) -> Self {
            Zone
        }

        /// Nothing.
        pub fn end(&mut self) {}
    }

    /// Nothing.
    pub fn start() {}

    /// Nothing.
    pub fn frame() {}
}

pub use live::{Zone, frame, start};
