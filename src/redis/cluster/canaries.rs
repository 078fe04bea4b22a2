//! What shows that a node has lost what it had although no other process answers: each bucket has a random value of its
//! own that never runs out. Whoever looks first writes it, and one that is gone is written anew, as another one.

use std::sync::Arc;

use ::redis::Pipeline;
use futures_util::FutureExt;
use futures_util::future::join_all;

use super::outcome::{Outcome, Visit};
use super::{Cluster, slot};
use crate::redis::connection::Trouble;
use crate::redis::node::Node;
use crate::redis::redirect::Redirect;
use crate::store::{BUCKETS, StoreFault};

impl Cluster {
    /// A digest of all of them.
    pub(super) async fn canaries(&self, prefix: &str) -> Result<String, StoreFault> {
        let keys: Vec<String> = (0..BUCKETS).map(|bucket| format!("{prefix}:{{{bucket}}}:known")).collect();
        let keys = &keys;
        let values = self.each((0..BUCKETS).map(slot::of_bucket).collect(), |node, visit, numbers| {
            async move {
                let looks = numbers.iter().map(|number| look(&node, &keys[*number], visit));
                join_all(looks).await.into_iter().collect()
            }
            .boxed()
        });
        let digest = blake3::hash(values.await?.join("+").as_bytes());
        Ok(digest.to_hex()[..32].to_owned())
    }
}

async fn look(node: &Arc<Node>, key: &str, visit: Visit) -> Result<Outcome<String>, StoreFault> {
    match ask(node, &[&["GET", key]], visit).await? {
        Outcome::Answer(None) => {}
        Outcome::Answer(Some(value)) => return Ok(Outcome::Answer(value)),
        Outcome::Elsewhere(redirect) => return Ok(Outcome::Elsewhere(redirect)),
    }
    let value = format!("{:032x}", rand::random::<u128>());
    // Somebody else may be first.
    Ok(match ask(node, &[&["SET", key, &value, "NX"], &["GET", key]], visit).await? {
        Outcome::Answer(Some(value)) => Outcome::Answer(value),
        Outcome::Answer(None) => Outcome::Elsewhere(Redirect::Again),
        Outcome::Elsewhere(redirect) => Outcome::Elsewhere(redirect),
    })
}

/// What the last of the commands answers.
async fn ask(node: &Node, commands: &[&[&str]], visit: Visit) -> Result<Outcome<Option<String>>, StoreFault> {
    let mut asked = Pipeline::with_capacity(2 * commands.len());
    for (number, words) in commands.iter().enumerate() {
        if visit.asking {
            asked.cmd("ASKING").ignore();
        }
        asked.cmd(words[0]).arg(&words[1..]);
        if number + 1 < commands.len() {
            asked.ignore();
        }
    }
    match node.calls.ask::<(Option<String>,)>(&asked).await {
        Ok((value,)) => Ok(Outcome::Answer(value)),
        Err(Trouble::Elsewhere(redirect, _)) => Ok(Outcome::Elsewhere(redirect)),
        Err(Trouble::Fault(fault)) => Err(fault),
    }
}
