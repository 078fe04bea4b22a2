//! Redis servers that stop, freeze and forget.

use redis::RedisError;

use crate::support::redis::{RedisServer, patient_connection, shared_url};

#[tokio::test]
async fn what_a_server_wrote_survives_a_kill_only_when_it_appends() {
    for append_only in [true, false] {
        let mut server = RedisServer::start(append_only).await;
        server.command::<()>(&["SET", "k", "v"]).await;
        server.kill();
        assert!(server.connection().await.is_err());
        server.start_again().await;
        assert_eq!(
            server.command::<Option<String>>(&["GET", "k"]).await,
            append_only.then(|| "v".to_owned())
        );
    }
}

#[tokio::test]
async fn a_server_can_be_emptied_running_and_stopped() {
    let mut server = RedisServer::start(true).await;
    server.command::<()>(&["SET", "k", "v"]).await;
    server.flush().await;
    assert_eq!(server.command::<u64>(&["DBSIZE"]).await, 0);

    server.command::<()>(&["SET", "k", "v"]).await;
    let url = server.url();
    server.stop().await;
    server.start_again_empty().await;
    assert_eq!(server.command::<u64>(&["DBSIZE"]).await, 0);
    assert_eq!(server.url(), url);
}

#[tokio::test]
async fn a_frozen_server_does_not_answer_until_it_is_thawed() {
    let server = RedisServer::start(false).await;
    let mut connection = server.connection().await.unwrap();
    server.freeze();
    let silent: Result<String, RedisError> = redis::cmd("PING").query_async(&mut connection).await;
    assert!(silent.unwrap_err().is_timeout());
    server.thaw();
    assert_eq!(server.command::<String>(&["PING"]).await, "PONG");
}

#[tokio::test]
async fn the_shared_server_answers() {
    let mut connection = patient_connection(&shared_url()).await;
    let answer: String = redis::cmd("PING").query_async(&mut connection).await.unwrap();
    assert_eq!(answer, "PONG");
}
