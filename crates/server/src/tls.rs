//! TLS for the listener: the certificate and its key, read from files, and read again when told so.
//!
//! A pair that cannot be used never takes the place of one that can. What travels inside is not
//! known here.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The first byte of a TLS conversation; no HTTP request begins with it.
pub(crate) const FIRST_BYTE: u8 = 0x16;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds something else.
    #[error("cannot read {what} in `{}`: {cause}", path.display())]
    File {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// Both can be read and do not go together.
    #[error("`{}` and `{}` do not go together", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
}

impl TlsError {
    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            TlsError::File { .. } => "name PEM files: the certificate with its chain, and its key",
            TlsError::Pair { .. } => "name the key that belongs to the first certificate",
        }
    }
}

/// The certificate that the listener shows.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
}

impl Certificate {
    /// Reads a certificate with its chain, and its key, from PEM files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn read(chain: PathBuf, key: PathBuf) -> Result<Certificate, TlsError> {
        let current = RwLock::new(Arc::new(configuration(&chain, &key)?));
        Ok(Certificate { chain, key, current })
    }

    /// Reads the files again. Conversations that go on keep what they have.
    ///
    /// # Errors
    /// See [`TlsError`]; what was read before stays in use.
    pub fn read_again(&self) -> Result<(), TlsError> {
        let read = Arc::new(configuration(&self.chain, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// What takes a connection with the certificate of now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }
}

fn configuration(chain: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let file =
        |what, path: &Path, cause: String| TlsError::File { what, path: path.to_owned(), cause };
    let what = "a certificate";
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| file(what, chain, error.to_string()))?;
    if certificates.is_empty() {
        return Err(file(what, chain, "there is none".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| file("a private key", key, error.to_string()))?;
    let pair =
        |source| TlsError::Pair { certificate: chain.to_owned(), key: key.to_owned(), source };
    let mut configuration = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(pair)?;
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}
