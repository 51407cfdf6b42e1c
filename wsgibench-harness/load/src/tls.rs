//! TLS: its settings, how a server's certificate is verified, and what to do when that fails.
//!
//! Sessions are never resumed, so that each connection stands for a new client and its handshake is a full one.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, OtherError, RootCertStore,
        SignatureScheme,
        client::{
            Resumption, WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    },
};

use super::{excerpt::shorten, plan::Target};

/// TLS settings of a server: trusted root certificates and the name to verify.
///
/// The server's certificate is always verified: its authority, its dates and its name. The name is
/// [`server_name`](Self::server_name), or else the name sent as `Host` without its port.
///
/// ```
/// use wsgibench_harness::prelude::*;
///
/// let server = Server::python(["gunicorn==27.0.1"])
///     .app("app")
///     .command(["gunicorn", "--bind", "{host}:{port}", "--certfile", "app/cert.pem", "--keyfile", "app/key.pem", "wsgi:application"])
///     .host("shop.test")
///     .tls(Tls::new().root_certificate("certs/root.pem"));
/// # let _ = server;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tls {
    /// The authorities that may have signed the server's certificate.
    pub authorities: Authorities,
    /// Name that is asked for (SNI) and that the certificate must be valid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// Trusted authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Authorities {
    /// Those that this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` replace them.
    #[default]
    Machine,
    /// Those of a PEM file.
    File(PathBuf),
    /// Those of a PEM text.
    Pem(String),
}

impl Tls {
    /// Returns TLS with the authorities that this machine trusts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in a PEM file, relative to the declaring crate, and no others. For a self-signed certificate
    /// this is the certificate itself.
    #[must_use]
    pub fn root_certificate(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities = Authorities::File(file.into());
        self
    }

    /// Trusts the certificates in a PEM text, and no others.
    #[must_use]
    pub fn root_certificate_pem(mut self, pem: impl Into<String>) -> Self {
        self.authorities = Authorities::Pem(pem.into());
        self
    }

    /// Sets the name that is asked for (SNI) and that the certificate must be valid for; the name sent as `Host` by
    /// default. With an IP address no SNI is sent.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Replaces the path of the root certificate's file, if it is in one.
    pub fn map_file(&mut self, map: impl FnOnce(&Path) -> PathBuf) {
        if let Authorities::File(file) = &mut self.authorities {
            *file = map(file);
        }
    }

    /// Returns what is wrong with the settings, with the remedy. Reads the file of the root certificate.
    ///
    /// # Errors
    /// The root certificate cannot be read or holds no certificate, or the name is not a host name.
    pub fn check(&self) -> Result<(), String> {
        if let Some(name) = &self.server_name {
            parse_name(name)?;
        }
        roots(&self.authorities).map(drop)
    }
}

/// The root certificate that a server's certificate must come from, for [`User::use_tls`](super::script::User::use_tls).
#[derive(Clone)]
pub struct RootCertificate {
    configs: Arc<Configs>,
}

impl RootCertificate {
    /// Trusts the certificates in this text (PEM), and no others.
    ///
    /// # Errors
    /// There is no certificate in it, or one that is damaged.
    pub fn from_pem(pem: &str) -> anyhow::Result<Self> {
        let roots = from_pem(pem.as_bytes(), "the root certificate").map_err(anyhow::Error::msg)?;
        let configs = Configs::new(&roots, "the root certificate given to `use_tls`").map_err(anyhow::Error::msg)?;
        Ok(Self {
            configs: Arc::new(configs),
        })
    }
}

impl fmt::Debug for RootCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootCertificate")
    }
}

/// The configurations of one set of authorities.
#[derive(Debug)]
struct Configs {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    /// The authorities, as messages call them.
    authorities: String,
}

impl Configs {
    fn new(roots: &Arc<RootCertStore>, authorities: impl Into<String>) -> Result<Self, String> {
        let config = |protocol: &[u8]| -> Result<Arc<ClientConfig>, String> {
            let provider = Arc::new(ring::default_provider());
            let verifier = Verifier::new(Arc::clone(roots), Arc::clone(&provider))?;
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            config.resumption = Resumption::disabled();
            Ok(Arc::new(config))
        };
        Ok(Self {
            http1: config(b"http/1.1")?,
            http2: config(b"h2")?,
            authorities: authorities.into(),
        })
    }
}

/// Makes TLS connections to one server.
#[derive(Clone, Debug)]
pub struct Connector {
    configs: Arc<Configs>,
    name: ServerName<'static>,
}

impl Connector {
    /// Returns the connector for a target; `None` for one that is asked in plain HTTP.
    ///
    /// # Errors
    /// A message that names the invalid setting and the remedy.
    pub fn new(target: &Target) -> Result<Option<Self>, String> {
        let Some(tls) = &target.tls else {
            return Ok(None);
        };
        let authorities = match &tls.authorities {
            Authorities::Machine => "this machine's root certificates".to_owned(),
            Authorities::File(file) => file.display().to_string(),
            Authorities::Pem(_) => "the given root certificate".to_owned(),
        };
        Ok(Some(Self {
            configs: Arc::new(Configs::new(&roots(&tls.authorities)?, authorities)?),
            name: name(target)?,
        }))
    }

    /// Returns a connector that trusts this root certificate instead of the target's.
    ///
    /// # Errors
    /// Returns the target's name if no certificate can have it.
    pub fn with_root(root: &RootCertificate, target: &Target) -> Result<Self, String> {
        Ok(Self {
            configs: Arc::clone(&root.configs),
            name: name(target)?,
        })
    }

    /// Begins a connection for HTTP/1.1.
    ///
    /// # Errors
    /// Returns the TLS library's error.
    pub fn begin(&self) -> Result<ClientConnection, Error> {
        ClientConnection::new(Arc::clone(&self.configs.http1), self.name.clone())
    }

    /// Completes a handshake until `deadline`; `None` if it took longer.
    ///
    /// # Errors
    /// Returns the error of the socket or of TLS.
    pub async fn handshake<S>(&self, socket: S, http2: bool, deadline: Instant) -> io::Result<Option<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = if http2 {
            &self.configs.http2
        } else {
            &self.configs.http1
        };
        let connector = TlsConnector::from(Arc::clone(config));
        match timeout_at(deadline, connector.connect(self.name.clone(), socket)).await {
            Ok(stream) => stream.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Returns why a connection failed, in the TLS library's words, the name that was asked for, and the remedy.
    #[must_use]
    pub fn explain(&self, error: &Error) -> String {
        let authorities = &self.configs.authorities;
        let reason = match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
                format!("invalid peer certificate: {cause}")
            }
            other => other.to_string(),
        };
        let remedy = match error {
            Error::InvalidCertificate(certificate) => remedy_of_certificate(certificate, authorities),
            Error::InvalidMessage(_) => NOT_TLS.to_owned(),
            Error::AlertReceived(_) => {
                "the server ended the handshake: see its log, and check the name that it is asked for \
                 (`Tls::new().server_name(...)`)"
                    .to_owned()
            }
            _ => "see the server's log".to_owned(),
        };
        format!("{}: {}; {remedy}", self.asked(), shorten(&reason))
    }

    /// Returns the explanation of a handshake that failed with this error.
    #[must_use]
    pub fn explain_io(&self, error: &io::Error) -> String {
        if let Some(error) = tls_error(error) {
            self.explain(error)
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            self.closed()
        } else {
            format!("{}: {error}", self.asked())
        }
    }

    /// Returns the explanation of a connection that the server closed during the handshake.
    #[must_use]
    pub fn closed(&self) -> String {
        format!(
            "{}: the server closed the connection during the handshake; {NOT_TLS}",
            self.asked()
        )
    }

    /// Returns the explanation of a handshake that took too long.
    #[must_use]
    pub fn timed_out(&self, within: Duration) -> String {
        format!(
            "{}: the server accepted the connection and did not complete the handshake within {:.1} s; {NOT_TLS}",
            self.asked(),
            within.as_secs_f64()
        )
    }

    fn asked(&self) -> String {
        format!("no TLS connection with `{}`", self.name.to_str())
    }
}

/// Remedy for a server that does not seem to speak TLS.
const NOT_TLS: &str =
    "if it speaks plain HTTP at this port, leave out `.tls(...)`, or write http:// in place of https://";

/// Remedy for a server that speaks TLS and is asked in plain HTTP.
pub const IS_TLS: &str = "it speaks TLS: declare it with `.tls(Tls::new())`, or write https:// in `--server-url`";

fn remedy_of_certificate(error: &CertificateError, authorities: &str) -> String {
    match error {
        CertificateError::UnknownIssuer => format!(
            "its authority is not among {authorities}: name the file of its root certificate with \
             `.tls(Tls::new().root_certificate(\"root.pem\"))`, or in SSL_CERT_FILE"
        ),
        // An authority of the same name is trusted, with another key.
        CertificateError::BadSignature => format!(
            "it was signed by another authority than that of the same name in {authorities}: name the file of its root \
             certificate with `.tls(Tls::new().root_certificate(\"root.pem\"))`, or in SSL_CERT_FILE"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "give a name that the certificate has, with `.host(\"shop.test\")` or \
             `.tls(Tls::new().server_name(\"shop.test\"))`"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "renew the certificate".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "make a new certificate, or set this machine's clock".to_owned()
        }
        CertificateError::Other(OtherError(cause)) if cause.is::<SelfSigned>() => format!(
            "it is not among {authorities}: name its own file with `.tls(Tls::new().root_certificate(\"cert.pem\"))`, or in \
             SSL_CERT_FILE"
        ),
        // webpki's error is known by its text, which spares a dependency on webpki.
        CertificateError::Other(OtherError(cause)) if format!("{cause:?}") == "CaUsedAsEndEntity" => {
            "it is a certificate of an authority: make one for the server, with \
             `openssl req -x509 -addext basicConstraints=critical,CA:FALSE` (without this, openssl makes an authority's)"
                .to_owned()
        }
        _ => "make a new certificate".to_owned(),
    }
}

/// Returns the TLS error within an error of a socket.
pub(crate) fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// The certificate is its own issuer and is not trusted: rustls says "unknown issuer" here.
#[derive(Debug)]
struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnknownIssuer (it is self-signed)")
    }
}

impl std::error::Error for SelfSigned {}

/// Verifies as rustls does, and tells self-signed certificates from those of an unknown authority.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| format!("the root certificates cannot be used: {error}"))?;
        Ok(Self { inner, provider })
    }

    /// Returns whether the certificate is valid with itself as authority.
    fn is_self_signed(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
        let mut roots = RootCertStore::empty();
        if roots.add(certificate.clone().into_owned()).is_err() {
            return false;
        }
        let Ok(own) = Self::new(Arc::new(roots), Arc::clone(&self.provider)) else {
            return false;
        };
        matches!(
            own.inner.verify_server_cert(certificate, &[], name, &[], now),
            Ok(_)
                | Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                ))
        )
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature))
                if self.is_self_signed(end_entity, server_name, now) =>
            {
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(
                    Arc::new(SelfSigned),
                ))))
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Returns the name that a target's certificate must have.
fn name(target: &Target) -> Result<ServerName<'static>, String> {
    let own = target.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    parse_name(own.unwrap_or_else(|| without_port(&target.host)))
}

/// Returns a host without its port: `shop.test:8443` is `shop.test`, `[::1]:8443` is `[::1]`.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            // The last group of a bare IPv6 address is no port.
            if name.contains(':') && !name.ends_with(']') {
                host
            } else {
                name
            }
        }
        _ => host,
    }
}

/// Parses the name that a certificate must have: a DNS name or an IP address, also in brackets.
///
/// # Errors
/// Returns the name and why it is none.
pub fn parse_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.trim_matches(['[', ']']).to_owned()).map_err(|error| {
        format!(
            "`{name}` cannot be asked for in TLS ({error}); give a host name with \
             `.tls(Tls::new().server_name(\"shop.test\"))`"
        )
    })
}

fn roots(authorities: &Authorities) -> Result<Arc<RootCertStore>, String> {
    match authorities {
        Authorities::Machine => machine_roots(),
        Authorities::File(file) => {
            let pem = std::fs::read(file).map_err(|error| {
                format!(
                    "cannot read the root certificate {}: {error}; correct `.root_certificate(...)` (relative to the declaring crate)",
                    file.display()
                )
            })?;
            from_pem(&pem, &file.display().to_string())
        }
        Authorities::Pem(pem) => from_pem(pem.as_bytes(), "the text of `.root_certificate_pem(...)`"),
    }
}

/// Returns the certificates that this machine trusts, read once.
fn machine_roots() -> Result<Arc<RootCertStore>, String> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return Err(
            "this machine trusts no root certificates; install the package ca-certificates, or name a file of them with \
             `.tls(Tls::new().root_certificate(\"root.pem\"))` or in SSL_CERT_FILE"
                .to_owned(),
        );
    }
    Ok(Arc::clone(roots))
}

fn from_pem(pem: &[u8], source: &str) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
            .map_err(|error| format!("a certificate in {source} is damaged: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!(
            "{source} holds no certificate; it must be in PEM, with `-----BEGIN CERTIFICATE-----`"
        ));
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
#[path = "tls_server.rs"]
pub(crate) mod test_server;

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
