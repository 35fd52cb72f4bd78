//! Certificates of HTTPS listeners and the process's TLS provider. Must never log a key.

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// How often the files are looked at for a change.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Makes *ring* the process's TLS provider, unless there is one already. The HTTP client needs one.
pub fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that somebody chose a provider before us: theirs will do.
        let _ = ring::default_provider().install_default();
    });
}

/// Certificate and key of a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads both files.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn load(&self) -> Result<Arc<ServerConfig>, String> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|e| format!("certificate {} and key {} do not work together: {e}", self.certificate.display(), self.key.display()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|file| fs::metadata(file).and_then(|m| m.modified()).ok())
    }
}

/// The certificates of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds none.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("cannot read certificates from {}: {why}", file.display());
    let pem = fs::read(file).map_err(|e| wrong(&e))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|e| wrong(&e))?;
    if all.is_empty() { Err(wrong(&"it holds no certificate in PEM form")) } else { Ok(all) }
}

/// The private key of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds none.
pub fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = fs::read(file).map_err(|e| format!("cannot read the private key {}: {e}", file.display()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|e| format!("cannot read the private key {}: {e}", file.display()))
}

/// The configuration of a listener, read again when its files change, so that a renewed certificate
/// is used without a restart. While the new files are unusable the old ones stay in use.
#[derive(Debug)]
pub struct LiveConfig {
    files: TlsFiles,
    state: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    changed: [Option<SystemTime>; 2],
    looked: Instant,
}

impl LiveConfig {
    /// Reads the files.
    ///
    /// # Errors
    /// As [`TlsFiles::load`].
    pub fn new(files: TlsFiles) -> Result<Self, String> {
        let changed = files.changed();
        let config = files.load()?;
        Ok(Self { files, state: Mutex::new(Loaded { config, changed, looked: Instant::now() }) })
    }

    /// The files, to see whether another location means the same.
    #[must_use]
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// Makes the next connection look at the files.
    #[cfg(test)]
    pub fn look_now(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).looked =
            Instant::now().checked_sub(LOOK_AGAIN).expect("a clock that runs");
    }

    /// The configuration for a new connection.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_AGAIN {
            state.looked = Instant::now();
            let changed = self.files.changed();
            if changed != state.changed {
                match self.files.load() {
                    Ok(config) => {
                        tracing::info!(certificate = %self.files.certificate.display(), "the renewed certificate is in use");
                        state.config = config;
                        state.changed = changed;
                    }
                    Err(error) => tracing::warn!(%error, "the changed certificate cannot be used; the old one stays in use"),
                }
            }
        }
        state.config.clone()
    }
}
