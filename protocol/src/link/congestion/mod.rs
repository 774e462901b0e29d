//! How much a client may be sent, and when.
//!
//! ```text
//!   on_sent, on_acked, on_lost ──▶ Flow ──ack and loss samples──▶ Controller ──rate, window──▶ Pacer
//!                                   │  DeliveryRate (each packet)  Copa | FixedRate              │
//!   on_tick(now), each tick ────────┘                            budget(now, until), departure(now)
//! ```
//!
//! A controller hears what became of packets and says two numbers: a rate in bytes a second and a window in
//! bytes. The pacer turns the rate into departure times. Nothing here knows what the packets carry, and
//! nothing is held back here: the owner asks for the budget and spends it on what is most urgent.

mod controller;
mod copa;
mod delivery;
mod filter;
mod fixed;
mod flow;
mod loss;
mod pacer;

pub use controller::{AckSample, CongestionConfig, Control, Controller, LossSample, Mode};
pub use copa::{Copa, INITIAL_WINDOW_BYTES};
pub use delivery::{DeliveryRate, DeliverySample, PacketState};
pub use fixed::FixedRate;
pub use flow::{AckedPacket, Flow, FlowStats};
pub use pacer::{Budget, PACER_BURST_MAX, Pacer};
