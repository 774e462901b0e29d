//! A matchmaker in ten lines: it lets a client in on a server by minting a connect token.
//!
//! ```sh
//! ninefold key my.key
//! cargo run --example matchmaker -- my.key 203.0.113.9:40000 42 > token.txt
//! ```
//!
//! A real one does the same behind HTTPS, once it knows who asks. docs/matchmaking.md tells the rest.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ninefold::{key_file, server::unix_s};
use ninefold_protocol::connection::{ConnectToken, TokenParams};

fn token(private_key: &[u8; 32], server: SocketAddr, client_id: u64) -> anyhow::Result<String> {
    let params = TokenParams {
        protocol_id: u64::from_be_bytes(*b"ninefold"),
        client_id,
        create_unix_s: unix_s(),
        expire_unix_s: unix_s() + 60,
        timeout_s: 10,
        server_addresses: vec![server],
        user_data: [0; 256],
    };
    let token = ConnectToken::mint(&params, private_key, random()?, random()?, random()?)?;
    Ok(BASE64_STANDARD.encode(token.to_bytes()))
}

/// Fresh random bytes: nonce and session keys must never be used twice.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
    Ok(bytes)
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [key, server, client_id] = &args[..] else {
        anyhow::bail!("usage: matchmaker KEY_FILE IP:PORT CLIENT_ID")
    };
    let private_key = key_file::read(Path::new(key))?;
    println!("{}", token(&private_key, server.parse()?, client_id.parse()?)?);
    Ok(())
}
