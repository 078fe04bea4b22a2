//! What an error of the server or of the connection means for a worker.

use std::io;

use ::redis::{ErrorKind, RedisError};

use super::redirect::{self, Redirect};
use crate::store::StoreFault;

/// What to do about an error before anybody hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The connection is broken, or leads to a server that cannot serve: make a new one.
    Reconnect,
    /// No answer came in time; several in a row mean that the connection is dead.
    CountTimeout,
    /// The functions are not on the server: load them.
    LoadFunctions,
    /// Nothing here helps.
    None,
}

/// The error's code and text as the server sent them; a pipeline speaks with its first error.
fn from_server(error: &RedisError) -> Option<(String, String)> {
    let errors = error.clone().into_server_errors()?;
    let (_, first) = errors.first()?;
    Some((first.code().to_owned(), repeatable(first.details().unwrap_or_default()).to_owned()))
}

/// What may be repeated of a server's text: it repeats the arguments of a command that it does not know, a password
/// among them.
pub(super) fn repeatable(said: &str) -> &str {
    said.find(", with args").map_or(said, |end| &said[..end])
}

pub(super) fn remedy(error: &RedisError) -> Remedy {
    if error.is_timeout() {
        return Remedy::CountTimeout;
    }
    match from_server(error) {
        Some((code, text)) => remedy_for(&code, &text),
        None if error.is_io_error() || error.is_connection_dropped() || error.kind() == ErrorKind::Parse => {
            Remedy::Reconnect
        }
        None => Remedy::None,
    }
}

/// Where else a cluster wants to be asked, if that is what the error says.
pub(super) fn redirect(error: &RedisError) -> Option<Redirect> {
    from_server(error).and_then(|(code, text)| redirect::read(&code, &text))
}

/// The same for an error as it came over the line.
pub(super) fn redirect_of(error: &[u8]) -> Option<Redirect> {
    let (code, text) = parts(error);
    redirect::read(&code, &text)
}

/// Whether the server says that a function is missing.
pub(super) fn lacks_functions(error: &[u8]) -> bool {
    parts(error).1.contains("Function not found")
}

/// Whether the server knows no such command: it is older than we need, or none of ours.
pub(super) fn is_unknown_command(error: &RedisError) -> bool {
    from_server(error).is_some_and(|(_, text)| text.contains("unknown command"))
}

/// The fault when bytes cannot be carried to `address`, or not back.
pub(super) fn unreachable(address: &str, error: &io::Error) -> StoreFault {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => StoreFault::refused(format!(
            "Redis at {address} does not speak TLS there ({error}): set redis.url to redis://, or to the port for TLS"
        )),
        Some(rustls::Error::InvalidCertificate(_)) => StoreFault::refused(format!(
            "Redis at {address} shows a certificate that is not believed ({error}): set redis.ca_file to the authority \
             that has signed it, and the host of redis.url to a name that it is for"
        )),
        Some(rustls::Error::AlertReceived(_)) => StoreFault::refused(format!(
            "Redis at {address} ends TLS ({error}): it may want redis.certificate_file and redis.key_file"
        )),
        _ => StoreFault::unavailable(format!("Redis at {address} cannot be reached: {error}")),
    }
}

/// The same for an error as it came over the line.
pub(super) fn remedy_of(error: &[u8]) -> Remedy {
    let (code, text) = parts(error);
    remedy_for(&code, &text)
}

fn remedy_for(code: &str, text: &str) -> Remedy {
    match code {
        // What was blocked when its server was demoted is told so. A server without its replicas may be cut off, and
        // another one the primary by now.
        "READONLY" | "LOADING" | "MASTERDOWN" | "UNBLOCKED" | "NOREPLICAS" => Remedy::Reconnect,
        _ if text.contains("Function not found") => Remedy::LoadFunctions,
        _ => Remedy::None,
    }
}

/// The fault for an error at `address`, which names no user and no password.
pub(super) fn fault(address: &str, error: &RedisError) -> StoreFault {
    match from_server(error) {
        Some((code, text)) => fault_for(address, &code, &text),
        None => from_client(address, error),
    }
}

/// The same for an error as it came over the line.
pub(super) fn fault_of(address: &str, error: &[u8]) -> StoreFault {
    let (code, text) = parts(error);
    fault_for(address, &code, &text)
}

/// Code and text.
fn parts(error: &[u8]) -> (String, String) {
    let said = String::from_utf8_lossy(error);
    let (code, text) = said.split_once(' ').unwrap_or((&said, ""));
    (code.to_owned(), repeatable(text).to_owned())
}

fn fault_for(address: &str, code: &str, text: &str) -> StoreFault {
    let said = if text.is_empty() { code.to_owned() } else { format!("{code} {text}") };
    let at = format!("Redis at {address}");
    match code {
        "NOAUTH" => {
            StoreFault::refused(format!("{at} wants a password: set it in redis.url or redis.password"))
        }
        "WRONGPASS" => StoreFault::refused(format!("{at} refused the user or password of redis.url")),
        // What a function may not do comes without the code.
        _ if code == "NOPERM" || text.contains("The user executing the script can't") => {
            StoreFault::refused(format!("{at} does not let this user do its work; allow it by ACL: {said}"))
        }
        "DENIED" => {
            StoreFault::refused(format!("{at} runs in protected mode; give it a password or a bind address"))
        }
        "CLUSTERDOWN" => {
            StoreFault::unavailable(format!("{at} is in a cluster that cannot serve now: {said}"))
        }
        "MOVED" | "ASK" | "CROSSSLOT" => {
            StoreFault::refused(format!("{at} is a node of a cluster; set redis.mode to \"cluster\": {said}"))
        }
        _ if text.contains("cluster support disabled") => StoreFault::refused(format!(
            "{at} is no node of a cluster; set redis.mode to \"standalone\": {said}"
        )),
        _ if text.contains("unknown command") => StoreFault::refused(format!(
            "{at} is too old: functions need Redis 7.0 or Valkey 7.2 or newer: {said}"
        )),
        _ if text.contains("Function not found") => {
            StoreFault::refused(format!("{at} has no functions of Oncewise, and they could not be loaded"))
        }
        _ if text.contains("DB index") => StoreFault::refused(format!("{at} has no such database: {said}")),
        _ => StoreFault::unavailable(format!("{at} cannot serve now: {said}")),
    }
}

fn from_client(address: &str, error: &RedisError) -> StoreFault {
    let at = format!("Redis at {address}");
    match error.kind() {
        _ if error.is_timeout() => StoreFault::unavailable(format!("{at} did not answer in time")),
        // Said while connecting, so that it is not told as the server's.
        _ if error.to_string().contains("DB index") => {
            StoreFault::refused(format!("{at} has no such database; mind the end of redis.url"))
        }
        ErrorKind::AuthenticationFailed => {
            StoreFault::refused(format!("{at} refused the user or password of redis.url"))
        }
        ErrorKind::InvalidClientConfig => StoreFault::refused(format!(
            "{at} cannot be used as configured: {}",
            repeatable(&error.to_string())
        )),
        _ => StoreFault::unavailable(format!("{at} cannot be reached: {}", repeatable(&error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: &[u8] = b"ERR unknown command 'AUTH', with args beginning with: 'worker' 's3cret' ";

    #[test]
    fn what_a_server_repeats_of_our_arguments_is_not_repeated() {
        let over_the_line = fault_of("redis:6379", STRANGER);
        assert!(over_the_line.message.contains("unknown command 'AUTH'"), "{over_the_line}");
        let by_the_crate = fault("redis:6379", &by_the_crate(STRANGER));
        for said in [over_the_line, by_the_crate] {
            assert!(!said.message.contains("s3cret") && !said.message.contains("'worker'"), "{said}");
        }
    }

    /// The error that the crate makes of these words of a server.
    fn by_the_crate(said: &[u8]) -> RedisError {
        let reply = [b"-".as_slice(), said, b"\r\n"].concat();
        match ::redis::parse_redis_value(&reply).and_then(::redis::Value::extract_error) {
            Err(error) => error,
            Ok(value) => panic!("{value:?}"),
        }
    }

    #[test]
    fn a_server_without_its_replicas_is_left() {
        assert_eq!(remedy_of(b"NOREPLICAS Not enough good replicas to write."), Remedy::Reconnect);
        assert_eq!(remedy_of(b"OOM command not allowed"), Remedy::None);
    }
}
