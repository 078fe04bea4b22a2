//! Events that say who they are, as CloudEvents 1.0 has it.

mod envelope;
mod structured;

pub(crate) use structured::to_binary;

use crate::Record;

/// The one version of the specification there is; 1.0.1 and 1.0.2 call themselves so, too.
const SPEC_VERSION: &str = "1.0";

/// The attributes of a CloudEvent, read from the headers of its record. Whether it came in binary or in
/// structured mode makes no difference here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudEvent<'a> {
    record: &'a Record,
    id: &'a str,
    source: &'a str,
    event_type: &'a str,
}

impl<'a> CloudEvent<'a> {
    /// The event of a record; an error names the header that is missing, empty or no text.
    pub(crate) fn of(record: &'a Record) -> Result<Self, &'static str> {
        let required = |name| text(record, name).filter(|value| !value.is_empty()).ok_or(name);
        let event = Self {
            record,
            id: required("ce_id")?,
            source: required("ce_source")?,
            event_type: required("ce_type")?,
        };
        if required("ce_specversion")? == SPEC_VERSION { Ok(event) } else { Err("ce_specversion") }
    }

    /// Which event of its source it is. Source and id together are unlike those of any other event.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// Where it happened, a URI reference.
    #[must_use]
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// What kind of thing happened.
    #[must_use]
    pub fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// What it happened to, within the source.
    #[must_use]
    pub fn subject(&self) -> Option<&'a str> {
        self.attribute("subject")
    }

    /// When it happened, in the form of RFC 3339.
    #[must_use]
    pub fn time(&self) -> Option<&'a str> {
        self.attribute("time")
    }

    /// The schema of its data, a URI.
    #[must_use]
    pub fn data_schema(&self) -> Option<&'a str> {
        self.attribute("dataschema")
    }

    /// The media type of its data.
    #[must_use]
    pub fn data_content_type(&self) -> Option<&'a str> {
        text(self.record, CONTENT_TYPE)
    }

    /// Any attribute but `datacontenttype`, extensions included, by its name without `ce_`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        text(self.record, &format!("{PREFIX}{name}"))
    }
}

/// In front of an attribute's name, where it is a header.
const PREFIX: &str = "ce_";
/// The header that names the media type of a value.
const CONTENT_TYPE: &str = "content-type";

impl Record {
    /// The CloudEvent that this record is, if its headers say so: `ce_id`, `ce_source`, `ce_type` and
    /// `ce_specversion` (`1.0`) are there, and none of them is empty.
    #[must_use]
    pub fn cloud_event(&self) -> Option<CloudEvent<'_>> {
        CloudEvent::of(self).ok()
    }
}

fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    std::str::from_utf8(record.header(name)?).ok()
}

#[cfg(test)]
mod tests;
