//! Whose headers a letter has. A near miss is a letter of no known kind, with what could be read of it.

mod foreign;
mod headers;
mod ours;

use jiff::Timestamp;
use serde::Serialize;

use self::headers::Headers;
use crate::Header;

/// Who wrote a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// A worker of ours
    Oncewise,
    /// Spring Kafka, from a dead-letter or a retry topic
    Spring,
    /// Kafka Connect
    Connect,
    /// Kafka Streams
    Streams,
    /// SmallRye Reactive Messaging (Quarkus)
    #[value(name = "smallrye")]
    SmallRye,
    /// Watermill
    Watermill,
    /// Nobody known
    #[value(skip)]
    Unknown,
}

/// What the headers of a letter say. What they do not say, or not legibly, is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// The topic that the record was consumed from.
    pub(crate) topic: Option<String>,
    pub(crate) partition: Option<i32>,
    pub(crate) offset: Option<i64>,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    pub(crate) group: Option<String>,
    /// `None` in a letter of ours: nobody took it.
    pub(crate) handler: Option<String>,
    pub(crate) dedupe_key: Option<String>,
    pub(crate) disposition: Option<String>,
    pub(crate) attempts: Option<u32>,
    pub(crate) first_failure: Option<Timestamp>,
    pub(crate) last_failure: Option<Timestamp>,
    pub(crate) error: Option<String>,
    /// The kind of error, as its language names it.
    pub(crate) class: Option<String>,
    /// What the error came from.
    pub(crate) chain: Option<String>,
    /// How often it was sent again.
    pub(crate) redrives: u32,
    /// How often the event was sent on by us, retries included.
    pub(crate) hop: u32,
}

impl Format {
    /// In the order in which they are looked for: two of them are rarely there at once, and then ours is the later.
    const ALL: [Self; 6] =
        [Self::Oncewise, Self::Spring, Self::Connect, Self::Streams, Self::SmallRye, Self::Watermill];

    /// What these headers say, and whose they are: of one kind, or of whichever it is.
    pub(super) fn tell(headers: &[Header], wanted: Option<Self>) -> (Self, Told) {
        let headers = Headers(headers);
        let kinds = Self::ALL.into_iter().filter(|kind| wanted.is_none_or(|wanted| wanted == *kind));
        let told: Vec<(Self, Told)> = kinds.map(|kind| (kind, kind.read(headers))).collect();
        let whole = told.iter().find(|(kind, told)| kind.is_whole(told));
        if let Some((kind, told)) = whole {
            return (*kind, told.clone());
        }
        let parts = told.into_iter().map(|(_, told)| told).find(|told| *told != Told::default());
        (Self::Unknown, parts.unwrap_or_default())
    }

    fn read(self, headers: Headers<'_>) -> Told {
        match self {
            Self::Oncewise => ours::read(headers),
            Self::Spring => foreign::spring(headers),
            Self::Connect => foreign::connect(headers),
            Self::Streams => foreign::streams(headers),
            Self::SmallRye => foreign::small_rye(headers),
            Self::Watermill => foreign::watermill(headers),
            Self::Unknown => Told::default(),
        }
    }

    /// Whether all is there that a letter of this kind always has.
    fn is_whole(self, told: &Told) -> bool {
        let has_place = told.topic.is_some() && told.partition.is_some() && told.offset.is_some();
        match self {
            Self::Oncewise => has_place && told.group.is_some() && told.disposition.is_some(),
            Self::Spring | Self::Connect | Self::Streams => has_place,
            Self::SmallRye => told.topic.is_some() && told.partition.is_some(),
            Self::Watermill => told.topic.is_some() && told.error.is_some(),
            Self::Unknown => false,
        }
    }

    /// The headers of the record as it was, without what its letter added.
    pub(super) fn original(self, headers: &[Header]) -> Vec<Header> {
        let is_ours = |header: &Header| header.name.starts_with(ours::PREFIX.as_bytes());
        let kept: Vec<&Header> = match self {
            // We write ours behind those of the record: before them nothing is added, whatever it is called.
            Self::Oncewise => {
                let first = headers.iter().position(is_ours).unwrap_or(headers.len());
                let (theirs, ours) = headers.split_at(first);
                theirs.iter().chain(ours.iter().filter(|header| !foreign::is_springs(&header.name))).collect()
            }
            _ => headers.iter().filter(|header| !foreign::is_added(self, &header.name)).collect(),
        };
        kept.into_iter().filter(|header| !is_ours(header)).cloned().collect()
    }
}

/// Whatever the headers, a letter can be read, and what is said of it is legible and bounded.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(record: &crate::Record) {
    for wanted in Format::ALL.map(Some).into_iter().chain([None]) {
        let letter = super::Letter::read(record, wanted);
        let told = &letter.told;
        for text in [&told.topic, &told.group, &told.handler, &told.error, &told.class, &told.chain] {
            let text = text.as_deref().unwrap_or_default();
            assert!(text.len() <= headers::LONGEST && !text.contains(char::is_control), "{text:?}");
        }
        assert!(told.partition.is_none_or(|partition| partition >= 0));
        assert!(told.offset.is_none_or(|offset| offset >= 0));
        assert!(letter.format.original(&record.headers).len() <= record.headers.len());
        let sentence = super::sentence::sentence(letter.error());
        assert!(sentence.len() <= 1024, "{sentence:?}");
        drop(serde_json::to_string(&letter));
    }
}

#[cfg(test)]
mod tests;
