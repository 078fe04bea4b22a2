// expect: `oncewise::Json` cannot decode `Paid`
// expect: for JSON, the default, derive `serde::Deserialize` for the event

use oncewise::prelude::*;

struct Paid;

struct Charge;

impl Handler for Charge {
    const NAME: &str = "charge";
    type Event = Paid;

    fn dedupe_key(&self, _: &Paid, meta: &Metadata) -> DedupeKey {
        DedupeKey::record(meta)
    }

    async fn handle(&self, _: &Paid, _: &Context) -> Outcome {
        done()
    }
}

fn main() {
    drop(Routes::new().on("payments", Charge));
}
