// expect: implement `std::error::Error` for `Busy`, or put a text in its place: `.map_err(|_| "why")`

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
        Err(Busy).or_retry()?;
        done()
    }
}

fn main() {
    drop(Routes::new().on("payments", Charge));
}
