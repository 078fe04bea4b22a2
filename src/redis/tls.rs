//! TLS to a server: its certificate and its name are always looked at.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::config::RedisSettings;
use crate::store::StoreFault;

#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// # Errors
    /// Refused when a file cannot be read or holds something else, by the name of its key.
    pub(super) fn of(settings: &RedisSettings) -> Result<Self, StoreFault> {
        // Named, not the default of the process: a team's program may hold several, and then there is none.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder =
            builder.with_safe_default_protocol_versions().map_err(|error| unusable("TLS", &error))?;
        let builder = builder.with_root_certificates(roots(settings.ca_file.as_deref())?);
        let config = match (&settings.certificate_file, &settings.key_file) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("redis.certificate_file", certificate)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| unusable("redis.key_file", &format_args!("{key}: {error}")))?;
                let both = "redis.certificate_file with redis.key_file";
                builder.with_client_auth_cert(chain, key).map_err(|error| unusable(both, &error))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn over(&self, stream: TcpStream, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

fn roots(ca_file: Option<&str>) -> Result<RootCertStore, StoreFault> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates("redis.ca_file", path)? {
                let added = roots.add(certificate);
                added.map_err(|error| unusable("redis.ca_file", &format_args!("{path}: {error}")))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let advice = "this machine has no authorities of its own; set `redis.ca_file`";
                return Err(StoreFault::refused(format!("TLS to Redis cannot be used: {advice}")));
            }
        }
    }
    Ok(roots)
}

fn certificates(key: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, StoreFault> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(some) if !some.is_empty() => Ok(some),
        Ok(_) => Err(unusable(key, &format_args!("{path} holds no certificate; allowed is PEM"))),
        Err(error) => Err(unusable(key, &format_args!("{path}: {error}"))),
    }
}

fn unusable(what: &str, error: &dyn std::fmt::Display) -> StoreFault {
    StoreFault::refused(format!("{what} cannot be used: {error}"))
}
