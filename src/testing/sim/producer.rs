//! A pod's line to the broker, for its letters.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Broken,
    history::{Place, Pod, What},
    pod::Seam,
    world::{Line, World},
};
use crate::{
    Header, Record,
    pipeline::{NewRecord, ProduceError, Producer, dead_letter::HEADER_PREFIX},
    telemetry::metrics::Label,
    testing::Disposition,
};

/// Writes letters into the world.
#[derive(Debug)]
pub(super) struct Letters(pub(super) Seam);

#[async_trait]
impl Producer for Letters {
    async fn send(&self, records: &[NewRecord]) -> Result<(), ProduceError> {
        let (seam, world) = (&self.0, &self.0.world);
        let lost = || Err(ProduceError::Fault("the schedule has lost it".to_owned()));
        seam.step().await;
        let line = world.line(false);
        match line {
            Line::RequestLost if world.broken == Some(Broken::LetterUnheard) => return Ok(()),
            Line::RequestLost => return lost(),
            Line::Late(time) => {
                let (world, pod, records) = (Arc::clone(world), seam.pod, records.to_vec());
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    records.iter().for_each(|record| _ = write(&world, pod, record));
                });
                seam.step().await;
                return lost();
            }
            Line::Fine | Line::ReplyLost => {}
        }
        let written: Vec<_> = records.iter().map(|record| write(world, seam.pod, record)).collect();
        seam.step().await;
        if line == Line::ReplyLost {
            return lost();
        }
        for (place, disposition) in written {
            world.happen(What::LetterHeard { pod: seam.pod, place, disposition });
        }
        Ok(())
    }
}

fn write(world: &World, pod: Pod, letter: &NewRecord) -> (Place, Disposition) {
    let ours = |name: &str| {
        let wanted = format!("{HEADER_PREFIX}{name}");
        let header = letter.headers.iter().find(|header| header.name == wanted.as_bytes());
        let value = header.and_then(|header| header.value.as_deref()).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    let place = Place(
        ours("original-partition").parse().unwrap_or(usize::MAX),
        ours("original-offset").parse().unwrap_or(i64::MAX),
    );
    let disposition = ours("disposition");
    let disposition = Disposition::ALL.iter().find(|known| known.as_str() == disposition);
    let disposition = disposition.copied().unwrap_or(Disposition::NoHandler);
    let is_whole = {
        let things = world.things();
        let index = usize::try_from(place.1).unwrap_or(usize::MAX);
        let source = things.log.get(place.0).and_then(|log| log.get(index));
        source.is_some_and(|source| is_whole(source, letter, world.broken))
    };
    world.happen(What::Letter { pod, place, is_whole });
    (place, disposition)
}

/// Whether a letter is its record, byte for byte.
fn is_whole(source: &Record, letter: &NewRecord, broken: Option<Broken>) -> bool {
    let theirs = |header: &&Header| !header.name.starts_with(HEADER_PREFIX.as_bytes());
    let key = letter.key.as_ref().filter(|_| broken != Some(Broken::LetterWithoutKey));
    let headers: Vec<&Header> = letter.headers.iter().filter(theirs).collect();
    source.key.as_ref() == key
        && (&source.value, source.timestamp) == (&letter.value, letter.timestamp)
        && source.headers.iter().collect::<Vec<_>>() == headers
}
