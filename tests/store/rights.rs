//! What a user has to be allowed: all of it is needed, and it is enough.

use oncewise::config::{RedisSettings, Secret};
use oncewise::redis::RedisStore;
use oncewise::store::{DedupeStore, FaultKind, Layout, conformance};

use crate::adapter::Adapter;
use crate::server::Server;
use crate::{PATIENCE, claim, fails, is_won, request};

/// As in the guide.
const LEAST: &str = "+multi +exec +time +info +fcall +get +set +del +mget +getrange +setrange +pexpire +pttl +hgetall +hset \
                     +hsetnx +hdel";
const LOADING: &str = "+function|list +function|load";

async fn user(server: &Server, name: &str, rules: &[&str]) {
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER").arg(name).arg(rules);
    user.exec_async(&mut server.raw().await).await.unwrap();
}

async fn server() -> Server {
    let server = Server::start(&[]).await;
    for (name, rights) in [("worker", LEAST), ("loader", &format!("{LEAST} {LOADING}")[..])] {
        let password = format!(">{name}-secret");
        let mut rules = vec!["on", &password, "resetkeys", "~oncewise:*", "resetchannels", "nocommands"];
        rules.extend(rights.split_whitespace());
        user(&server, name, &rules).await;
    }
    server
}

fn as_user(server: &Server, name: &str) -> RedisStore {
    RedisStore::connect(&server.url_of(name, &format!("{name}-secret")), PATIENCE).unwrap()
}

#[test]
fn the_guide_lists_just_these_rights() {
    let guide = include_str!("../../guide/src/security.md");
    let (_, shown) = guide.split_once("nocommands\n").unwrap();
    let (shown, further) = shown.split_once("```").unwrap();
    assert!(shown.split_whitespace().eq(LEAST.split_whitespace()), "{shown}");
    assert!(further.contains(&format!("`{LOADING}`")), "{further}");
}

#[tokio::test]
async fn a_user_with_the_least_rights_can_do_everything() {
    let server = server().await;
    as_user(&server, "loader").load_functions().await.unwrap();
    // The keys of the suite have a prefix of their own; its back doors use the server's own user.
    user(&server, "worker", &["~conformance:*"]).await;
    let adapter = Adapter::new(as_user(&server, "worker"), &server.url()).await;
    let adapter = adapter.beside(as_user(&server, "worker").always_together(None)).claiming_together();
    conformance::run(&adapter.keeping(&[Layout::Keys, Layout::Compact]), 0..50).await.unwrap();
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_at_the_start() {
    let server = server().await;
    as_user(&server, "loader").load_functions().await.unwrap();
    for right in LEAST.split_whitespace() {
        user(&server, "worker", &[&right.replace('+', "-")]).await;
        let said = fails(as_user(&server, "worker").describe().await, FaultKind::Refused, "allow it by ACL");
        assert!(said.ends_with(&format!("ACL: {right}")), "{said}");
        user(&server, "worker", &[right]).await;
    }
    user(&server, "worker", &["-get", "-set", "resetkeys"]).await;
    let said = fails(as_user(&server, "worker").describe().await, FaultKind::Refused, "allow it by ACL");
    assert!(said.contains("+get +set ~oncewise:*"), "{said}");
    user(&server, "worker", &["+get", "+set", "~oncewise:*"]).await;
    // Where replicas are waited for, or a prefix is another one, more is needed.
    let settings = |wait_replicas| RedisSettings {
        url: Secret::new(server.url()),
        username: Some("worker".to_owned()),
        password: Some(Secret::new("worker-secret")),
        wait_replicas,
        ..RedisSettings::default()
    };
    let store = RedisStore::open(&settings(1), "oncewise").unwrap();
    fails(store.describe().await, FaultKind::Refused, "allow it by ACL: +wait");
    let store = RedisStore::open(&settings(0), "shop").unwrap();
    fails(store.describe().await, FaultKind::Refused, "allow it by ACL: ~shop:*");
    let store = RedisStore::open(&settings(0), "oncewise").unwrap();
    is_won(claim(&store, &request("k")).await);
}

#[tokio::test]
async fn functions_may_be_loaded_by_somebody_else() {
    let server = server().await;
    for said in ["+function|list +function|load", "run `check`", "allow it by ACL"] {
        fails(claim(&as_user(&server, "worker"), &request("k")).await, FaultKind::Refused, said);
    }
    // Somebody who may look, but not load, is told the same.
    user(&server, "worker", &["+function|list"]).await;
    fails(claim(&as_user(&server, "worker"), &request("k")).await, FaultKind::Refused, "run `check`");
    user(&server, "worker", &["-function|list"]).await;
    // Whoever connects and may, loads.
    as_user(&server, "loader").describe().await.unwrap();
    is_won(claim(&as_user(&server, "worker"), &request("k")).await);
}
