// expect: derive `serde::Serialize` for `Paid`, or publish it with another encoder: `Publication::encoded(&encoder, topic, key, &event)`

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
        ctx.send(Publication::encoded(&oncewise::Json, "payments.made", "k", &Paid)?)?;
        done()
    }
}

fn main() {
    drop(Routes::new().on("payments", Charge));
}
