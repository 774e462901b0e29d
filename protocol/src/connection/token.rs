//! Connect tokens: who may connect where, signed by whoever holds the private key (NETCODE 1.02,
//! Connect Token, Challenge Token).
//!
//! A matchmaker mints a [`ConnectToken`] and gives it to a client over a channel of its own. Its
//! private part is for the server's eyes alone; both parts carry the keys of the session.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crypto::{Cipher, Key, Tag, open_extended, seal_extended};
use super::extension::{Block, EXTENDED_USER_DATA_LEN, EXTENSION_LEN, Extensions, aes_key};
use super::limits::{
    CHALLENGE_TOKEN_LEN, CONNECT_TOKEN_LEN, KEY_LEN, PRIVATE_TOKEN_LEN, TAG_LEN, TOKEN_LIFETIME_S_MAX,
    TOKEN_NONCE_LEN, TOKEN_SERVERS_MAX, USER_DATA_LEN, VERSION,
};
use crate::codec::{Reader, Truncated, Writer};

// The longest token: the fixed fields, 32 IPv6 addresses of 19 bytes, two keys, and the block behind them.
const _: () = assert!(
    13 + 24 + TOKEN_NONCE_LEN + PRIVATE_TOKEN_LEN + 8 + 19 * TOKEN_SERVERS_MAX + 2 * KEY_LEN + EXTENSION_LEN
        <= CONNECT_TOKEN_LEN
);
const ADDRESS_V4: u8 = 1;
const ADDRESS_V6: u8 = 2;

/// The private key that stands in for a real one in development. It is published: whoever reads this can
/// connect to a server that uses it.
pub const DEVELOPMENT_KEY: [u8; KEY_LEN] = *b"ninefold development key, public";

/// What a token is to say.
#[derive(Debug, Clone)]
pub struct TokenParams {
    /// Which game and version of it; another one's tokens are refused.
    pub protocol_id: u64,
    /// Who may connect.
    pub client_id: u64,
    /// When it is minted, seconds since the Unix epoch.
    pub create_unix_s: u64,
    /// Until when it can be used.
    pub expire_unix_s: u64,
    /// Silence that ends the session, seconds; zero or less for none.
    pub timeout_s: i32,
    /// Where to connect, 1 to 32, in the order in which they are tried.
    pub server_addresses: Vec<SocketAddr>,
    /// For the server's eyes alone.
    pub user_data: [u8; USER_DATA_LEN],
}

/// Why a token is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It ends too early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Of another version of the standard.
    #[error("the token's version is not NETCODE 1.02")]
    Version,
    /// It expires before it was made.
    #[error("the token expires at {expire_unix_s}, before it was made at {create_unix_s}")]
    Expiry {
        /// When it was made.
        create_unix_s: u64,
        /// When it expires.
        expire_unix_s: u64,
    },
    /// It would live longer than a server remembers used tokens.
    #[error("the token lives {0} s, more than the {TOKEN_LIFETIME_S_MAX} s that a server accepts")]
    Lifetime(u64),
    /// No server, or more than a token may list.
    #[error("a token lists 1 to {TOKEN_SERVERS_MAX} servers, this one {0}")]
    Servers(u32),
    /// An address that is neither IPv4 nor IPv6.
    #[error("address type {0} is neither 1 (IPv4) nor 2 (IPv6)")]
    AddressType(u8),
    /// User data where the extensions belong.
    #[error("the last {EXTENSION_LEN} bytes of the user data must be zero, the extensions stand there")]
    UserData,
    /// The private part is not authentic.
    #[error("the private part was not sealed with this key for this protocol and expiry")]
    NotAuthentic,
}

/// The public token: what a client needs to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectToken {
    /// Which game.
    pub protocol_id: u64,
    /// When it was minted, seconds since the Unix epoch.
    pub create_unix_s: u64,
    /// Until when it can be used.
    pub expire_unix_s: u64,
    /// Silence that ends the session, seconds; zero or less for none.
    pub timeout_s: i32,
    /// Where to connect, in this order.
    pub server_addresses: Vec<SocketAddr>,
    /// What it allows beyond the standard.
    pub extensions: Extensions,
    /// The token ends with a block of ours, even if that allows nothing.
    has_block: bool,
    pub(super) nonce: [u8; TOKEN_NONCE_LEN],
    pub(super) private: Box<[u8; PRIVATE_TOKEN_LEN]>,
    pub(super) client_to_server: Key,
    pub(super) server_to_client: Key,
}

impl std::fmt::Debug for ConnectToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ConnectToken { protocol_id, expire_unix_s, server_addresses, .. } = self;
        write!(f, "ConnectToken({protocol_id:#x}, until {expire_unix_s}, {server_addresses:?})")
    }
}

impl ConnectToken {
    /// Mints a token of the standard. `nonce` and the two session keys must be random and used for nothing
    /// else.
    pub fn mint(
        params: &TokenParams,
        private_key: &[u8; KEY_LEN],
        nonce: [u8; TOKEN_NONCE_LEN],
        client_to_server: [u8; KEY_LEN],
        server_to_client: [u8; KEY_LEN],
    ) -> Result<ConnectToken, TokenError> {
        Self::mint_block(params, None, private_key, nonce, [client_to_server, server_to_client])
    }

    /// Mints a token that allows our own clients more than the standard does, and tells the server when it
    /// was made; others take it for one of the standard. The last 24 bytes of the user data must be zero.
    pub fn mint_extended(
        params: &TokenParams,
        extensions: Extensions,
        private_key: &[u8; KEY_LEN],
        nonce: [u8; TOKEN_NONCE_LEN],
        client_to_server: [u8; KEY_LEN],
        server_to_client: [u8; KEY_LEN],
    ) -> Result<ConnectToken, TokenError> {
        let block = Block { extensions, create_unix_s: params.create_unix_s };
        Self::mint_block(params, Some(block), private_key, nonce, [client_to_server, server_to_client])
    }

    fn mint_block(
        params: &TokenParams,
        block: Option<Block>,
        private_key: &[u8; KEY_LEN],
        nonce: [u8; TOKEN_NONCE_LEN],
        [client_to_server, server_to_client]: [[u8; KEY_LEN]; 2],
    ) -> Result<ConnectToken, TokenError> {
        let &TokenParams { protocol_id, client_id, create_unix_s, expire_unix_s, timeout_s, .. } = params;
        check_expiry(create_unix_s, expire_unix_s)?;
        let lifetime_s = expire_unix_s - create_unix_s;
        if lifetime_s > TOKEN_LIFETIME_S_MAX {
            return Err(TokenError::Lifetime(lifetime_s));
        }
        check_servers(params.server_addresses.len() as u32)?;
        let mut user_data = Box::new(params.user_data);
        if let Some(block) = block {
            if user_data[EXTENDED_USER_DATA_LEN..] != [0; EXTENSION_LEN] {
                return Err(TokenError::UserData);
            }
            block.write_at_end_of(&mut user_data[..]);
        }
        let private = PrivateToken {
            client_id,
            timeout_s,
            server_addresses: params.server_addresses.clone(),
            client_to_server: Key(client_to_server),
            server_to_client: Key(server_to_client),
            user_data,
        };
        let sealed = private.seal(&Key(*private_key), protocol_id, expire_unix_s, &nonce);
        Ok(ConnectToken {
            protocol_id,
            create_unix_s,
            expire_unix_s,
            timeout_s,
            server_addresses: private.server_addresses,
            extensions: block.map(|b| b.extensions).unwrap_or_default(),
            has_block: block.is_some(),
            nonce,
            private: sealed,
            client_to_server: private.client_to_server,
            server_to_client: private.server_to_client,
        })
    }

    /// A line for a development key log, which lets tools/ninefold.lua open what was captured of the session:
    /// the nonce by which its request is known, and the keys of both directions. Whoever reads it can read and
    /// forge all of the session.
    pub fn key_log_line(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let keys = [&self.client_to_server, &self.server_to_client];
        let [up, down] = keys.map(|key| hex(&key.0));
        let [aes_up, aes_down] = keys.map(|key| hex(&aes_key(key)));
        format!("NINEFOLD_TOKEN {} {up} {down} {aes_up} {aes_down}", hex(&self.nonce))
    }

    /// The token as 2,048 bytes.
    pub fn to_bytes(&self) -> [u8; CONNECT_TOKEN_LEN] {
        let mut bytes = [0; CONNECT_TOKEN_LEN];
        let mut w = Writer::new(&mut bytes);
        w.bytes(&VERSION).u64(self.protocol_id).u64(self.create_unix_s).u64(self.expire_unix_s);
        w.bytes(&self.nonce).bytes(&self.private[..]).bytes(&self.timeout_s.to_le_bytes());
        write_addresses(&mut w, &self.server_addresses);
        w.bytes(&self.client_to_server.0).bytes(&self.server_to_client.0);
        if self.has_block {
            let block = Block { extensions: self.extensions, create_unix_s: self.create_unix_s };
            block.write_at_end_of(&mut bytes);
        }
        bytes
    }

    /// Reads a token.
    pub fn from_bytes(bytes: &[u8; CONNECT_TOKEN_LEN]) -> Result<ConnectToken, TokenError> {
        let mut r = Reader::new(bytes);
        if r.array("token version")? != VERSION {
            return Err(TokenError::Version);
        }
        let protocol_id = r.u64("token protocol id")?;
        let (create_unix_s, expire_unix_s) = (r.u64("token created")?, r.u64("token expiry")?);
        check_expiry(create_unix_s, expire_unix_s)?;
        let nonce = r.array("token nonce")?;
        let private = Box::new(r.array("private token")?);
        let timeout_s = r.i32("token timeout")?;
        let server_addresses = read_addresses(&mut r)?;
        let client_to_server = Key(r.array("client to server key")?);
        let server_to_client = Key(r.array("server to client key")?);
        let block = Block::at_end_of(r.rest());
        Ok(ConnectToken {
            protocol_id,
            create_unix_s,
            expire_unix_s,
            timeout_s,
            server_addresses,
            extensions: block.map(|b| b.extensions).unwrap_or_default(),
            has_block: block.is_some(),
            nonce,
            private,
            client_to_server,
            server_to_client,
        })
    }
}

/// The private part, open.
#[derive(Debug)]
pub(super) struct PrivateToken {
    pub client_id: u64,
    pub timeout_s: i32,
    pub server_addresses: Vec<SocketAddr>,
    pub client_to_server: Key,
    pub server_to_client: Key,
    pub user_data: Box<[u8; USER_DATA_LEN]>,
}

impl PrivateToken {
    fn seal(
        &self,
        key: &Key,
        protocol_id: u64,
        expire_unix_s: u64,
        nonce: &[u8; TOKEN_NONCE_LEN],
    ) -> Box<[u8; PRIVATE_TOKEN_LEN]> {
        let mut bytes = Box::new([0; PRIVATE_TOKEN_LEN]);
        let (body, tag) = bytes.split_at_mut(PRIVATE_TOKEN_LEN - TAG_LEN);
        let mut w = Writer::new(body);
        w.u64(self.client_id).bytes(&self.timeout_s.to_le_bytes());
        write_addresses(&mut w, &self.server_addresses);
        w.bytes(&self.client_to_server.0).bytes(&self.server_to_client.0).bytes(&self.user_data[..]);
        let sealed = seal_extended(key, nonce, &associated(protocol_id, expire_unix_s), body);
        tag.copy_from_slice(&sealed);
        bytes
    }

    /// Opens the private part of a request in place.
    pub fn open(
        bytes: &mut [u8; PRIVATE_TOKEN_LEN],
        key: &Key,
        protocol_id: u64,
        expire_unix_s: u64,
        nonce: &[u8; TOKEN_NONCE_LEN],
    ) -> Result<PrivateToken, TokenError> {
        let body = open_extended(key, nonce, &associated(protocol_id, expire_unix_s), bytes)
            .ok_or(TokenError::NotAuthentic)?;
        let mut r = Reader::new(body);
        Ok(PrivateToken {
            client_id: r.u64("client id")?,
            timeout_s: r.i32("timeout")?,
            server_addresses: read_addresses(&mut r)?,
            client_to_server: Key(r.array("client to server key")?),
            server_to_client: Key(r.array("server to client key")?),
            user_data: Box::new(r.array("user data")?),
        })
    }
}

impl PrivateToken {
    /// What it allows beyond the standard, and when it was made, if it says so.
    pub fn block(&self) -> Option<Block> {
        Block::at_end_of(&self.user_data[..])
    }
}

/// The tag of a private token names it: no two tokens have the same.
pub(super) fn tag_of(private: &[u8; PRIVATE_TOKEN_LEN]) -> Tag {
    *private.last_chunk().expect("a private token is longer than its tag")
}

/// What a server tells a client to repeat, so that it proves its address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChallengeToken {
    pub client_id: u64,
    pub user_data: Box<[u8; USER_DATA_LEN]>,
}

impl ChallengeToken {
    pub fn seal(&self, cipher: &Cipher, sequence: u64) -> [u8; CHALLENGE_TOKEN_LEN] {
        let mut bytes = [0; CHALLENGE_TOKEN_LEN];
        let (body, tag) = bytes.split_at_mut(CHALLENGE_TOKEN_LEN - TAG_LEN);
        Writer::new(body).u64(self.client_id).bytes(&self.user_data[..]);
        tag.copy_from_slice(&cipher.seal(sequence, &[], body));
        bytes
    }

    pub fn open(bytes: &mut [u8], cipher: &Cipher, sequence: u64) -> Option<ChallengeToken> {
        let mut r = Reader::new(cipher.open(sequence, &[], bytes)?);
        let client_id = r.u64("client id").ok()?;
        Some(ChallengeToken { client_id, user_data: Box::new(r.array("user data").ok()?) })
    }
}

fn associated(protocol_id: u64, expire_unix_s: u64) -> [u8; VERSION.len() + 16] {
    let mut bytes = [0; VERSION.len() + 16];
    Writer::new(&mut bytes).bytes(&VERSION).u64(protocol_id).u64(expire_unix_s);
    bytes
}

fn check_expiry(create_unix_s: u64, expire_unix_s: u64) -> Result<(), TokenError> {
    if create_unix_s > expire_unix_s {
        return Err(TokenError::Expiry { create_unix_s, expire_unix_s });
    }
    Ok(())
}

fn check_servers(count: u32) -> Result<(), TokenError> {
    let fits = (1..=TOKEN_SERVERS_MAX as u32).contains(&count);
    if fits { Ok(()) } else { Err(TokenError::Servers(count)) }
}

fn write_addresses(w: &mut Writer<'_>, addresses: &[SocketAddr]) {
    w.u32(addresses.len() as u32);
    for address in addresses {
        match address.ip() {
            IpAddr::V4(ip) => {
                w.u8(ADDRESS_V4).bytes(&ip.octets());
            }
            IpAddr::V6(ip) => {
                w.u8(ADDRESS_V6);
                for group in ip.segments() {
                    w.u16(group);
                }
            }
        }
        w.u16(address.port());
    }
}

fn read_addresses(r: &mut Reader<'_>) -> Result<Vec<SocketAddr>, TokenError> {
    let count = r.u32("number of servers")?;
    check_servers(count)?;
    let mut addresses = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let ip = match r.u8("address type")? {
            ADDRESS_V4 => IpAddr::V4(Ipv4Addr::from(r.array::<4>("address")?)),
            ADDRESS_V6 => {
                let mut groups = [0; 8];
                for group in &mut groups {
                    *group = r.u16("address")?;
                }
                IpAddr::V6(Ipv6Addr::from(groups))
            }
            other => return Err(TokenError::AddressType(other)),
        };
        addresses.push(SocketAddr::new(ip, r.u16("port")?));
    }
    Ok(addresses)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::connection) const PRIVATE_KEY: [u8; KEY_LEN] = [9; KEY_LEN];

    pub(in crate::connection) fn params(client_id: u64, servers: &[&str]) -> TokenParams {
        TokenParams {
            protocol_id: 7,
            client_id,
            create_unix_s: 1_000,
            expire_unix_s: 1_060,
            timeout_s: 5,
            server_addresses: servers.iter().map(|s| s.parse().unwrap()).collect(),
            user_data: [6; USER_DATA_LEN],
        }
    }

    /// `serial` makes the token differ from others for the same client.
    pub(in crate::connection) fn mint(params: &TokenParams, serial: u32) -> ConnectToken {
        let mut nonce = [0; TOKEN_NONCE_LEN];
        nonce[..4].copy_from_slice(&serial.to_le_bytes());
        let keys = [serial, !serial].map(|word| {
            let mut key = [0x77; KEY_LEN];
            key[..4].copy_from_slice(&word.to_le_bytes());
            key
        });
        ConnectToken::mint(params, &PRIVATE_KEY, nonce, keys[0], keys[1]).unwrap()
    }

    #[test]
    fn both_parts_survive_the_trip() {
        let params = params(42, &["127.0.0.1:40000", "[2001:db8::1]:40001"]);
        let token = mint(&params, 1);
        let bytes = token.to_bytes();
        assert_eq!(ConnectToken::from_bytes(&bytes).unwrap(), token);
        assert_eq!(bytes[..13], VERSION);
        // timeout, count, type, 127.0.0.1, port, type, first group
        assert_eq!(
            bytes[1085..1104],
            [5, 0, 0, 0, 2, 0, 0, 0, 1, 127, 0, 0, 1, 0x40, 0x9c, 2, 0x01, 0x20, 0xb8]
        );
        let mut private = token.private.clone();
        let open = PrivateToken::open(&mut private, &Key(PRIVATE_KEY), 7, 1_060, &token.nonce).unwrap();
        assert_eq!((open.client_id, open.timeout_s, open.user_data[0]), (42, 5, 6));
        assert_eq!(open.server_addresses, params.server_addresses);
        assert_eq!(open.client_to_server, token.client_to_server);
    }

    #[test]
    fn a_private_part_is_bound_to_protocol_expiry_and_nonce() {
        let token = mint(&params(42, &["127.0.0.1:1"]), 1);
        let open = |key: [u8; 32], protocol_id, expire, nonce| {
            PrivateToken::open(&mut token.private.clone(), &Key(key), protocol_id, expire, &nonce).map(|_| ())
        };
        assert_eq!(open(PRIVATE_KEY, 7, 1_060, token.nonce), Ok(()));
        for wrong in [
            open([8; 32], 7, 1_060, token.nonce),
            open(PRIVATE_KEY, 8, 1_060, token.nonce),
            open(PRIVATE_KEY, 7, 1_061, token.nonce),
            open(PRIVATE_KEY, 7, 1_060, [2; 24]),
        ] {
            assert_eq!(wrong, Err(TokenError::NotAuthentic));
        }
    }

    #[test]
    fn extensions_stand_at_the_end_of_both_parts_and_nowhere_else() {
        let mut params = params(42, &["[2001:db8::1]:40001"; TOKEN_SERVERS_MAX]);
        params.user_data[EXTENDED_USER_DATA_LEN..].fill(0);
        let mint_with = |params: &TokenParams, extensions| {
            ConnectToken::mint_extended(params, extensions, &PRIVATE_KEY, [0; 24], [1; 32], [2; 32])
        };
        for extensions in [Extensions::ALL, Extensions::default()] {
            let token = mint_with(&params, extensions).unwrap();
            let bytes = token.to_bytes();
            assert_eq!(ConnectToken::from_bytes(&bytes).unwrap(), token);
            let mut private = token.private.clone();
            let open = PrivateToken::open(&mut private, &Key(PRIVATE_KEY), 7, 1_060, &token.nonce).unwrap();
            assert_eq!(open.block(), Some(Block { extensions, create_unix_s: 1_000 }));
            assert_eq!(open.user_data[..EXTENDED_USER_DATA_LEN], [6; EXTENDED_USER_DATA_LEN]);
            assert_eq!(Block::at_end_of(&bytes), open.block());
        }
        let standard = ConnectToken::mint(&params, &PRIVATE_KEY, [0; 24], [1; 32], [2; 32]).unwrap();
        assert_eq!(standard.to_bytes()[CONNECT_TOKEN_LEN - EXTENSION_LEN..], [0; EXTENSION_LEN]);
        params.user_data[255] = 1;
        assert_eq!(mint_with(&params, Extensions::ALL), Err(TokenError::UserData));
    }

    #[test]
    fn impossible_tokens_are_not_minted() {
        let refused = |params: &TokenParams| {
            ConnectToken::mint(params, &PRIVATE_KEY, [0; 24], [1; 32], [2; 32]).map(|_| ()).unwrap_err()
        };
        assert_eq!(refused(&params(1, &[])), TokenError::Servers(0));
        assert_eq!(refused(&params(1, &["127.0.0.1:1"; 33])), TokenError::Servers(33));
        let late = TokenParams { create_unix_s: 2_000, ..params(1, &["127.0.0.1:1"]) };
        assert!(matches!(refused(&late), TokenError::Expiry { .. }));
        let long = TokenParams { expire_unix_s: 1_001 + TOKEN_LIFETIME_S_MAX, ..params(1, &["127.0.0.1:1"]) };
        assert_eq!(refused(&long), TokenError::Lifetime(TOKEN_LIFETIME_S_MAX + 1));
    }

    proptest! {
        #[test]
        fn changed_tokens_never_panic(at in 0usize..CONNECT_TOKEN_LEN, value: u8) {
            let mut bytes = mint(&params(42, &["127.0.0.1:1"; 32]), 1).to_bytes();
            bytes[at] = value;
            if let Ok(token) = ConnectToken::from_bytes(&bytes) {
                prop_assert!((1..=TOKEN_SERVERS_MAX).contains(&token.server_addresses.len()));
            }
        }

        #[test]
        fn random_tokens_never_panic(bytes in proptest::collection::vec(any::<u8>(), CONNECT_TOKEN_LEN)) {
            let mut bytes: [u8; CONNECT_TOKEN_LEN] = bytes.try_into().unwrap();
            let _ = ConnectToken::from_bytes(&bytes);
            bytes[..13].copy_from_slice(&VERSION);
            let _ = ConnectToken::from_bytes(&bytes);
        }
    }
}
