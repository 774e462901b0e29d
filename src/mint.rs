//! `ninefold key` and `ninefold token`: what a matchmaker needs, from the command line.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ninefold::config::{Config, ConfigError, Effective, Sources};
use ninefold::key_file::{self, KeyFileError};
use ninefold::server::unix_s;
use ninefold_protocol::connection::{
    ConnectToken, DEVELOPMENT_KEY, Extensions, KEY_LEN, TokenError, TokenParams, USER_DATA_LEN,
};

/// Seconds for which a token can be used unless said otherwise: enough to start a game, little to a thief.
const EXPIRES_IN_S: u32 = 60;

/// What a token is to say that the configuration does not.
#[derive(Debug)]
pub struct TokenOrder {
    /// The server's configuration: private key, protocol id, addresses.
    pub sources: Sources,
    /// Who may connect.
    pub client_id: u64,
    /// Where to, in this order; empty for the addresses of the configuration.
    pub servers: Vec<SocketAddr>,
    /// Seconds from now until which it can be used; `None` for the configuration's.
    pub expires_in_s: Option<u32>,
    /// Silence that ends the session, seconds; `None` for none.
    pub timeout_s: Option<u32>,
    /// Without the extensions of our own clients.
    pub standard: bool,
    /// The file to make; `None` for standard output.
    pub out: Option<PathBuf>,
}

/// Why there is no key or token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be read or made.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: KeyFileError,
    },
    /// A client cannot connect there.
    #[error("flag --server: {0} cannot be connected to; name a real address and port")]
    Server(SocketAddr),
    /// Anybody could make such a token.
    #[error(
        "server {0} is not a loopback address and no private_key_file is set: a server accepts the \
         published development key on loopback only; make a key with `ninefold key FILE` and name it with \
         --private-key-file"
    )]
    NoKey(SocketAddr),
    /// The token cannot be.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

impl MintError {
    /// Whether the person who asked can mend it.
    pub fn is_mistake(&self) -> bool {
        !matches!(self, MintError::Random(_))
    }
}

/// Makes a key file; returns what to tell.
pub fn key(path: &Path) -> Result<String, MintError> {
    key_file::create(path, &random()?).map_err(|error| file_error(path, error))?;
    let shown = path.display();
    Ok(format!(
        "wrote a new private key to {shown}, readable by you alone\n\
         server:     ninefold serve --private-key-file {shown} --listen ADDR\n\
         matchmaker: ninefold token --private-key-file {shown} --server ADDR --client-id ID\n"
    ))
}

/// Mints a token; returns what to tell: the token in base64, or where it was written.
pub fn token(order: &TokenOrder) -> Result<String, MintError> {
    let config = Effective::load(&order.sources)?.config;
    let servers = servers(order, &config)?;
    let private_key = private_key(&config, &servers)?;
    let create_unix_s = unix_s();
    let configured = Some(config.token_lifetime_s).filter(|s| *s > 0);
    let expires_in_s = order.expires_in_s.or(configured).unwrap_or(EXPIRES_IN_S);
    let params = TokenParams {
        protocol_id: config.protocol_id,
        client_id: order.client_id,
        create_unix_s,
        expire_unix_s: create_unix_s.saturating_add(expires_in_s.into()),
        timeout_s: order.timeout_s.map_or(-1, |s| i32::try_from(s).unwrap_or(i32::MAX)),
        server_addresses: servers,
        user_data: [0; USER_DATA_LEN],
    };
    let (nonce, up, down) = (random()?, random()?, random()?);
    let token = if order.standard {
        ConnectToken::mint(&params, &private_key, nonce, up, down)?
    } else {
        ConnectToken::mint_extended(&params, Extensions::ALL, &private_key, nonce, up, down)?
    };
    let text = BASE64_STANDARD.encode(token.to_bytes()) + "\n";
    let Some(path) = &order.out else { return Ok(text) };
    let written = key_file::create_secret(path).and_then(|mut file| Ok(file.write_all(text.as_bytes())?));
    written.map_err(|error| file_error(path, error))?;
    let client_id = order.client_id;
    Ok(format!("wrote a token for client {client_id} to {}, good for {expires_in_s} s\n", path.display()))
}

/// Those of the order, else those of the configuration.
fn servers(order: &TokenOrder, config: &Config) -> Result<Vec<SocketAddr>, MintError> {
    let servers = match (&order.servers[..], &config.public_addrs[..]) {
        ([], []) => vec![config.listen],
        ([], public) => public.to_vec(),
        (named, _) => named.to_vec(),
    };
    match servers.iter().find(|a| a.port() == 0 || a.ip().is_unspecified()) {
        Some(address) => Err(MintError::Server(*address)),
        None => Ok(servers),
    }
}

fn private_key(config: &Config, servers: &[SocketAddr]) -> Result<[u8; KEY_LEN], MintError> {
    let path = &config.private_key_file;
    if !path.as_os_str().is_empty() {
        return key_file::read(path).map_err(|error| file_error(path, error));
    }
    match servers.iter().find(|address| !address.ip().is_loopback()) {
        Some(address) => Err(MintError::NoKey(*address)),
        None => Ok(DEVELOPMENT_KEY),
    }
}

fn file_error(path: &Path, error: KeyFileError) -> MintError {
    MintError::File { path: path.to_owned(), error }
}

fn random<const N: usize>() -> Result<[u8; N], MintError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(MintError::Random)?;
    Ok(bytes)
}
