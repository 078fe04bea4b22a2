//! Cases about what is remembered of a group's first start.

use std::collections::BTreeMap;

use super::bench::{Bench, same};
use super::{TestStore, Verdict, Violation, run_each};
use crate::store::{Accepted, Anchors};

pub(super) async fn run(store: &dyn TestStore) -> Result<(), Violation> {
    run_each!(
        store,
        an_unknown_group_has_no_anchors,
        the_first_start_is_remembered_number_by_number,
        where_a_loss_is_accepted_reading_begins_anew,
        an_accepted_position_is_kept_until_it_is_done,
        an_end_that_was_lost_is_remembered_until_reading_has_begun_again,
        the_topic_that_a_partition_began_in_is_the_last_one_told,
        anchors_of_one_group_and_topic_are_no_others,
        notes_are_kept_by_kind_and_name_until_they_are_taken_away,
        the_store_describes_itself,
    );
    Ok(())
}

async fn an_unknown_group_has_no_anchors(bench: &Bench<'_>) -> Verdict {
    same(bench.store.anchors(bench.space(), "topic").await?, Anchors::default())
}

async fn notes_are_kept_by_kind_and_name_until_they_are_taken_away(bench: &Bench<'_>) -> Verdict {
    let (kind, other) = (bench.space(), format!("{}.other", bench.space()));
    same(bench.store.notes(kind).await?, BTreeMap::new())?;
    for (name, text) in [("b", "1"), ("a:b{c}", "old"), ("a:b{c}", "{\"n\": 2}")] {
        bench.store.note(kind, name, Some(text)).await?;
    }
    bench.store.note(&other, "b", Some("3")).await?;
    bench.store.note(kind, "b", None).await?;
    bench.store.note(kind, "never there", None).await?;
    same(bench.store.notes(kind).await?, BTreeMap::from([("a:b{c}".to_owned(), "{\"n\": 2}".to_owned())]))?;
    same(bench.store.notes(&other).await?, BTreeMap::from([("b".to_owned(), "3".to_owned())]))
}

async fn the_first_start_is_remembered_number_by_number(bench: &Bench<'_>) -> Verdict {
    let group = bench.space();
    bench.store.anchor(group, "topic", 3, &[(0, 10), (1, 0)]).await?;
    bench.store.anchor(group, "topic", 6, &[(1, 99), (2, i64::MAX)]).await?;
    bench.store.anchor(group, "topic", 6, &[]).await?;
    let started = BTreeMap::from([(0, 10), (1, 0), (2, i64::MAX)]);
    let wanted = Anchors { partitions: Some(3), started, ..Anchors::default() };
    same(bench.store.anchors(group, "topic").await?, wanted)
}

async fn where_a_loss_is_accepted_reading_begins_anew(bench: &Bench<'_>) -> Verdict {
    let group = bench.space();
    bench.store.anchor(group, "topic", 2, &[(0, 10), (1, 20)]).await?;
    bench.store.accept(group, "topic", 1, Accepted::Latest).await?;
    bench.store.anchor(group, "topic", 2, &[(0, 30), (1, 40)]).await?;
    bench.store.begun(group, "topic", 1, None).await?;
    bench.store.anchor(group, "topic", 2, &[(1, 50)]).await?;
    same(bench.store.anchors(group, "topic").await?.started, BTreeMap::from([(0, 10), (1, 40)]))
}

async fn an_accepted_position_is_kept_until_it_is_done(bench: &Bench<'_>) -> Verdict {
    let group = bench.space();
    let positions = [(0, Accepted::Earliest), (1, Accepted::Latest), (2, Accepted::Offset(7))];
    for (partition, position) in positions {
        bench.store.accept(group, "topic", partition, Accepted::Offset(1)).await?;
        bench.store.accept(group, "topic", partition, position).await?;
    }
    same(bench.store.anchors(group, "topic").await?.accepted, BTreeMap::from(positions))?;
    for partition in [0, 1, 1, 9] {
        bench.store.begun(group, "topic", partition, None).await?;
    }
    let left = Anchors { accepted: BTreeMap::from([(2, Accepted::Offset(7))]), ..Anchors::default() };
    same(bench.store.anchors(group, "topic").await?, left)
}

async fn an_end_that_was_lost_is_remembered_until_reading_has_begun_again(bench: &Bench<'_>) -> Verdict {
    let group = bench.space();
    for (partition, from) in [(0, 60), (1, 0), (0, 70)] {
        bench.store.lost(group, "topic", partition, from).await?;
    }
    bench.store.accept(group, "topic", 0, Accepted::Latest).await?;
    bench.store.anchor(group, "topic", 2, &[(0, 90)]).await?;
    same(bench.store.anchors(group, "topic").await?.lost, BTreeMap::from([(0, 60), (1, 0)]))?;
    bench.store.begun(group, "topic", 0, None).await?;
    same(bench.store.anchors(group, "topic").await?.lost, BTreeMap::from([(1, 0)]))
}

async fn the_topic_that_a_partition_began_in_is_the_last_one_told(bench: &Bench<'_>) -> Verdict {
    let group = bench.space();
    for (partition, id) in [(0, Some("old")), (1, Some("id:with:colons")), (0, Some("new")), (0, None)] {
        bench.store.begun(group, "topic", partition, id).await?;
    }
    let wanted = BTreeMap::from([(0, "new".to_owned()), (1, "id:with:colons".to_owned())]);
    same(bench.store.anchors(group, "topic").await?.topic_ids, wanted)
}

async fn anchors_of_one_group_and_topic_are_no_others(bench: &Bench<'_>) -> Verdict {
    let group = bench.space();
    bench.store.anchor(group, "topic", 3, &[(0, 10)]).await?;
    same(bench.store.anchors(group, "topic2").await?, Anchors::default())?;
    same(bench.store.anchors(&format!("{group}2"), "topic").await?, Anchors::default())
}

async fn the_store_describes_itself(bench: &Bench<'_>) -> Verdict {
    let (one, other) = (bench.store.describe().await?, bench.store.describe().await?);
    same((&one.version, &one.run_id, &one.role), (&other.version, &other.run_id, &other.role))?;
    for (name, said) in [("version", one.version.is_some()), ("run_id", one.run_id.is_some())] {
        same((name, said), (name, !one.unreadable.iter().any(|unread| unread == name)))?;
    }
    Ok(())
}
