//! Every configuration key, once.
//!
//! A line of the table is a key's explanation, name, type, default and bounds; the macro makes the struct,
//! the defaults and the list of keys from it. To add a key, add a line.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ninefold_protocol::link::congestion::Mode;
use ninefold_world::BuiltIn;

use super::value::{Problem, Raw, Value};
use crate::carrier::UDP_THREADS_MAX;
use crate::logging::LogFormat;

/// A key of the configuration.
pub struct Key {
    /// As in the file.
    pub name: &'static str,
    /// Lines of plain words.
    pub explanation: &'static [&'static str],
    /// What a value has to be.
    pub wants: &'static str,
    /// The allowed values, in words; empty where the type says it all.
    pub allowed: fn() -> String,
    pub(super) set: fn(&mut Config, Raw<'_>) -> Result<(), Problem>,
    /// The value as TOML.
    pub(super) show: fn(&Config) -> String,
}

impl Key {
    /// The environment variable of the key.
    pub fn env_name(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// The flag of the key, without its two dashes.
    pub fn flag_name(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The default as TOML.
    pub fn default_toml(&self) -> String {
        (self.show)(&Config::default())
    }

    /// Where in [`KEYS`] the key of that name is.
    pub(super) fn index(name: &str) -> Option<usize> {
        KEYS.iter().position(|key| key.name == name)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What every environment variable of the configuration begins with.
pub(super) const ENV_PREFIX: &str = "NINEFOLD_";

macro_rules! config_keys {
    ($($(#[doc = $line:literal])+ $name:ident: $kind:ty = $default:expr $(, in $range:expr)?;)+) => {
        /// The configuration of a server. Every field is a key of the file, an environment variable and a
        /// flag; `ninefold config` prints them all.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $line])+ pub $name: $kind,)+
        }

        impl Default for Config {
            fn default() -> Self {
                Config { $($name: $default,)+ }
            }
        }

        /// Every key, in the order in which they are explained.
        pub static KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            explanation: &[$($line),+],
            wants: <$kind as Value>::WANTS,
            allowed: || config_keys!(@allowed $kind $(, $range)?),
            set: |config, raw| {
                let value = <$kind as Value>::read(raw)?;
                $(if !$range.contains(&value) {
                    return Err(Problem::OutOfRange { value: value.to_toml() });
                })?
                config.$name = value;
                Ok(())
            },
            show: |config| config.$name.to_toml(),
        },)+];
    };
    (@allowed $kind:ty) => { <$kind as Value>::allowed() };
    (@allowed $kind:ty, $range:expr) => {{
        let range: RangeInclusive<$kind> = $range;
        format!("{} to {}", range.start(), range.end())
    }};
}

config_keys! {
    /// The address and UDP port to listen on. Port 0 takes any free port.
    listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 40_000));

    /// The address and UDP port to listen on for QUIC, in quotes. Empty: no QUIC.
    quic_listen: Option<SocketAddr> = None;

    /// A PEM file with the server's certificate for QUIC, its own first, then those up to the authority.
    /// Empty: one for development is made at the start, and its fingerprint is logged.
    quic_certificate_file: PathBuf = PathBuf::new();

    /// A PEM file with the private key of that certificate.
    quic_key_file: PathBuf = PathBuf::new();

    /// QUIC connections on their way in at once; further ones are refused. From a quarter of them on,
    /// clients have to prove their address first.
    quic_handshakes_max: u32 = 1_024, in 1..=65_536;

    /// A development switch: a folder to write the keys of QUIC sessions into (keys.log, in the format of
    /// SSLKEYLOGFILE) and the qlogs of the first connections. Whoever reads it can read all QUIC traffic.
    /// Empty: off.
    quic_debug_dir: PathBuf = PathBuf::new();

    /// The address and TCP port, in quotes, on which the server shows its figures over HTTP: /metrics for Prometheus,
    /// /state, /healthz and /readyz. Plain and open to whoever reaches it. Empty: off.
    metrics_listen: Option<SocketAddr> = None;

    /// The addresses under which clients reach the server; a connect token has to name one of them,
    /// whatever carrier it is shown on. Empty: the addresses it listens on.
    public_addrs: Vec<SocketAddr> = Vec::new();

    /// A file with the private key that connect tokens are made with: 64 hexadecimal digits. A relative
    /// path starts at the working directory. Empty: development mode, in which the key is a published one
    /// and the server listens on loopback only.
    private_key_file: PathBuf = PathBuf::new();

    /// Seconds that every connect token lives from its making, where they all live equally long. The server
    /// then knows when a token was made, and refuses those that live longer or were made before it started.
    /// 0: tokens live as they like, up to a day, and their making cannot be told.
    token_lifetime_s: u32 = 0, in 0..=86_400;

    /// Connection requests, and as many QUIC connections, per second that are looked into from one IPv4 address or IPv6 /64
    /// network; four seconds' worth may come at once. More let more players behind one address in at a time. Loopback is
    /// not limited.
    requests_per_network_s: u32 = 64, in 1..=1_000_000;

    /// A number that client, token and server must agree on, so that different games or versions never
    /// meet. The default spells "ninefold" in ASCII.
    protocol_id: u64 = u64::from_be_bytes(*b"ninefold");

    /// The number that the whole world follows from. The same seed gives the same world, bit for bit.
    world_seed: u64 = 9;

    /// Who makes the world: "bsp", dungeons, courtyards and open land; "plain", flat grass without end.
    generator: BuiltIn = BuiltIn::Bsp;

    /// Simulation steps per second.
    tick_rate_hz: u32 = 60, in 1..=240;

    /// Threads that a tick shares its clients out among. More than one pays where cores are left beside those of the
    /// carriers, from some hundred clients on; what clients get is the same.
    tick_threads: u32 = 1, in 1..=64;

    /// Clients that may be connected at once; further ones are denied.
    clients_max: u32 = 4_096, in 1..=65_536;

    /// Chunks that the server remembers each client to hold. A client that keeps more is sent some of
    /// them again.
    client_cache_chunks_max: u32 = 1_024, in 9..=65_536;

    /// How fast players walk, in world units per second. A chunk is 1024 units wide.
    walk_speed_units_s: u32 = 320, in 1..=4_096;

    /// A snapshot of what is around it goes to each client every so many ticks.
    snapshot_every_ticks: u32 = 1, in 1..=15;

    /// Bytes that one snapshot may have. What does not fit waits for the next one, the most urgent first.
    snapshot_bytes_max: u32 = 1_000, in 200..=1_000;

    /// Creatures that wander about each chunk in which a player is.
    creatures_per_chunk: u32 = 1, in 0..=16;

    /// How far from the origin players come into the world, in chunks.
    spawn_radius_chunks: u32 = 4, in 0..=1_024;

    /// Fragments of the chunk that a client stands in that are sent to it per tick at most. A fragment
    /// is a datagram of up to 1150 bytes of chunk.
    active_fragments_per_tick: u32 = 64, in 1..=1_024;

    /// Fragments of the eight chunks around it that are sent to a client per tick at most, all together.
    neighbour_fragments_per_tick: u32 = 8, in 1..=1_024;

    /// How the rate at which a client is sent its chunks is found: "copa" measures what its line carries
    /// without a queue, "fixed" takes the ceiling (QUIC measures below it in any case).
    congestion_control: Mode = Mode::Copa;

    /// Bytes per second that a client may be sent at least, however bad its line looks. Snapshots and
    /// messages are sent at once in any case; chunks get what they leave.
    client_rate_min_bytes_s: u64 = 32_000, in 1_000..=1_000_000_000;

    /// Bytes per second that a client is sent at most.
    client_rate_max_bytes_s: u64 = 12_500_000, in 1_000..=10_000_000_000;

    /// Bytes on their way to a client and not acknowledged above which its chunk fragments wait.
    in_flight_bytes_max: u32 = 262_144, in 4_096..=67_108_864;

    /// Threads that make chunks. 0: one fewer than the machine has cores, but at least one.
    generate_workers: u32 = 0, in 0..=256;

    /// Milliseconds that a worker may take for one chunk. Later the chunk counts as failed and the worker
    /// as hung; a fresh one takes its place.
    generate_deadline_ms: u32 = 2_000, in 10..=60_000;

    /// How often a chunk is tried whose generator panics, before it counts as failed.
    generate_attempts: u32 = 3, in 1..=10;

    /// Chunks that the workers are given ahead of time. More keep them busy through a long tick; fewer
    /// let the order follow the players sooner.
    making_max: u32 = 64, in 1..=4_096;

    /// Chunks that may wait to be given to the workers; further ones are asked for when there is room.
    queued_max: u32 = 65_536, in 1..=1_048_576;

    /// Finished chunks that a tick takes in at most; the rest wait for the next.
    take_in_chunks_per_tick: u32 = 64, in 1..=4_096;

    /// Microseconds that a tick spends on taking in finished chunks. It takes at least one.
    take_in_us_per_tick: u32 = 1_000, in 1..=1_000_000;

    /// Bytes of ready chunks above which those in nobody's ring are forgotten, the longest unused first.
    cache_bytes_max: u64 = 536_870_912, in 0..=1_099_511_627_776;

    /// Bytes asked of the system for the socket's receive buffer, and for its send buffer. The system may
    /// grant less, and the server then warns.
    socket_buffer_bytes: u32 = 8_388_608, in 65_536..=1_073_741_824;

    /// Threads that serve UDP, each with a socket of the same port (SO_REUSEPORT, Linux only) and a share of the clients.
    /// More than one is for a server whose one UDP thread fills its core: docs/scale.md. With more than one, other
    /// processes of the same user could join the port; with one, nobody can.
    udp_threads: u32 = 1, in 1..=UDP_THREADS_MAX as u32;

    /// Microseconds for which datagrams of many clients may gather before a UDP thread looks at them; it always looks just
    /// before a tick. More cost less, a handshake takes up to so much longer. 0: each datagram wakes the thread.
    gather_us: u32 = 1_000, in 0..=5_000;

    /// Ticks that are run at once to catch up after a late one; what is further behind is skipped and
    /// counted.
    catch_up_ticks_max: u32 = 4, in 0..=60;

    /// Whether the last ten seconds of ticks are kept in memory, to be written as a trace when a tick overruns, on
    /// SIGUSR1 and when somebody asks. docs/profiling.md says how to read one.
    recorder: bool = true;

    /// The folder that traces are written into, in quotes. It is made when the first is written; a relative path
    /// starts at the working directory. Empty: none is written.
    trace_dir: PathBuf = PathBuf::from("traces");

    /// Seconds from one trace of an overrun to the next at least; overruns between them are counted. 0: overruns
    /// have no trace.
    trace_overrun_interval_s: u32 = 60, in 0..=86_400;

    /// Traces that the folder holds at most; the oldest go.
    trace_files_max: u32 = 16, in 1..=10_000;

    /// Bytes of all traces in the folder at most; the oldest go.
    trace_bytes_max: u64 = 268_435_456, in 1_048_576..=1_099_511_627_776;

    /// How log lines look: "text" for people, "json" for programs, one object a line.
    log_format: LogFormat = LogFormat::Text;

    /// Lines a second of each kind of log message, one place in the code being one kind; ten may come at once. What
    /// is beyond is counted and told. 0: no bound.
    log_lines_per_kind_s: u32 = 1, in 0..=1_000_000;

    /// What is logged to standard error: off, error, warn, info, debug or trace, also by part, as in
    /// "info,ninefold::chunk=debug".
    log: String = String::from("info");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed_by_its_own_key() {
        for key in KEYS {
            let text = format!("x = {}", key.default_toml());
            let table = toml::de::DeTable::parse(&text).expect("a default is valid TOML");
            let value = table.get_ref().get("x").expect("it was just written").get_ref();
            let mut config = Config::default();
            let set = (key.set)(&mut config, Raw::Toml(value));
            assert_eq!(set, Ok(()), "{}", key.name);
            assert_eq!(config, Config::default(), "{}", key.name);
        }
    }

    #[test]
    fn every_key_is_explained_and_named_once() {
        for (n, key) in KEYS.iter().enumerate() {
            assert_eq!(Key::index(key.name), Some(n));
            assert!(key.explanation.concat().trim_end().ends_with('.'), "{}", key.name);
        }
        assert_eq!(KEYS[0].env_name(), "NINEFOLD_LISTEN");
        assert_eq!(KEYS[14].flag_name(), "tick-rate-hz");
    }
}
