//! TLS with a given root certificate.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

/// The root certificate that must have signed the server's certificate.
#[derive(Clone)]
pub struct RootCertificate {
    http1: TlsConnector,
    http2: TlsConnector,
}

impl RootCertificate {
    /// Trusts only the certificates in this PEM text.
    ///
    /// # Errors
    /// Returns an error if there is no certificate, or a damaged one.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.context("a certificate in the root certificate's PEM text is damaged")?)?;
        }
        ensure!(!roots.is_empty(), "the root certificate's PEM text has no certificate");
        let connector = |protocol: &[u8]| -> Result<TlsConnector> {
            let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Self {
            http1: connector(b"http/1.1")?,
            http2: connector(b"h2")?,
        })
    }

    pub(super) fn connector(&self, http2: bool) -> &TlsConnector {
        if http2 { &self.http2 } else { &self.http1 }
    }
}

impl std::fmt::Debug for RootCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootCertificate")
    }
}
