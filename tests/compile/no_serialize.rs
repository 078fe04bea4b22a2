// expect: consider adding `#[derive(serde::Serialize)]` to your `Paid` type

use oncewise::prelude::*;

struct Paid;

struct Charge;

impl Handler for Charge {
    const NAME: &str = "charge";
    type Event = u32;

    fn dedupe_key(&self, _: &u32, meta: &Metadata) -> DedupeKey {
        DedupeKey::record(meta)
    }

    async fn handle(&self, _: &u32, ctx: &Context) -> Outcome {
        ctx.publish("payments.made", "k", &Paid)?;
        done()
    }
}

fn main() {
    drop(Routes::new().on("payments", Charge));
}
