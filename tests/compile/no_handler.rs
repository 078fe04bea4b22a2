// expect: `Charge` is not an event handler
// expect: implement `oncewise::Handler` for `Charge`: NAME, Event, dedupe_key and handle

use oncewise::prelude::*;

struct Charge;

fn main() {
    drop(Routes::new().on("payments", Charge));
}
