//! Connect tokens: minted as they are needed, or given.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ninefold_client::protocol::connection::{
    CONNECT_TOKEN_LEN, ConnectToken, DEVELOPMENT_KEY, Extensions, KEY_LEN, TokenError, TokenParams,
};

/// Seconds that a token can be used: a session begins with a fresh one.
pub const TOKEN_LIFETIME_S: u64 = 300;
/// Silence after which a session ends, seconds.
pub const TIMEOUT_S: i32 = 5;
/// Bytes of a file of tokens: 20,000 of them.
const TOKEN_FILE_BYTES_MAX: u64 = 64 << 20;

/// Where tokens come from.
#[derive(Debug, Clone)]
pub enum Tokens {
    /// Made with the published key of development.
    Development,
    /// Made with this key.
    Key([u8; KEY_LEN]),
    /// Made by somebody else, each for one session.
    Given(Vec<ConnectToken>),
}

/// Why there is no token. One line.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// A file cannot be read.
    #[error("--token-file {}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// All given tokens are used.
    #[error("all {0} tokens are used")]
    UsedUp(usize),
    /// The token cannot be.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Makes tokens, or hands out those that were given.
#[derive(Debug)]
pub struct Minter {
    tokens: Tokens,
    protocol_id: u64,
    lifetime_s: u64,
    used: AtomicUsize,
}

impl Tokens {
    /// Those of some files, one in base64 on each line, as `ninefold token` writes them.
    pub fn of_files(paths: &[PathBuf]) -> Result<Tokens, MintError> {
        let mut tokens = Vec::new();
        for path in paths {
            tokens.extend(read(path).map_err(|why| MintError::File { path: path.clone(), why })?);
        }
        Ok(Tokens::Given(tokens))
    }
}

fn read(path: &Path) -> Result<Vec<ConnectToken>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > TOKEN_FILE_BYTES_MAX {
        return Err("it has more than 64 MiB, too much for tokens".into());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let token = |(n, line): (usize, &str)| {
        let wrong = |why: String| format!("line {}: {why}", n + 1);
        let bytes = BASE64_STANDARD.decode(line.trim()).map_err(|_| wrong("it is not base64".into()))?;
        let bytes: Box<[u8; CONNECT_TOKEN_LEN]> =
            bytes.try_into().map_err(|b: Vec<u8>| wrong(format!("{} bytes are no token", b.len())))?;
        ConnectToken::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))
    };
    let tokens: Vec<ConnectToken> = lines.map(token).collect::<Result<_, _>>()?;
    if tokens.is_empty() { Err("there is no token in it".into()) } else { Ok(tokens) }
}

impl Minter {
    /// Tokens for a game's servers. `lifetime_s`: where all of them live equally long.
    pub fn new(tokens: Tokens, protocol_id: u64, lifetime_s: u64) -> Minter {
        let lifetime_s = if lifetime_s == 0 { TOKEN_LIFETIME_S } else { lifetime_s };
        Minter { tokens, protocol_id, lifetime_s, used: AtomicUsize::new(0) }
    }

    /// A token for one session with `server`, which the client is to call at `dial`.
    pub fn token(
        &self,
        client_id: u64,
        server: SocketAddr,
        dial: SocketAddr,
        now_unix_s: u64,
    ) -> Result<ConnectToken, MintError> {
        let key = match &self.tokens {
            Tokens::Development => &DEVELOPMENT_KEY,
            Tokens::Key(key) => key,
            Tokens::Given(tokens) => {
                let token = tokens.get(self.used.fetch_add(1, Ordering::Relaxed));
                let mut token = token.ok_or(MintError::UsedUp(tokens.len()))?.clone();
                if dial != server {
                    token.server_addresses = vec![dial];
                }
                return Ok(token);
            }
        };
        let mut random = [0; 88];
        getrandom::fill(&mut random).map_err(MintError::Random)?;
        let params = TokenParams {
            protocol_id: self.protocol_id,
            client_id,
            create_unix_s: now_unix_s,
            expire_unix_s: now_unix_s + self.lifetime_s,
            timeout_s: TIMEOUT_S,
            server_addresses: vec![server],
            user_data: [0; 256],
        };
        let (nonce, keys) = random.split_first_chunk::<24>().expect("24 of 88 bytes");
        let (up, down) = keys.split_first_chunk::<32>().expect("32 of 64 bytes");
        let down = down.first_chunk::<32>().expect("the other 32");
        let mut token = ConnectToken::mint_extended(&params, Extensions::ALL, key, *nonce, *up, *down)?;
        // The sealed part names the server, which looks for itself there; the open part says whom to call.
        token.server_addresses = vec![dial];
        Ok(token)
    }
}
