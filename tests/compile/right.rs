// compiles: every way to classify an error, and both kinds of events out.

use oncewise::{Bytes, Classified, Raw, prelude::*};

struct Busy;

impl Classified for Busy {
    fn classify(self) -> Failure {
        Failure::retry("busy")
    }
}

struct Refused;

impl From<Refused> for Failure {
    fn from(_: Refused) -> Self {
        Self::reject("refused")
    }
}

struct Charge;

impl Handler for Charge {
    const NAME: &str = "charge";
    type Event = Change<Bytes>;

    fn dedupe_key(&self, _: &Change<Bytes>, meta: &Metadata) -> DedupeKey {
        DedupeKey::cloud_event(meta)
    }

    async fn handle(&self, change: &Change<Bytes>, ctx: &Context) -> Outcome {
        let Change::Value(event) = change else { return skip("deleted") };
        match event.len() {
            0 => Err(Busy)?,
            1 => Err(Refused)?,
            2 => Err("a text").or_reject()?,
            3 => Err(Failure::retry("a failure"))?,
            4 => drop(std::fs::read("ledger").or_retry()?),
            _ => drop(std::fs::read("ledger").map_err(|_| "another text").or_reject()?),
        }
        ctx.publish("payments.made", "k", &1)?;
        ctx.send(Publication::encoded(&Raw, "payments.made", "k", &"bytes")?.named("second"))?;
        done()
    }
}

fn main() {
    drop(Routes::new().on_type_with("payments", "made", Raw, Charge).unknown("payments", Unknown::Skip));
}
