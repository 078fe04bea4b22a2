//! Services whose topics carry more than one type of event: which kind, stands behind the topic (`topic=types`).

use oncewise::{BoxError, Json, TypedJson, prelude::*};
use serde::Deserialize;

use crate::note;

#[derive(Deserialize)]
struct Thing {
    id: String,
    #[serde(default)]
    reject: bool,
}

#[derive(Deserialize)]
enum ThingEvent {
    #[serde(rename = "thing.created")]
    Created(Thing),
    #[serde(rename = "thing.closed")]
    Closed,
}

macro_rules! handler {
    ($type:ident, $name:literal, $event:ty, $key:expr, $effect:expr) => {
        struct $type;

        impl Handler for $type {
            const NAME: &'static str = $name;
            type Event = $event;

            fn dedupe_key(&self, event: &$event, meta: &Metadata) -> DedupeKey {
                let key: fn(&$event, &Metadata) -> DedupeKey = $key;
                key(event, meta)
            }

            async fn handle(&self, event: &$event, ctx: &Context) -> Outcome {
                let effect: fn(&$event, &Metadata) -> Result<String, Failure> = $effect;
                note("ONCEWISE_TEST_EFFECTS", &effect(event, ctx.meta())?, ctx);
                done()
            }
        }
    };
}

/// What is written down about a thing, unless it is to be rejected.
fn effect(verb: &str, thing: &Thing) -> Result<String, Failure> {
    if thing.reject {
        Err(Failure::reject("rejected as ordered"))
    } else {
        Ok(format!("{verb}-{}", thing.id))
    }
}

handler!(Create, "create", Thing, |thing, _| DedupeKey::of(&thing.id), |thing, _| effect("create", thing));
handler!(Close, "close", Thing, |thing, _| DedupeKey::of(&thing.id), |thing, _| effect("close", thing));
handler!(Any, "any", ThingEvent, |_, meta| DedupeKey::record(meta), |event, _| match event {
    ThingEvent::Created(thing) => effect("any-create", thing),
    ThingEvent::Closed => Ok("any-close".to_owned()),
});
handler!(Named, "named", Thing, |_, meta| DedupeKey::cloud_event(meta), |thing, meta| {
    let event = meta.cloud_event().ok_or_else(|| Failure::reject("no CloudEvent"))?;
    effect(&format!("{}-{}", event.event_type(), event.id()), thing)
});
handler!(Mirror, "mirror", Change<Thing>, |_, meta| DedupeKey::record(meta), |change, meta| {
    let key = meta.key.as_ref().map(|key| String::from_utf8_lossy(key)).unwrap_or_default();
    match change {
        Change::Value(thing) => effect(&format!("set-{key}"), thing),
        Change::Deleted => Ok(format!("deleted-{key}")),
    }
});

/// What matters at the moment itself, and never again.
struct Moment;

impl Handler for Moment {
    const NAME: &'static str = "moment";
    type Event = Thing;

    fn dedupe_key(&self, thing: &Thing, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&thing.id)
    }

    async fn handle(&self, thing: &Thing, ctx: &Context) -> Outcome {
        note("ONCEWISE_TEST_EFFECTS", &thing.id, ctx);
        done()
    }

    fn replayable(&self) -> bool {
        false
    }
}

pub(crate) fn routes(topic: &str, kind: &str) -> Result<Routes, BoxError> {
    let by_type = || {
        Routes::new().on_type(topic, "thing.created", Create).on_type_with(topic, "thing.closed", Json, Close)
    };
    Ok(match kind {
        "types" => by_type(),
        "types-skip" => by_type().type_header(topic, "event-type").unknown(topic, Unknown::Skip),
        "enum" => Routes::new().on_with(topic, TypedJson::new(), Any),
        "cloud-events" => Routes::new().on(topic, Named),
        "changes" => Routes::new().on(topic, Mirror),
        "moment" => Routes::new().on(topic, Moment),
        _ => return Err(format!("no routes of the kind {kind}").into()),
    })
}
