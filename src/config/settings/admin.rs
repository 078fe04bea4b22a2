//! `[admin]`: what operators may do over HTTP.

use std::net::SocketAddr;

use super::outside::listen;
use crate::config::{Reader, Secret};

/// A shorter token could be guessed.
const SHORTEST: usize = 16;

/// `[admin]`: who may do what over HTTP, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where to listen; `None` when switched off.
    pub listen: Option<SocketAddr>,
    /// What a request has to bring; without one nothing is served.
    pub token: Option<Secret>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9465))), token: None }
    }
}

impl AdminSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let key = "admin.token";
        let listen = listen(reader, "admin.listen", Self::default().listen);
        let token = reader.secret(key);
        if let Some(token) = &token {
            let text = token.reveal();
            if text.len() < SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                reader.problem(key, "allowed are 16 and more visible characters of ASCII, such as those of `openssl rand -hex 32`");
            }
            if let Some(address) = listen.filter(|address| !address.ip().is_loopback()) {
                reader.warn(format!(
                    "admin.listen = \"{address}\" is not of this machine alone, and HTTP is not encrypted: whoever is on the way can read admin.token"
                ));
            }
        }
        Self { listen, token }
    }
}
