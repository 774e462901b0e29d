//! Tokens and configuration, as C hands them over.

use std::ffi::c_char;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ninefold_client::ClientConfig;
use ninefold_client::protocol::connection::{CONNECT_TOKEN_LEN, ConnectToken};
use ninefold_client::store::{Store, StoreLimits};

use crate::border::{self, Sized32};
use crate::status::{Failure, NinefoldStatus};

/// Bytes of a token as text, with what white space may be around it.
const TOKEN_TEXT_BYTES_MAX: usize = 4_096;

/// What a client is told at its start. Let ninefold_config_default fill it, then change what you like.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldConfig {
    /// sizeof(NinefoldConfig), set by the program.
    pub size: u32,
    /// Chunks that it keeps in memory, at least 18.
    pub cache_chunks_max: u32,
    /// Seconds since the Unix epoch at the time that you call 0. Only for ninefold_client_new; clients with a
    /// socket of their own ask the system.
    pub unix_s_at_zero: u64,
    /// Where to keep chunks from one session to the next, in UTF-8; NULL for nowhere. The folder is made if
    /// there is none, and should hold nothing else.
    pub store_folder: *const c_char,
    /// Bytes of all files there.
    pub store_bytes_max: u64,
    /// Files there.
    pub store_files_max: u32,
    /// Whether chunks come as recipes (1) or as compiled trees (0): a third of the bytes, for a tenth of a
    /// millisecond of work a chunk.
    pub recipes: u32,
}

// SAFETY: repr(C), `size` first, plain numbers and a pointer, for which zero is NULL.
unsafe impl Sized32 for NinefoldConfig {
    const SIZE_MIN: usize = std::mem::offset_of!(Self, recipes) + 4;
    fn set_size(&mut self, size: u32) {
        self.size = size;
    }
}

impl NinefoldConfig {
    fn ordinary() -> NinefoldConfig {
        let (client, store) = (ClientConfig::default(), StoreLimits::default());
        NinefoldConfig {
            size: 0,
            cache_chunks_max: client.cache_chunks_max as u32,
            unix_s_at_zero: 0,
            store_folder: std::ptr::null(),
            store_bytes_max: store.bytes_max,
            store_files_max: store.files_max as u32,
            recipes: client.recipes.into(),
        }
    }
}

/// Fills a configuration with what most games want. Set its `size` before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_config_default(config: *mut NinefoldConfig) -> NinefoldStatus {
    // SAFETY: the caller's promise.
    let written = unsafe { border::write(config, NinefoldConfig::ordinary(), "config") };
    written.map_or_else(|failure| failure.status, |()| NinefoldStatus::Ok)
}

/// What a configuration comes to.
pub(crate) struct Setup {
    pub client: ClientConfig,
    pub store: Option<Store>,
}

/// Reads a configuration; NULL for what most games want.
///
/// # Safety
/// If `config` is not null, it is as the header says.
pub(crate) unsafe fn setup(config: *const NinefoldConfig) -> Result<Setup, Failure> {
    let mut read = NinefoldConfig::ordinary();
    if !config.is_null() {
        // SAFETY: the caller's promise.
        read = unsafe { border::read(config, read, "config")? };
    }
    let client = ClientConfig {
        cache_chunks_max: read.cache_chunks_max as usize,
        recipes: read.recipes != 0,
        ..ClientConfig::new(read.unix_s_at_zero)
    };
    let mut store = None;
    if !read.store_folder.is_null() {
        // SAFETY: the caller's promise.
        let folder = unsafe { border::text(read.store_folder, "store_folder")? };
        let limits =
            StoreLimits { bytes_max: read.store_bytes_max, files_max: read.store_files_max as usize };
        let opened = Store::open(Path::new(folder), limits);
        store = Some(opened.map_err(|error| Failure::new(NinefoldStatus::Store, error))?);
    }
    Ok(Setup { client, store })
}

/// Reads a token: its 2,048 bytes, or those in base64, as `ninefold token` writes them.
///
/// # Safety
/// As [`border::bytes`].
pub(crate) unsafe fn token(pointer: *const u8, length: usize) -> Result<ConnectToken, Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { border::bytes(pointer, length, "token")? };
    let wrong = |words: &dyn std::fmt::Display| Failure::new(NinefoldStatus::Token, words);
    if bytes.len() > TOKEN_TEXT_BYTES_MAX {
        return Err(wrong(&format_args!("the token has {} bytes", bytes.len())));
    }
    let decoded;
    let bytes = if bytes.len() == CONNECT_TOKEN_LEN {
        bytes
    } else {
        decoded = BASE64_STANDARD
            .decode(bytes.trim_ascii())
            .map_err(|_| wrong(&"the token has neither 2,048 bytes nor is it base64"))?;
        &decoded
    };
    let bytes = bytes.try_into().map_err(|_| wrong(&"the token's base64 has not 2,048 bytes"))?;
    ConnectToken::from_bytes(bytes).map_err(|error| wrong(&error))
}
