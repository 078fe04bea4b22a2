// expect: write `.or_retry()?` where trying again may help, and `.or_reject()?` where it cannot
// expect: `Busy` needs to implement `Classified`

use oncewise::prelude::*;

struct Busy;

struct Charge;

impl Handler for Charge {
    const NAME: &str = "charge";
    type Event = u32;

    fn dedupe_key(&self, _: &u32, meta: &Metadata) -> DedupeKey {
        DedupeKey::record(meta)
    }

    async fn handle(&self, _: &u32, _: &Context) -> Outcome {
        Err(Busy)?;
        done()
    }
}

fn main() {
    drop(Routes::new().on("payments", Charge));
}
