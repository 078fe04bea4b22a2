//! What the user of the store has to be allowed, and whether it is.
//!
//! The server looks at the rights of a command when it is queued for a transaction. So every command is queued, and
//! the transaction given up: nothing has happened, and all that is missing is known at once.

use tokio::time::timeout;

use super::line::Line;
use super::resp::Reply;
use super::target::Target;
use super::together::name_of;
use crate::store::StoreFault;

/// What the store needs of every server, and what follows the command where it is looked at.
const ALWAYS: [(&str, &[&str]); 16] = [
    ("time", &[]),
    ("info", &[]),
    ("fcall", &["oncewise_v2_revision", "0"]),
    ("get", &[KEY]),
    ("get", &[BATCH]),
    ("set", &[KEY, "v"]),
    ("del", &[KEY]),
    ("mget", &[KEY]),
    ("getrange", &[KEY, "0", "0"]),
    ("setrange", &[KEY, "0", "v"]),
    ("pexpire", &[KEY, "1"]),
    ("pttl", &[KEY]),
    ("hgetall", &[KEY]),
    ("hset", &[KEY, "f", "v"]),
    ("hsetnx", &[KEY, "f", "v"]),
    ("hdel", &[KEY, "f"]),
];
/// Besides, of a node of a cluster.
const CLUSTER: [(&str, &[&str]); 3] = [("exists", &[KEY]), ("asking", &[]), ("cluster|slots", &[])];
/// Besides, of what Sentinel names.
const SENTINEL: [(&str, &[&str]); 1] = [("role", &[])];
/// Besides, where replicas are waited for.
const WAIT: [(&str, &[&str]); 1] = [("wait", &["0", "1"])];

/// Stands for the key that is looked at.
const KEY: &str = "<key>";
/// Stands for the record of a batch.
const BATCH: &str = "<batch>";

/// The rights that a store needs.
#[derive(Debug, Clone)]
pub(super) struct Rights {
    commands: Vec<(&'static str, &'static [&'static str])>,
    prefix: String,
}

impl Rights {
    pub(super) fn new(prefix: &str, cluster: bool, sentinel: bool, wait: bool) -> Self {
        let mut commands = ALWAYS.to_vec();
        commands.extend(CLUSTER.iter().filter(|_| cluster));
        commands.extend(SENTINEL.iter().filter(|_| sentinel));
        commands.extend(WAIT.iter().filter(|_| wait));
        Self { commands, prefix: prefix.to_owned() }
    }

    /// # Errors
    /// Refused when something is not allowed; the text names all of it.
    pub(super) async fn demand(&self, target: &Target) -> Result<(), StoreFault> {
        let missing = timeout(target.response_timeout, self.missing(target)).await;
        let missing = missing.unwrap_or_else(|_| Err(target.silent()))?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(StoreFault::refused(format!(
            "Redis at {} does not let this user do its work; allow it by ACL: {}",
            target.address,
            missing.join(" ")
        )))
    }

    /// The rules that have to be added for the user.
    async fn missing(&self, target: &Target) -> Result<Vec<String>, StoreFault> {
        let mut line = Line::open(target).await?;
        // With nothing queued, that is all it can be refused for.
        line.say(&[b"EXEC"], target).await?;
        let names_it = |error: &[u8]| String::from_utf8_lossy(error).contains("NOPERM");
        let mut missing: Vec<String> =
            line.replies.errors().filter(|error| names_it(error)).map(|_| "+exec".to_owned()).collect();
        // Without it the commands would not be queued but run.
        line.say(&[b"MULTI"], target).await?;
        if denied(&line).next().is_some() {
            missing.push("+multi".to_owned());
            return Ok(missing);
        }
        if let Some(Reply::Error(_)) = line.replies.all().last() {
            // It says why when it is asked for something.
            return Ok(Vec::new());
        }
        let (key, batch) = (format!("{}:{{0}}:rights", self.prefix), name_of(&self.prefix, 0));
        line.commands.clear();
        for (command, arguments) in &self.commands {
            let words = command.split('|').chain(arguments.iter().copied());
            let words = words.map(|word| match word {
                KEY => &key[..],
                BATCH => &batch[..],
                word => word,
            });
            line.commands.command(&words.map(str::as_bytes).collect::<Vec<_>>());
        }
        line.send(target).await?;
        for (number, said) in denied(&line) {
            let rule = match said.contains("key") && !said.contains("command") {
                true => format!("~{}:*", self.prefix),
                false => format!("+{}", self.commands[number].0),
            };
            if !missing.contains(&rule) {
                missing.push(rule);
            }
        }
        // The transaction ends with its connection.
        Ok(missing)
    }
}

/// What was refused for want of a right: which of the commands, and the text.
fn denied(line: &Line) -> impl Iterator<Item = (usize, String)> {
    line.replies.all().enumerate().filter_map(|(number, reply)| match reply {
        Reply::Error(error) if error.starts_with(b"NOPERM") => {
            Some((number, String::from_utf8_lossy(error).into_owned()))
        }
        _ => None,
    })
}
