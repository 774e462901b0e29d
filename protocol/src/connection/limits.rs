//! The bounds of the connection layer, and the sizes that NETCODE 1.02 fixes.
//!
//! Everything that grows has its bound here; what is derived from another constant is computed, and
//! relations that must hold are asserted when this is compiled.

use crate::time::Duration;

/// "NETCODE 1.02" and its terminating zero, as every request, token and associated data carry it.
pub const VERSION: [u8; 13] = *b"NETCODE 1.02\0";
/// Bytes of a ChaCha20-Poly1305 key.
pub const KEY_LEN: usize = 32;
/// Bytes of a Poly1305 tag.
pub const TAG_LEN: usize = 16;
/// Bytes of the random nonce of a connect token.
pub const TOKEN_NONCE_LEN: usize = 24;
/// Bytes of the user data in a token.
pub const USER_DATA_LEN: usize = 256;
/// Bytes of an encrypted private token, tag included.
pub const PRIVATE_TOKEN_LEN: usize = 1_024;
/// Bytes of a public connect token.
pub const CONNECT_TOKEN_LEN: usize = 2_048;
/// Bytes of an encrypted challenge token, tag included.
pub const CHALLENGE_TOKEN_LEN: usize = 300;
/// Server addresses that a token may list.
pub const TOKEN_SERVERS_MAX: usize = 32;

/// Payload bytes in one packet, at most.
pub const PAYLOAD_LEN_MAX: usize = 1_200;
/// Bytes of the longest sequence number.
pub const SEQUENCE_LEN_MAX: usize = 8;
/// Bytes that sealing adds to a payload of ours: prefix, an eight-byte sequence number, tag. It never
/// changes within a session, so that packets of equal payload are equal in length.
pub const PACKET_OVERHEAD: usize = 1 + SEQUENCE_LEN_MAX + TAG_LEN;
/// Bytes of a connection id: as many as the longest datagram has room for.
pub const CONNECTION_ID_LEN: usize = 6;
/// The longest datagram of an established session: a client's with a connection id.
pub const DATAGRAM_LEN_MAX: usize = PACKET_OVERHEAD + CONNECTION_ID_LEN + PAYLOAD_LEN_MAX;
/// Bytes that a path's challenge holds.
pub const PATH_TOKEN_LEN: usize = 8;
/// Bytes of a path's challenge: what asks for one must not be shorter.
pub const PATH_CHALLENGE_LEN: usize = PACKET_OVERHEAD + PATH_TOKEN_LEN;
/// Bytes of a connection request.
pub const REQUEST_LEN: usize = 1 + VERSION.len() + 8 + 8 + TOKEN_NONCE_LEN + PRIVATE_TOKEN_LEN;
/// Bytes of the longest answer to someone who is not connected (a challenge).
pub const ANSWER_LEN_MAX: usize = PACKET_OVERHEAD + 8 + CHALLENGE_TOKEN_LEN;
/// Shorter than this, a datagram cannot be a packet (NETCODE 1.02, Reading Encrypted Packets).
pub const DATAGRAM_LEN_MIN: usize = 1 + 1 + TAG_LEN;

/// How often a side that has nothing else to send says that it is there, and resends a handshake packet.
pub const KEEP_ALIVE: Duration = Duration::from_ms(100);
/// The same between our own ends, where the token says so and its timeout leaves room.
pub const SLOW_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Slow keep-alives that may be lost in a row before a session times out, at least.
pub const SLOW_KEEP_ALIVES_PER_TIMEOUT: u64 = 4;
/// Challenges to new addresses of one session each second, and at once.
pub const PATH_CHALLENGES_PER_S: u32 = 10;
/// A challenge to a new address must be answered within this time.
pub const PATH_CHALLENGE_TIME_MAX: Duration = Duration::from_secs(3);
/// Redundant disconnect packets at the end of a session.
pub const FAREWELLS: u8 = 10;
/// A handshake that has not been answered after this long is forgotten, whatever its token allows.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Handshakes under way at once, in all.
pub const HANDSHAKES_MAX: usize = 4_096;
/// Handshakes under way at once from one network.
pub const HANDSHAKES_PER_NETWORK_MAX: u16 = 256;
/// Addresses that may be on the way in with one token. More than one, so that a client whose address
/// changes, or whose request was copied on its way, still gets in; few, since a lie costs nothing.
pub const HANDSHAKES_PER_TOKEN_MAX: usize = 4;
/// Answers to requests that wait to be sent.
pub const ANSWERS_MAX: usize = 1_024;
/// Events that wait to be polled; at this many the server takes no further datagram.
pub const EVENTS_MAX: usize = 1_024;
/// Ended sessions whose farewells wait to be sent, unless there are more slots.
pub const FAREWELLS_WAITING_MIN: usize = 64;
/// A token may live this long; one that expires later could not be remembered as used for long enough.
pub const TOKEN_LIFETIME_S_MAX: u64 = 24 * 60 * 60;
/// Used tokens that are remembered, unless eight for each slot are more.
pub const USED_TOKENS_MIN: usize = 65_536;
/// Used tokens that are remembered for each slot.
pub const USED_TOKENS_PER_SLOT: usize = 8;
/// Expired tokens that are forgotten in one step.
pub const FORGET_STEPS: usize = 256;
/// Private tokens that are opened each second, for all addresses together: under 1 % of a core (`cargo bench
/// --bench abuse`), and room for every client of a full server that restarts within half a second.
pub const REQUEST_OPENS_PER_S: u32 = 8_000;
/// Private tokens that are opened at once: under 1 % of a tick at 60 Hz.
pub const REQUEST_OPENS_BURST: u32 = 128;
/// Responses that are opened each second, for all addresses together.
pub const RESPONSE_OPENS_PER_S: u32 = 8_000;
/// Responses that are opened at once.
pub const RESPONSE_OPENS_BURST: u32 = 128;
/// Responses to one challenge that are opened each second, and at once; a client sends ten.
pub const RESPONSES_PER_HANDSHAKE_S: u32 = 32;
/// Requests from one network that are opened each second, unless the operator says otherwise. A client asks
/// ten times a second until it is answered.
pub const REQUESTS_PER_NETWORK_S: u32 = 64;
/// Seconds of a network's requests that may come at once.
pub const REQUESTS_BURST_S: u32 = 4;
/// Cells in which networks' requests are counted: half a mebibyte.
pub const RATE_CELLS: usize = 1 << 16;
/// Packets of one client that are taken each second; an honest one sends a few for each of its ticks.
pub const PACKETS_PER_CLIENT_S: u32 = 1_000;
/// Packets of one client that are taken at once: what a stalled line lets go of.
pub const PACKETS_PER_CLIENT_BURST: u32 = 256;

const _: () = assert!(REQUEST_LEN == 1_078 && ANSWER_LEN_MAX == 333 && PACKET_OVERHEAD == 25);
const _: () = assert!(ANSWER_LEN_MAX < REQUEST_LEN, "an answer must never be longer than its request");
// IPv6 carries 1,280 bytes everywhere: 40 of its header and 8 of UDP's come off.
const _: () = assert!(DATAGRAM_LEN_MAX <= 1_280 - 40 - 8);
