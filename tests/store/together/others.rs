//! What happens to one event of a batch while the others wait for its end.

use std::time::Duration;

use oncewise::store::{Claim, Completed, Completion, DedupeStore, End, Released, Renewal, Renewed, Run};
use redis::AsyncCommands;

use super::{EVENTS, all_are_done, ends, others, requests, sets, store, together, unused};
use crate::server::Server;
use crate::{HOUR, claim, completion};

#[tokio::test]
async fn a_batch_does_not_end_as_a_whole_after_its_lease() {
    let server = Server::start(&[]).await;
    let (ours, theirs) = (together(&server), together(&server));
    let batch = requests("k", Duration::from_millis(300));
    let claims = ours.claim(&batch).await.unwrap();
    let ends = ends(&batch, &claims);
    let taken = &others(&batch)[3];
    let mut meanwhile = Vec::new();
    let grant = loop {
        match claim(&theirs, taken).await.unwrap() {
            Claim::Busy { left } => tokio::time::sleep(left).await,
            Claim::TakenOver(grant) => break grant,
            other => meanwhile.push(other),
        }
        assert_eq!(meanwhile, []);
    };
    let mut wanted = vec![Completed::Recorded; EVENTS];
    wanted[3] = Completed::Stolen;
    assert_eq!(ours.complete(&ends).await, Ok(wanted));
    let second = Completion { retention: HOUR * 2, ..completion(taken, grant.token, End::Done) };
    assert_eq!(theirs.complete(&[second]).await, Ok(vec![Completed::AlreadyFinished]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn a_late_end_of_a_batch_that_nobody_has_taken_is_recorded() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", Duration::from_millis(20));
    let claims = store.claim(&batch).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = sets(&server).await;
    assert_eq!(store.complete(&ends(&batch, &claims)).await, Ok(vec![Completed::Recorded; EVENTS]));
    assert_eq!(sets(&server).await - before, EVENTS as u64, "somebody may take them over at any moment");
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn the_events_of_a_worker_that_has_died_are_taken_over_one_by_one() {
    let server = Server::start(&[]).await;
    let batch = requests("k", Duration::from_millis(100));
    let dead = together(&server);
    let first = dead.claim(&batch).await.unwrap();
    let late = ends(&batch, &first);
    let (store, mine) = (together(&server), others(&batch));
    tokio::time::sleep(Duration::from_millis(150)).await;
    let claims = store.claim(&mine[..EVENTS - 2]).await.unwrap();
    assert!(claims.iter().all(|claim| matches!(claim, Claim::TakenOver(_))), "{claims:?}");
    // It was only slow.
    let mut wanted = vec![Completed::Stolen; EVENTS];
    wanted[EVENTS - 2..].fill(Completed::Recorded);
    assert_eq!(dead.complete(&late).await, Ok(wanted));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn whoever_asks_for_one_of_them_meanwhile_is_told_to_wait() {
    let server = Server::start(&[]).await;
    let (ours, theirs) = (together(&server), store(&server));
    let batch = requests("k", HOUR);
    let claims = ours.claim(&batch).await.unwrap();
    let asked = theirs.claim(&others(&batch)[..3]).await.unwrap();
    assert!(asked.iter().all(|claim| matches!(claim, Claim::Busy { left } if *left <= HOUR)), "{asked:?}");
    // The same delivery asks again: nobody had heard the answer.
    assert_eq!(ours.claim(&batch[4..6]).await.unwrap(), claims[4..6]);
    assert_eq!(ours.complete(&ends(&batch, &claims)).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn a_batch_of_which_one_was_renewed_ends_event_by_event() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", HOUR);
    let claims = store.claim(&batch).await.unwrap();
    let ends = ends(&batch, &claims);
    let renewal = Renewal {
        held: ends[0].held.clone(),
        lease: HOUR,
        retention: HOUR * 2,
        attempts: 1,
        first_failure_ms: None,
        run: Run::InCrowd,
        fingerprint: None,
    };
    assert_eq!(store.renew(&[renewal]).await, Ok(vec![Renewed::Kept]));
    assert_eq!(store.complete(&ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn one_of_them_may_be_given_back() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", HOUR);
    let claims = store.claim(&batch).await.unwrap();
    let ends = ends(&batch, &claims);
    let release = unused(ends[1].held.clone(), HOUR * 2);
    assert_eq!(store.release(&[release]).await, Ok(vec![Released::Released]));
    let rest: Vec<Completion> = ends.iter().filter(|end| end.held != ends[1].held).cloned().collect();
    assert_eq!(store.complete(&rest).await, Ok(vec![Completed::Recorded; EVENTS - 1]));
    let again = &others(&batch)[1];
    let Claim::Won(grant) = claim(&store, again).await.unwrap() else { panic!("it was given back") };
    let end = Completion { retention: HOUR * 2, ..completion(again, grant.token, End::Done) };
    assert_eq!(store.complete(&[end]).await, Ok(vec![Completed::Recorded]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn two_batches_of_one_number_do_not_end_each_other() {
    let server = Server::start(&[]).await;
    let number = Some(1_234_567_890_123_456);
    let (one, other) = (store(&server).always_together(number), store(&server).always_together(number));
    let (first, second) = (requests("first", HOUR), requests("second", HOUR));
    let first_ends = ends(&first, &one.claim(&first).await.unwrap());
    let second_ends = ends(&second, &other.claim(&second).await.unwrap());
    assert_eq!(one.complete(&first_ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    let asked = one.claim(&others(&second)).await.unwrap();
    assert!(asked.iter().all(|claim| matches!(claim, Claim::Busy { .. })), "{asked:?}");
    assert_eq!(other.complete(&second_ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &first).await;
    all_are_done(&server, &second).await;
}

#[tokio::test]
async fn of_two_that_have_finished_one_event_the_second_is_told_even_in_a_batch() {
    for heir_is_first in [true, false] {
        let server = Server::start(&[]).await;
        let (zombie, heir) = (store(&server), together(&server));
        let batch = requests("k", HOUR);
        let Claim::Won(grant) = claim(&zombie, &batch[3]).await.unwrap() else { panic!("it was new") };
        // What it holds gets lost, and another worker begins the same event.
        let _: () = server.raw().await.del(batch[3].key.name()).await.unwrap();
        let again = others(&batch);
        let ends = ends(&again, &heir.claim(&again).await.unwrap());
        let late = Completion { retention: HOUR * 2, ..completion(&batch[3], grant.token, End::Done) };
        let mut wanted = vec![Completed::Recorded; EVENTS];
        if heir_is_first {
            assert_eq!(heir.complete(&ends).await, Ok(wanted));
            assert_eq!(zombie.complete(&[late]).await, Ok(vec![Completed::AlreadyFinished]));
        } else {
            wanted[3] = Completed::AlreadyFinished;
            assert_eq!(zombie.complete(&[late]).await, Ok(vec![Completed::Stolen]));
            assert_eq!(heir.complete(&ends).await, Ok(wanted));
        }
        all_are_done(&server, &batch).await;
    }
}
