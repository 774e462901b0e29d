//! Who the server is on QUIC: an operator's certificate from PEM files, or one of its own making for
//! development, known by its fingerprint alone.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ninefold_protocol::connection::{Fingerprint, QUIC_ALPN};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::KeyLog;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Names that a certificate of our own making is for.
const DEVELOPMENT_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate with its chain and key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file of the certificate chain cannot be used.
    #[error("quic_certificate_file {path}: {why}")]
    Certificate {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The file of the key cannot be used.
    #[error("quic_key_file {path}: {why}")]
    Key {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate for development: {0}")]
    Make(String),
    /// Certificate and key do not go together, or are of a kind that is not known here.
    #[error("quic_certificate_file and quic_key_file: {0}")]
    Unusable(String),
}

impl Identity {
    /// Reads PEM files: the chain with the server's own certificate first, and its key (PKCS #8, PKCS #1 or
    /// SEC1).
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let wrong = |why: String| IdentityError::Certificate { path: certificate.display().to_string(), why };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(certificate).map_err(|e| wrong(e.to_string()))?.collect();
        let chain = chain.map_err(|e| wrong(e.to_string()))?;
        if chain.is_empty() {
            return Err(wrong("no PEM section CERTIFICATE was found".into()));
        }
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|e| IdentityError::Key { path: key.display().to_string(), why: e.to_string() })?;
        Ok(Identity { chain, key })
    }

    /// A certificate and its key (PKCS #8), both in DER.
    pub fn from_der(certificate: &[u8], key: &[u8]) -> Self {
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        Identity { chain, key: PrivatePkcs8KeyDer::from(key.to_vec()).into() }
    }

    /// A fresh self-signed certificate for this machine's own names.
    pub fn development() -> Result<Self, IdentityError> {
        let names = DEVELOPMENT_NAMES.map(String::from);
        let made =
            rcgen::generate_simple_self_signed(names).map_err(|e| IdentityError::Make(e.to_string()))?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        Ok(Identity { chain: vec![made.cert.der().clone()], key: key.into() })
    }

    /// The fingerprint of the server's own certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.chain.first().map_or(&[], |certificate| certificate.as_ref()))
    }

    /// TLS 1.3 with this identity, for our protocol alone.
    pub(super) fn crypto(self, key_log: Option<KeyLogTo>) -> Result<QuicServerConfig, IdentityError> {
        let unusable = |error: &dyn fmt::Display| IdentityError::Unusable(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| unusable(&e))?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)
            .map_err(|e| unusable(&e))?;
        config.alpn_protocols = vec![QUIC_ALPN.to_vec()];
        // Who comes again shows a new token, and nothing that it says may be replayed.
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        if let Some(key_log) = key_log {
            config.key_log = Arc::new(key_log);
        }
        QuicServerConfig::try_from(config).map_err(|e| unusable(&e))
    }
}

/// Writes the secrets of sessions as SSLKEYLOGFILE has them, for a packet analyser.
#[derive(Debug)]
pub(super) struct KeyLogTo(Mutex<File>);

impl KeyLogTo {
    /// Appends to this file, which only its owner can read.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(KeyLogTo(Mutex::new(file)))
    }
}

impl KeyLog for KeyLogTo {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the key log cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_development_certificate_is_its_own() {
        let (a, b) = (Identity::development().unwrap(), Identity::development().unwrap());
        assert_ne!(a.fingerprint(), b.fingerprint());
        assert_eq!(a.fingerprint().to_string().len(), 64);
        assert!(a.crypto(None).is_ok());
    }

    #[test]
    fn files_that_hold_no_certificate_or_key_are_named() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("ninefold-certificate-{}.pem", std::process::id()));
        std::fs::write(&path, "nothing of the kind\n").unwrap();
        let error = Identity::from_files(&path, &path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.starts_with("quic_certificate_file ") && error.contains("CERTIFICATE"), "{error}");
        let error = Identity::from_files(&path, &path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}
