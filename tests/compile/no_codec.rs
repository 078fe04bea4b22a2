// expect: the trait `Codec<_>` is not implemented for `Avro`

use oncewise::prelude::*;

struct Avro;

struct Charge;

impl Handler for Charge {
    const NAME: &str = "charge";
    type Event = u32;

    fn dedupe_key(&self, _: &u32, meta: &Metadata) -> DedupeKey {
        DedupeKey::record(meta)
    }

    async fn handle(&self, _: &u32, _: &Context) -> Outcome {
        done()
    }
}

fn main() {
    drop(Routes::new().on_with("payments", Avro, Charge));
}
