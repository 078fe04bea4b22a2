//! What a worker may do at Redis, and what it finds there, while that changes.

use std::time::Duration;

use super::{
    rig::{PATIENCE, STALL},
    store::{DOWN, with_redis},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_45_functions_that_vanish_under_load_are_loaded_again() {
    for layout in ["keys", "compact"] {
        let (redis, rig) = with_redis(2).await;
        let mut rig = rig.with("DEDUPE__LAYOUT", layout);
        rig.load(1200, 15).await;
        let pod = rig.start();
        for _ in 0..10 {
            rig.more_effects(50, STALL).await;
            redis.command::<()>(&["FUNCTION", "FLUSH", "SYNC"]).await;
            redis.command::<()>(&["SCRIPT", "FLUSH"]).await;
        }
        rig.settles_once().await;
        drop(pod);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_46_rights_that_are_taken_away_pause_the_work_until_they_are_given_back() {
    let (redis, mut rig) = with_redis(2).await;
    redis.command::<()>(&["ACL", "SETUSER", "pod", "on", ">sesame", "~*", "+@all"]).await;
    let url = format!("redis://pod:sesame@127.0.0.1:{}/", redis.port());
    rig = rig.with("REDIS__URL", &url);
    rig.send(4, |_| r#","sleep_ms":12000"#.to_owned()).await;
    rig.load(1000, 20).await;
    let mut pod = rig.start();
    for (taken, given, length) in
        [("-set", "+set", 12), ("-fcall", "+fcall", 6), ("off", "on", 6), ("-@all", "+@all", 6)]
    {
        rig.more_effects(50, PATIENCE).await;
        // Enough to be left when the rights are gone.
        rig.load(1000, 20).await;
        redis.command::<()>(&["ACL", "SETUSER", "pod", taken]).await;
        if taken == "off" {
            // Who is in already, stays.
            redis.command::<i64>(&["CLIENT", "KILL", "USER", "pod"]).await;
        }
        rig.answers("/readyz", 503, DOWN).await;
        // Claims that are new go without functions; what they cannot do waits.
        if taken != "-fcall" {
            rig.keeps_answering("/readyz", 503, Duration::from_secs(length)).await;
        }
        redis.command::<()>(&["ACL", "SETUSER", "pod", given]).await;
    }
    rig.settles_once().await;
    rig.answers("/readyz", 200, "ok").await;
    assert!(!pod.output().contains("sesame"), "a secret was shown");
    assert_eq!(pod.ended(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_46_a_database_that_is_not_there_is_named_at_the_start() {
    let (redis, rig) = with_redis(1).await;
    let rig = rig.with("REDIS__URL", &format!("redis://127.0.0.1:{}/99", redis.port()));
    let mut pod = rig.start();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(1));
    assert!(pod.output().contains("has no such database"), "{}", pod.output());
}
