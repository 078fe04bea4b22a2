// expect: missing `NAME` in implementation

use oncewise::prelude::*;

struct Charge;

impl Handler for Charge {
    type Event = u32;

    fn dedupe_key(&self, _: &u32, meta: &Metadata) -> DedupeKey {
        DedupeKey::record(meta)
    }

    async fn handle(&self, _: &u32, _: &Context) -> Outcome {
        done()
    }
}

fn main() {
    drop(Routes::new().on("payments", Charge));
}
