use futures_util::FutureExt;

use super::*;

fn taken(capacity: &Arc<Capacity>, epoch: u64) -> Option<Places> {
    capacity.place(epoch).now_or_never()
}

fn fill(capacity: &Arc<Capacity>, epoch: u64) -> Vec<Places> {
    std::iter::from_fn(|| taken(capacity, epoch)).collect()
}

#[test]
fn one_partition_alone_may_use_every_place() {
    let capacity = Capacity::new(8);
    capacity.open(1);
    assert_eq!(fill(&capacity, 1).len(), 8);
}

#[test]
fn a_greedy_partition_leaves_the_others_their_share() {
    let capacity = Capacity::new(8);
    (1..=4).for_each(|epoch| capacity.open(epoch));
    let greedy = fill(&capacity, 1);
    assert_eq!(greedy.len(), 5, "its own place and the four shared ones");
    let others: Vec<_> = (2..=4).map(|epoch| fill(&capacity, epoch)).collect();
    assert_eq!(others.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn the_limit_holds_with_more_partitions_than_places() {
    let capacity = Capacity::new(2);
    (1..=9).for_each(|epoch| capacity.open(epoch));
    let held: Vec<_> = (1..=9).flat_map(|epoch| fill(&capacity, epoch)).collect();
    assert_eq!(held.len(), 2);
}

#[test]
fn places_go_round_when_there_are_too_few_to_guarantee_any() {
    let capacity = Capacity::new(1);
    (1..=2).for_each(|epoch| capacity.open(epoch));
    let mut held = taken(&capacity, 1).unwrap();
    let mut waiting = [1, 2].map(|epoch| (0..2).map(|_| Box::pin(capacity.place(epoch))).collect::<Vec<_>>());
    waiting.iter_mut().flatten().for_each(|place| assert!(place.now_or_never().is_none()));
    let mut order = Vec::new();
    for _ in 0..4 {
        drop(held);
        let (epoch, place) = (1..)
            .zip(&mut waiting)
            .find_map(|(epoch, queue)| queue.first_mut()?.now_or_never().map(|place| (epoch, place)))
            .unwrap();
        drop(waiting[epoch - 1].remove(0));
        order.push(epoch);
        held = place;
    }
    assert_eq!(order, [2, 1, 2, 1]);
}

#[test]
fn a_revoked_partition_gives_its_share_to_the_others() {
    let capacity = Capacity::new(8);
    (1..=2).for_each(|epoch| capacity.open(epoch));
    assert_eq!(fill(&capacity, 1).len(), 6);
    capacity.close(2);
    assert_eq!(fill(&capacity, 1).len(), 8);
}

#[test]
fn a_revoked_partition_gets_no_place_and_keeps_none_free() {
    let capacity = Capacity::new(4);
    (1..=2).for_each(|epoch| capacity.open(epoch));
    capacity.close(2);
    assert!(taken(&capacity, 2).is_none());
    assert_eq!(fill(&capacity, 1).len(), 4);
}

#[tokio::test]
async fn a_place_given_back_goes_to_the_one_who_waits() {
    let capacity = Capacity::new(1);
    capacity.open(1);
    let first = taken(&capacity, 1).unwrap();
    let second = tokio::spawn({
        let capacity = Arc::clone(&capacity);
        async move { capacity.place(1).await }
    });
    drop(first);
    let second = second.await.unwrap();
    assert!(taken(&capacity, 1).is_none());
    drop(second);
    assert!(taken(&capacity, 1).is_some());
}

#[test]
fn giving_up_waiting_loses_no_place() {
    let capacity = Capacity::new(1);
    capacity.open(1);
    let held = taken(&capacity, 1).unwrap();
    let mut waiting = Box::pin(capacity.place(1));
    assert!((&mut waiting).now_or_never().is_none());
    drop(held);
    drop(waiting);
    assert!(taken(&capacity, 1).is_some(), "the turn that came and was not taken went back");
}
