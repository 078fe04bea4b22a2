// expect: register the handler with its codec: `Routes::on_with(topic, codec, handler)`
// expect: `Raw` implements `Codec<oncewise::Bytes>`

use oncewise::prelude::*;

struct Charge;

impl Handler for Charge {
    const NAME: &str = "charge";
    type Event = oncewise::Bytes;

    fn dedupe_key(&self, _: &oncewise::Bytes, meta: &Metadata) -> DedupeKey {
        DedupeKey::record(meta)
    }

    async fn handle(&self, _: &oncewise::Bytes, _: &Context) -> Outcome {
        done()
    }
}

fn main() {
    drop(Routes::new().on("payments", Charge));
}
