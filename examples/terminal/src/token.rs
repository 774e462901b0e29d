//! The connect token: from a file, or, in development, made here for a server on this machine.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ninefold_client::protocol::connection::{
    CONNECT_TOKEN_LEN, ConnectToken, DEVELOPMENT_KEY, Extensions, TokenParams,
};

/// Bytes that a file with a token may have: its base64 and line ends as people and editors put them.
const FILE_BYTES_MAX: u64 = 8_192;
/// A token that is made here can be used for so long,
const LIFETIME_S: u64 = 30;
/// and its session ends after so much silence.
const TIMEOUT_S: i32 = 5;

/// Reads a token as `ninefold token` writes it, or its bytes.
pub fn read(path: &Path) -> anyhow::Result<ConnectToken> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("{name}"))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("{name}"))?;
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "{name}: it has more than {FILE_BYTES_MAX} bytes");
    parse(&bytes).with_context(|| format!("{name} holds no connect token; `ninefold token` makes one"))
}

fn parse(bytes: &[u8]) -> anyhow::Result<ConnectToken> {
    let decoded;
    let bytes = match bytes.len() {
        CONNECT_TOKEN_LEN => bytes,
        _ => {
            let digits: Vec<u8> = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            decoded = BASE64_STANDARD.decode(digits).context("it is not base64")?;
            &decoded
        }
    };
    let Ok(bytes) = <&[u8; CONNECT_TOKEN_LEN]>::try_from(bytes) else {
        bail!("{} bytes, {CONNECT_TOKEN_LEN} expected", bytes.len());
    };
    Ok(ConnectToken::from_bytes(bytes)?)
}

/// A token for a server in development, which takes the published key on loopback only.
pub fn development(server: SocketAddr, client_id: u64) -> anyhow::Result<ConnectToken> {
    ensure!(
        server.ip().is_loopback(),
        "{server} is another machine, where a token of its matchmaker is needed: name its file with --token"
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let params = TokenParams {
        protocol_id: u64::from_be_bytes(*b"ninefold"),
        client_id,
        create_unix_s: now,
        expire_unix_s: now + LIFETIME_S,
        timeout_s: TIMEOUT_S,
        server_addresses: vec![server],
        user_data: [0; 256],
    };
    let (nonce, up, down) = (random()?, random()?, random()?);
    Ok(ConnectToken::mint_extended(&params, Extensions::ALL, &DEVELOPMENT_KEY, nonce, up, down)?)
}

/// Fresh random bytes.
pub fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_bytes_and_as_text() {
        let token = development("127.0.0.1:40000".parse().unwrap(), 7).unwrap();
        let bytes = token.to_bytes();
        let text = BASE64_STANDARD.encode(bytes);
        let lines = text.as_bytes().chunks(76).collect::<Vec<_>>().join(&b"\r\n"[..]);
        for read in [parse(&bytes[..]), parse(text.as_bytes()), parse(&lines)] {
            assert_eq!(read.unwrap().to_bytes(), bytes);
        }
    }

    #[test]
    fn what_is_no_token_is_told_with_a_reason() {
        let reason = |bytes: &[u8]| format!("{:#}", parse(bytes).unwrap_err());
        assert_eq!(reason(b"AAAA"), "3 bytes, 2048 expected");
        assert!(reason(b"not a token").starts_with("it is not base64"));
        let elsewhere = development("203.0.113.9:40000".parse().unwrap(), 7).unwrap_err();
        assert!(elsewhere.to_string().contains("--token"), "{elsewhere}");
    }
}
