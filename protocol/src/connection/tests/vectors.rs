//! Golden bytes of tokens and of every packet of a connection.

use super::super::crypto::{Cipher, Key};
use super::super::extension::{aes_key, connection_id};
use super::super::limits::{CHALLENGE_TOKEN_LEN, DATAGRAM_LEN_MAX, PRIVATE_TOKEN_LEN, REQUEST_LEN, VERSION};
use super::super::packet::{Kind, Request, Sealed, seal_named};
use super::super::token::{ChallengeToken, PrivateToken};
use super::super::{ConnectToken, EXTENDED_USER_DATA_LEN, Extensions, TokenParams};
use crate::vectors::{Fields, File, Sample, Unit};

pub(crate) const VECTORS: File = File {
    name: "connection.txt",
    about: "NETCODE 1.02: tokens and packets. Keys, nonces and sequences are given, so that bytes repeat.",
    units: &[
        Unit { name: "connect token", encode: encode_token, decode: decode_token },
        Unit { name: "extended connect token", encode: encode_extended, decode: decode_extended },
        Unit { name: "private token", encode: encode_private, decode: decode_private },
        Unit { name: "challenge token", encode: encode_challenge_token, decode: decode_challenge_token },
        Unit { name: "request", encode: encode_request, decode: decode_request },
        Unit { name: "denied", encode: encode_packet::<1>, decode: decode_packet::<1> },
        Unit { name: "challenge", encode: encode_packet::<2>, decode: decode_packet::<2> },
        Unit { name: "response", encode: encode_packet::<3>, decode: decode_packet::<3> },
        Unit { name: "keep-alive", encode: encode_packet::<4>, decode: decode_packet::<4> },
        Unit { name: "payload", encode: encode_packet::<5>, decode: decode_packet::<5> },
        Unit { name: "disconnect", encode: encode_packet::<6>, decode: decode_packet::<6> },
        Unit { name: "AES payload", encode: encode_packet::<7>, decode: decode_packet::<7> },
        Unit { name: "path challenge", encode: encode_packet::<8>, decode: decode_packet::<8> },
        Unit { name: "path response", encode: encode_packet::<9>, decode: decode_packet::<9> },
        Unit { name: "named keep-alive", encode: encode_packet::<10>, decode: decode_packet::<10> },
        Unit { name: "named payload", encode: encode_packet::<11>, decode: decode_packet::<11> },
        Unit { name: "named AES payload", encode: encode_packet::<12>, decode: decode_packet::<12> },
        Unit { name: "named disconnect", encode: encode_packet::<13>, decode: decode_packet::<13> },
    ],
    samples,
};

fn params(f: &Fields) -> TokenParams {
    TokenParams {
        protocol_id: f.number("protocol_id"),
        client_id: f.number("client_id"),
        create_unix_s: f.number("create_unix_s"),
        expire_unix_s: f.number("expire_unix_s"),
        timeout_s: f.number("timeout_s"),
        server_addresses: f.text("servers").split(' ').map(|a| a.parse().expect("an address")).collect(),
        user_data: f.array("user_data"),
    }
}

fn mint(f: &Fields) -> ConnectToken {
    let (up, down) = (f.array("client_to_server_key"), f.array("server_to_client_key"));
    ConnectToken::mint(&params(f), &f.array("private_key"), f.array("nonce"), up, down).expect("it can be")
}

/// User data without its last 24 bytes, which the extensions take.
fn encode_extended(f: &Fields) -> Vec<u8> {
    let mut user_data = f.bytes("user_data");
    user_data.resize(256, 0);
    let plain = f.clone().replace("user_data", &user_data);
    let [aes_payloads, connection_id, slow_keep_alives] =
        ["aes_payloads", "connection_id", "slow_keep_alives"].map(|name| f.number::<u8>(name) == 1);
    let extensions = Extensions { aes_payloads, connection_id, slow_keep_alives };
    let (up, down) = (f.array("client_to_server_key"), f.array("server_to_client_key"));
    let (private_key, nonce) = (f.array("private_key"), f.array("nonce"));
    ConnectToken::mint_extended(&params(&plain), extensions, &private_key, nonce, up, down)
        .expect("it can be")
        .to_bytes()
        .to_vec()
}

fn decode_extended(f: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let fields = decode_token(f, bytes)?;
    let user_data: [u8; 256] = fields.array("user_data");
    let token = ConnectToken::from_bytes(bytes.try_into().expect("it was just read")).expect("likewise");
    let Extensions { aes_payloads, connection_id, slow_keep_alives } = token.extensions;
    let fields = fields.replace("user_data", &user_data[..EXTENDED_USER_DATA_LEN]);
    Ok(fields
        .with("aes_payloads", u8::from(aes_payloads))
        .with("connection_id", u8::from(connection_id))
        .with("slow_keep_alives", u8::from(slow_keep_alives)))
}

fn open(f: &Fields, bytes: &[u8; PRIVATE_TOKEN_LEN]) -> Result<PrivateToken, String> {
    let (key, protocol_id) = (Key(f.array("private_key")), f.number("protocol_id"));
    PrivateToken::open(&mut bytes.clone(), &key, protocol_id, f.number("expire_unix_s"), &f.array("nonce"))
        .map_err(|e| e.to_string())
}

fn servers(addresses: &[std::net::SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn encode_token(f: &Fields) -> Vec<u8> {
    mint(f).to_bytes().to_vec()
}

fn decode_token(f: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let bytes = bytes.try_into().map_err(|_| "a connect token has 2,048 bytes")?;
    let token = ConnectToken::from_bytes(bytes).map_err(|e| e.to_string())?;
    let private = open(f, &token.private)?;
    assert_eq!(private.server_addresses, token.server_addresses);
    assert_eq!(private.timeout_s, token.timeout_s);
    Ok(Fields::new()
        .given(f, &["private_key"])
        .hex("nonce", &token.nonce)
        .with("protocol_id", token.protocol_id)
        .with("create_unix_s", token.create_unix_s)
        .with("expire_unix_s", token.expire_unix_s)
        .with("timeout_s", token.timeout_s)
        .with("servers", servers(&token.server_addresses))
        .hex("client_to_server_key", &token.client_to_server.0)
        .hex("server_to_client_key", &token.server_to_client.0)
        .with("client_id", private.client_id)
        .hex("user_data", &private.user_data[..]))
}

fn encode_private(f: &Fields) -> Vec<u8> {
    mint(&f.clone().with("create_unix_s", f.text("expire_unix_s"))).private.to_vec()
}

fn decode_private(f: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let private = open(f, bytes.try_into().map_err(|_| "a private token has 1,024 bytes")?)?;
    Ok(Fields::new()
        .given(f, &["private_key", "nonce", "protocol_id", "expire_unix_s"])
        .with("client_id", private.client_id)
        .with("timeout_s", private.timeout_s)
        .with("servers", servers(&private.server_addresses))
        .hex("client_to_server_key", &private.client_to_server.0)
        .hex("server_to_client_key", &private.server_to_client.0)
        .hex("user_data", &private.user_data[..]))
}

fn encode_challenge_token(f: &Fields) -> Vec<u8> {
    let token =
        ChallengeToken { client_id: f.number("client_id"), user_data: Box::new(f.array("user_data")) };
    token.seal(&Cipher::new(&Key(f.array("challenge_key"))), f.number("challenge_sequence")).to_vec()
}

fn decode_challenge_token(f: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let cipher = Cipher::new(&Key(f.array("challenge_key")));
    let token = ChallengeToken::open(&mut bytes.to_vec(), &cipher, f.number("challenge_sequence"));
    let token = token.ok_or("the challenge is not authentic")?;
    let given = Fields::new().given(f, &["challenge_key", "challenge_sequence"]);
    Ok(given.with("client_id", token.client_id).hex("user_data", &token.user_data[..]))
}

fn encode_request(f: &Fields) -> Vec<u8> {
    let mut out = [0xa5; REQUEST_LEN];
    let (protocol_id, expire, nonce) = (f.number("protocol_id"), f.number("expire_unix_s"), f.array("nonce"));
    Request::write(protocol_id, expire, &nonce, &f.array("private_token"), &mut out);
    out.to_vec()
}

fn decode_request(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let mut bytes = bytes.to_vec();
    let request = Request::parse(&mut bytes).ok_or("a request has type 0 and 1,078 bytes")?;
    if request.version != VERSION {
        return Err("the version is not NETCODE 1.02".to_owned());
    }
    Ok(Fields::new()
        .with("protocol_id", request.protocol_id)
        .with("expire_unix_s", request.expire_unix_s)
        .hex("nonce", &request.nonce)
        .hex("private_token", request.private_token))
}

const KINDS: [Kind; 14] = [
    Kind::Request,
    Kind::Denied,
    Kind::Challenge,
    Kind::Response,
    Kind::KeepAlive,
    Kind::Payload,
    Kind::Disconnect,
    Kind::AesPayload,
    Kind::PathChallenge,
    Kind::PathResponse,
    Kind::NamedKeepAlive,
    Kind::NamedPayload,
    Kind::NamedAesPayload,
    Kind::NamedDisconnect,
];

/// The session key given, or what is derived from it.
fn cipher(kind: Kind, f: &Fields) -> Cipher {
    let key = Key(f.array("key"));
    if kind.is_aes() { Cipher::aes_128(&aes_key(&key)) } else { Cipher::new(&key) }
}

/// What is inside the seal, kind by kind.
fn encode_body(kind: Kind, f: &Fields) -> Vec<u8> {
    match kind.unnamed() {
        Kind::Challenge | Kind::Response => {
            let token: [u8; CHALLENGE_TOKEN_LEN] = f.array("challenge_token");
            [&f.number::<u64>("challenge_sequence").to_le_bytes()[..], &token].concat()
        }
        Kind::KeepAlive => ["client_index", "clients_max"].map(|n| f.number::<u32>(n).to_le_bytes()).concat(),
        Kind::Payload | Kind::AesPayload => f.bytes("payload"),
        Kind::PathChallenge | Kind::PathResponse => f.bytes("path_token"),
        _ => Vec::new(),
    }
}

fn encode_packet<const KIND: usize>(f: &Fields) -> Vec<u8> {
    let (kind, cipher) = (KINDS[KIND], cipher(KINDS[KIND], f));
    let (sequence, protocol_id) = (f.number::<u64>("sequence"), f.number::<u64>("protocol_id"));
    let mut body = encode_body(kind, f);
    let sequence_bytes: usize = f.number("sequence_bytes");
    if sequence_bytes == 8 {
        let mut out = [0xa5; DATAGRAM_LEN_MAX];
        let id = kind.is_named().then(|| f.array("connection_id"));
        let length = seal_named(kind, id.as_ref(), sequence, &cipher, protocol_id, &[&body], &mut out);
        return out[..length].to_vec();
    }
    // Ours always take eight; others write as few as the number needs.
    let prefix = (sequence_bytes as u8) << 4 | KIND as u8;
    let associated = [&VERSION[..], &protocol_id.to_le_bytes(), &[prefix]].concat();
    let tag = cipher.seal(sequence, &associated, &mut body);
    [&[prefix], &sequence.to_le_bytes()[..sequence_bytes], &body, &tag].concat()
}

fn decode_packet<const KIND: usize>(f: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let mut bytes = bytes.to_vec();
    let sequence_bytes = bytes.first().map_or(0, |prefix| prefix >> 4);
    let sealed = Sealed::parse(&mut bytes).ok_or("no packet: kind, sequence or length cannot be")?;
    assert_eq!(sealed.kind, KINDS[KIND]);
    let (sequence, id) = (sealed.sequence, sealed.connection_id);
    let cipher = cipher(KINDS[KIND], f);
    let body = sealed.open(&cipher, f.number("protocol_id")).ok_or("the packet is not authentic")?;
    let mut fields = Fields::new().given(f, &["key", "protocol_id"]);
    if let Some(id) = id {
        assert_eq!(id, connection_id(&Key(f.array("key"))));
        fields = fields.hex("connection_id", &id);
    }
    let fields = fields.with("sequence", sequence).with("sequence_bytes", sequence_bytes);
    let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("four bytes"));
    Ok(match KINDS[KIND].unnamed() {
        Kind::Challenge | Kind::Response => {
            let challenge = u64::from_le_bytes(body[..8].try_into().expect("eight bytes"));
            fields.with("challenge_sequence", challenge).hex("challenge_token", &body[8..])
        }
        Kind::KeepAlive => fields.with("client_index", word(0)).with("clients_max", word(4)),
        Kind::Payload | Kind::AesPayload => fields.hex("payload", body),
        Kind::PathChallenge | Kind::PathResponse => fields.hex("path_token", body),
        _ => fields,
    })
}

fn counting<const N: usize>(start: u8) -> [u8; N] {
    std::array::from_fn(|i| start.wrapping_add(i as u8))
}

const PROTOCOL_ID: u64 = u64::from_be_bytes(*b"ninefold");
const SESSION: u64 = 1 << 62 | 1_800_000_000_000_000 << 10;
const BEFORE_SLOT: u64 = 1 << 63 | 1_800_000_000_000_000 << 10;

fn private_fields(servers: &str, timeout_s: i32) -> Fields {
    Fields::new()
        .hex("private_key", &counting::<32>(0x10))
        .hex("nonce", &counting::<24>(0x40))
        .with("protocol_id", PROTOCOL_ID)
        .with("expire_unix_s", 1_800_000_060_u64)
        .with("client_id", 42)
        .with("timeout_s", timeout_s)
        .with("servers", servers)
        .hex("client_to_server_key", &counting::<32>(0x60))
        .hex("server_to_client_key", &counting::<32>(0x80))
        .hex("user_data", &counting::<256>(0))
}

fn token_fields(servers: &str, timeout_s: i32) -> Fields {
    let f = private_fields(servers, timeout_s);
    Fields::new()
        .given(&f, &["private_key", "nonce", "protocol_id"])
        .with("create_unix_s", 1_800_000_000_u64)
        .given(&f, &["expire_unix_s", "timeout_s", "servers", "client_to_server_key", "server_to_client_key"])
        .given(&f, &["client_id", "user_data"])
}

fn samples() -> Vec<Sample> {
    let mut all = token_samples();
    all.extend(packet_samples());
    all
}

fn token_samples() -> Vec<Sample> {
    let both = "203.0.113.9:40000 [2001:db8::1]:40001";
    let token = token_fields(both, 10);
    let mut bytes = encode_token(&token);
    let private = encode_private(&private_fields(both, 10));
    let challenge = Fields::new()
        .hex("challenge_key", &counting::<32>(0xc0))
        .with("challenge_sequence", 3)
        .with("client_id", 42)
        .hex("user_data", &counting::<256>(0));
    let mut broken = |at: usize, value: u8| {
        let before = std::mem::replace(&mut bytes[at], value);
        let broken = bytes.clone();
        bytes[at] = before;
        broken
    };
    let given = Fields::new().given(&token, &["private_key", "nonce", "protocol_id", "expire_unix_s"]);
    let refused = |case, bytes: &[u8]| Sample::refused("connect token", case, given.clone(), bytes);
    let request = Fields::new()
        .given(&token, &["protocol_id", "expire_unix_s", "nonce"])
        .hex("private_token", &private);
    let request_bytes = encode_request(&request);
    let none = Fields::new;
    let mut old = request_bytes.clone();
    old[12] = b'1';
    vec![
        Sample::new("connect token", "an IPv4 and an IPv6 server", token.clone()),
        Sample::new("connect token", "no timeout", token_fields("127.0.0.1:1", -1)),
        refused("of version 1.01", &broken(11, b'1')),
        refused("expires before it was made", &broken(28, 0x7f)),
        refused("no server", &broken(1_089, 0)),
        refused("33 servers", &broken(1_089, 33)),
        refused("an address of type 3", &broken(1_093, 3)),
        refused("a changed private part", &broken(500, 0)),
        Sample::new("extended connect token", "all extensions", {
            let short = token_fields("127.0.0.1:1", 10).replace("user_data", &counting::<232>(0));
            short.with("aes_payloads", 1).with("connection_id", 1).with("slow_keep_alives", 1)
        }),
        Sample::new("private token", "an IPv4 and an IPv6 server", private_fields(both, 10)),
        Sample::new("challenge token", "the fourth challenge", challenge),
        Sample::new("request", "of the first token", request),
        Sample::refused("request", "a byte short", none(), &request_bytes[..1_077]),
        Sample::refused("request", "of version 1.01", none(), &old),
    ]
}

fn packet_samples() -> Vec<Sample> {
    let packet = |key: u8, sequence: u64, sequence_bytes: u8| {
        let f = Fields::new().hex("key", &counting::<32>(key)).with("protocol_id", PROTOCOL_ID);
        f.with("sequence", sequence).with("sequence_bytes", sequence_bytes)
    };
    let (up, down) = (0x60, 0x80);
    let challenged = |f: Fields| {
        f.with("challenge_sequence", 3).hex("challenge_token", &counting::<CHALLENGE_TOKEN_LEN>(1))
    };
    let slot = |f: Fields| f.with("client_index", 7).with("clients_max", 4_096);
    let path = |f: Fields| f.hex("path_token", &counting::<8>(0xe0));
    let named = |sequence: u64| {
        let id = connection_id(&Key(counting(up)));
        let f = Fields::new().hex("key", &counting::<32>(up)).with("protocol_id", PROTOCOL_ID);
        f.hex("connection_id", &id).with("sequence", sequence).with("sequence_bytes", 8)
    };
    let payload = packet(up, SESSION, 8).hex("payload", b"\x00\x00\x00\x00\x12\x00\x00");
    let bytes = encode_packet::<5>(&payload);
    let mut forged = bytes.clone();
    forged[12] ^= 1;
    let mut other_kind = encode_packet::<5>(&packet(up, SESSION, 8).hex("payload", &[0; 8]));
    other_kind[0] = 0x84;
    let given = || Fields::new().given(&payload, &["key", "protocol_id"]);
    vec![
        Sample::new("denied", "to a full server", packet(down, BEFORE_SLOT, 8)),
        Sample::new("challenge", "the fourth", challenged(packet(down, BEFORE_SLOT + 1, 8))),
        Sample::new("response", "to it", challenged(packet(up, SESSION, 8))),
        Sample::new("keep-alive", "slot 7 of 4,096", slot(packet(down, SESSION, 8))),
        Sample::new("keep-alive", "a client's own", slot(packet(up, SESSION + 1, 8))),
        Sample::new("payload", "a link packet with PING", payload.clone()),
        Sample::new(
            "payload",
            "the longest",
            packet(down, SESSION + 1, 8).hex("payload", &counting::<1_200>(0)),
        ),
        Sample::new("payload", "sequence 0, one byte of it", packet(up, 0, 1).hex("payload", b"x")),
        Sample::new("payload", "sequence 1,000, two bytes of it", packet(up, 1_000, 2).hex("payload", b"x")),
        Sample::new("payload", "the last sequence", packet(up, u64::MAX, 8).hex("payload", b"x")),
        Sample::new("disconnect", "by the client", packet(up, SESSION + 2, 8)),
        Sample::new("AES payload", "by the server", packet(down, SESSION + 3, 8).hex("payload", b"down")),
        Sample::new("path challenge", "to a new address", path(packet(down, SESSION + 4, 8))),
        Sample::new("path response", "from there", path(named(SESSION + 5))),
        Sample::new("named keep-alive", "a client's own", slot(named(SESSION + 6))),
        Sample::new("named payload", "by the client", named(SESSION + 7).hex("payload", b"up")),
        Sample::new("named AES payload", "by the client", named(SESSION + 8).hex("payload", b"up")),
        Sample::new("named disconnect", "by the client", named(SESSION + 9)),
        Sample::refused("payload", "a changed bit", given(), &forged),
        Sample::refused("payload", "a bit of the sequence changed", given(), &{
            let mut bytes = bytes.clone();
            bytes[1] ^= 1;
            bytes
        }),
        Sample::refused("payload", "empty", given(), &bytes[..25]),
        Sample::refused("keep-alive", "made of a payload of eight bytes", given(), &other_kind),
    ]
}
