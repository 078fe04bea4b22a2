//! What a node of a cluster says that does not have a slot, or not all of it. Pure.

/// Where a request is to go instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// To the node that has the slot from now on.
    Moved(Node),
    /// To the node that the slot is moving to, this once.
    Ask(Node),
    /// To nobody for a moment: what it needs is partly here and partly there.
    Again,
}

/// Host and port as a node writes them; an empty host is the node's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What an error means, by its code and its text; `None` when it is no redirection.
pub(super) fn read(code: &str, text: &str) -> Option<Redirect> {
    let node = || {
        let (host, port) = text.split(' ').nth(1)?.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        Some(Node { host: host.to_owned(), port })
    };
    match code {
        "MOVED" => node().map(Redirect::Moved),
        "ASK" => node().map(Redirect::Ask),
        "TRYAGAIN" => Some(Redirect::Again),
        // What a function says that finds its keys partly moved.
        _ if text.contains("access a non local key") => Some(Redirect::Again),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_are_told_from_other_errors() {
        let node = |host: &str, port| Node { host: host.to_owned(), port };
        for (code, text, wanted) in [
            ("MOVED", "3999 127.0.0.1:6381", Some(Redirect::Moved(node("127.0.0.1", 6381)))),
            ("MOVED", "3999 ::1:6381", Some(Redirect::Moved(node("::1", 6381)))),
            ("MOVED", "3999 :6381", Some(Redirect::Moved(node("", 6381)))),
            ("ASK", "3999 redis-2.redis:6381", Some(Redirect::Ask(node("redis-2.redis", 6381)))),
            ("TRYAGAIN", "Multiple keys request during rehashing of slot", Some(Redirect::Again)),
            ("ERR", "Script attempted to access a non local key in a cluster node", Some(Redirect::Again)),
            ("MOVED", "3999", None),
            ("MOVED", "3999 nowhere:0", None),
            ("ERR", "syntax error", None),
        ] {
            assert_eq!(read(code, text), wanted, "{code} {text}");
        }
    }
}
