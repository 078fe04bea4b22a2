// expect: future returned by `handle` is not `Send`
// expect: `state` maybe used later

use oncewise::prelude::*;

struct Charge;

impl Handler for Charge {
    const NAME: &str = "charge";
    type Event = u32;

    fn dedupe_key(&self, _: &u32, meta: &Metadata) -> DedupeKey {
        DedupeKey::record(meta)
    }

    async fn handle(&self, _: &u32, _: &Context) -> Outcome {
        let state = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(state);
        done()
    }
}

fn main() {
    drop(Routes::new().on("payments", Charge));
}
