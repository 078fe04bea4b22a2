//! A process' line to the broker, for what it writes.

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Moment, broker::are_of_a_letter, world::Seam};
use crate::pipeline::{NewRecord, ProduceError, Producer};

/// Writes to the broker of the test.
#[derive(Debug)]
pub(super) struct LinedProducer(pub(super) Seam);

#[async_trait]
impl Producer for LinedProducer {
    async fn send(&self, records: &[NewRecord]) -> Result<(), ProduceError> {
        let letter = records.iter().any(|record| are_of_a_letter(&record.headers));
        let (before, after) = if letter {
            (Moment::BeforeDeadLetter, Moment::AfterDeadLetter)
        } else {
            (Moment::BeforePublish, Moment::AfterPublish)
        };
        self.0.reach(before).await;
        {
            let mut things = self.0.world.things();
            if Instant::now() < things.broker_back {
                return Err(ProduceError::Fault("the test has taken the broker away".to_owned()));
            }
            things.broker.write(records);
        }
        self.0.reach(after).await;
        Ok(())
    }
}
