//! The server's figures over HTTP, for machines: Prometheus, orchestrators, load testers, `ninefold top`.
//!
//! ```text
//!   GET /metrics   every figure of the table, as OpenMetrics text
//!   GET /state     all of it as one JSON document (telemetry::state)
//!   GET /healthz   200 while the server's threads go round
//!   GET /readyz    200 while its ticks also come on time
//!   POST /record   asks the flight recorder for a trace
//! ```
//!
//! A thread of its own, a bounded number of connections, bounded requests. It only reads what the other threads have
//! written down, and none of them waits for it.

mod fetch;
mod health;
mod http;
mod routes;

pub use fetch::{FetchError, ask_for_trace, fetch_state};
pub use http::{BoundMetrics, RunningMetrics};
