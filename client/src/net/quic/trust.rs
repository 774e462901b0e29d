//! Whom a client believes: the certificate with one fingerprint, or those that an authority vouches for.

use std::sync::Arc;

use ninefold_protocol::connection::{Fingerprint, QUIC_ALPN};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// How a client knows its QUIC server.
#[derive(Debug, Clone)]
pub enum Trust {
    /// It shows the certificate with this fingerprint, whatever name that is for: a server in development
    /// has no authority behind it.
    Fingerprint(Fingerprint),
    /// It shows a certificate for this name that leads to one of these authorities, each in DER; a game
    /// brings its own or those of the machine.
    Authorities {
        /// The name, such as `play.example.org`.
        name: String,
        /// The certificates of the authorities.
        roots: Vec<Vec<u8>>,
    },
}

impl Trust {
    /// The name that the client asks for in its handshake.
    pub(super) fn name(&self) -> &str {
        match self {
            Trust::Fingerprint(_) => "localhost",
            Trust::Authorities { name, .. } => name,
        }
    }

    /// TLS 1.3 as the protocol page has it, believing these and no others.
    pub(super) fn tls(&self) -> Result<rustls::ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let builder = match self {
            Trust::Fingerprint(fingerprint) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned::new(*fingerprint, provider))),
            Trust::Authorities { roots, .. } => {
                let mut store = RootCertStore::empty();
                for root in roots {
                    store.add(CertificateDer::from(root.as_slice()))?;
                }
                builder.with_root_certificates(store)
            }
        };
        let mut tls = builder.with_no_client_auth();
        tls.alpn_protocols = vec![QUIC_ALPN.to_vec()];
        Ok(tls)
    }
}

/// Believes the certificate with this fingerprint, whatever name it is for, and no other. That the server
/// has its key is proven as ever.
#[derive(Debug)]
pub struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    /// Believes this one.
    pub fn new(fingerprint: Fingerprint, provider: Arc<CryptoProvider>) -> Self {
        Pinned { fingerprint, provider }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if Fingerprint::of(end_entity) == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_certificate_with_the_fingerprint_is_believed() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pinned = Pinned::new(Fingerprint::of(b"the one"), provider);
        let verify = |bytes: &[u8]| {
            let name = ServerName::try_from("localhost").unwrap();
            pinned.verify_server_cert(&CertificateDer::from(bytes), &[], &name, &[], UnixTime::now())
        };
        assert!(verify(b"the one").is_ok());
        assert!(verify(b"another").is_err());
    }

    #[test]
    fn an_authority_must_be_a_certificate() {
        let trust = Trust::Authorities { name: "play.example.org".into(), roots: vec![b"none".to_vec()] };
        assert!(trust.tls().is_err());
        assert_eq!(trust.name(), "play.example.org");
    }
}
