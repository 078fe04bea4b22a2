//! The server's half of the store: its code, and whether a server has it.

use std::collections::HashMap;

use ::redis::aio::MultiplexedConnection;
use ::redis::{RedisError, ServerErrorKind, Value};

use super::fault::{fault, is_unknown_command};
use crate::store::StoreFault;

/// The server's half of the store, for `FUNCTION LOAD`.
pub const FUNCTIONS: &str = concat!(
    "#!lua name=oncewise_v2\n-- revision 9\n",
    include_str!("compact/pages.lua"),
    include_str!("functions.lua"),
    include_str!("ends.lua")
);

const LIBRARY: &str = "oncewise_v2";
const REVISION: &str = "-- revision ";

/// Workers of two versions may both find that there are none: so often it is looked again after loading them.
const LOOKS: u32 = 4;

/// Returns when the server has the functions, this revision or a newer one; loads them where it has not, and may.
pub(super) async fn ensure(connection: &mut MultiplexedConnection, address: &str) -> Result<(), StoreFault> {
    for _ in 0..LOOKS {
        let Some(has_others) = look(connection, address).await? else { return Ok(()) };
        load(connection, address, has_others).await?;
    }
    Err(StoreFault::unavailable(format!("Redis at {address} is given other functions by somebody else")))
}

/// `None` when the server has the functions; otherwise whether it has others of their name.
async fn look(connection: &mut MultiplexedConnection, address: &str) -> Result<Option<bool>, StoreFault> {
    match loaded(connection).await {
        Ok(code) if is_current(code.as_deref()) => Ok(None),
        Ok(code) => Ok(Some(code.is_some())),
        // Who may not look may still call, when another user has loaded them.
        Err(error) if is_denied(&error) => {
            let mut ask = ::redis::cmd("FCALL");
            ask.arg("oncewise_v2_revision").arg(0);
            match ask.query_async::<u64>(connection).await {
                Ok(there) if there >= revision(FUNCTIONS) => Ok(None),
                Ok(there) => Err(missing(address, &format!("has functions of revision {there}"))),
                Err(error) if error.to_string().contains("Function not found") => {
                    Err(missing(address, "has no functions of Oncewise, or old ones"))
                }
                Err(error) => Err(fault(address, &error)),
            }
        }
        Err(error) if is_unknown_command(&error) => Err(stranger(connection, address, &error).await),
        Err(error) => Err(fault(address, &error)),
    }
}

/// The code of the library as the server has it.
async fn loaded(connection: &mut MultiplexedConnection) -> Result<Option<String>, RedisError> {
    let mut list = ::redis::cmd("FUNCTION");
    list.arg("LIST").arg("LIBRARYNAME").arg(LIBRARY).arg("WITHCODE");
    let mut libraries: Vec<HashMap<String, Value>> = list.query_async(connection).await?;
    let code = libraries.pop().and_then(|mut library| library.remove("library_code"));
    Ok(code.map(::redis::from_redis_value).transpose()?)
}

/// Replaces only what was seen: where there were none, somebody may have loaded newer ones meanwhile.
async fn load(
    connection: &mut MultiplexedConnection,
    address: &str,
    has_others: bool,
) -> Result<(), StoreFault> {
    let mut load = ::redis::cmd("FUNCTION");
    load.arg("LOAD").arg(has_others.then_some("REPLACE")).arg(FUNCTIONS);
    match load.exec_async(connection).await {
        Err(error) if !has_others && error.to_string().contains("already exists") => Ok(()),
        Err(error) if is_denied(&error) => Err(missing(address, "has no functions of Oncewise, or old ones")),
        loaded => loaded.map_err(|error| fault(address, &error)),
    }
}

fn is_denied(error: &RedisError) -> bool {
    error.kind() == ServerErrorKind::NoPerm.into()
}

fn missing(address: &str, what: &str) -> StoreFault {
    let revision = revision(FUNCTIONS);
    StoreFault::refused(format!(
        "Redis at {address} {what}, revision {revision} is needed, and its user may not load them: allow it by ACL \
         (+function|list +function|load), or let a user who may do that run `check` once"
    ))
}

/// A server without functions is too old, or something else.
async fn stranger(connection: &mut MultiplexedConnection, address: &str, error: &RedisError) -> StoreFault {
    let role: Result<Vec<Value>, _> = ::redis::cmd("ROLE").query_async(connection).await;
    let role = role.ok().and_then(|role| role.into_iter().next());
    match role.map(::redis::from_redis_value::<String>) {
        Some(Ok(role)) if role == "sentinel" => StoreFault::refused(format!(
            "Redis at {address} is a Sentinel: set redis.mode to \"sentinel\" and name it in redis.sentinels"
        )),
        _ => fault(address, error),
    }
}

/// Whether this code of the library, as a server has it, is ours or newer: a worker of an older version, or one that
/// only looks, must not take away what newer ones rely on.
fn is_current(code: Option<&str>) -> bool {
    code.is_some_and(|code| code == FUNCTIONS || revision(code) > revision(FUNCTIONS))
}

fn revision(code: &str) -> u64 {
    let line = code.lines().find_map(|line| line.strip_prefix(REVISION));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_functions_are_left_alone_and_older_ones_replaced() {
        assert!(is_current(Some(FUNCTIONS)));
        let of = |revision: &str| FUNCTIONS.replace("-- revision 9\n", revision);
        assert!(is_current(Some(&of("-- revision 9\n"))));
        for older in [of("-- revision 0\n"), of(""), of("-- revision 9\n-- changed\n")] {
            assert!(!is_current(Some(&older)));
        }
        assert!(!is_current(None));
    }

    #[test]
    fn whoever_changes_the_functions_raises_their_revision() {
        let digest = blake3::hash(FUNCTIONS.as_bytes()).to_hex();
        assert_eq!(
            (revision(FUNCTIONS), &digest[..16]),
            (9, "35ee36ddc6c98035"),
            "a new revision, and then its digest here"
        );
    }
}
