//! The handlers of one topic.

use std::collections::HashMap;

use crate::Record;

/// The header that names the type of an event unless another is named: that of CloudEvents in binary mode.
pub(crate) const TYPE_HEADER: &str = "ce_type";

/// What becomes of records whose type nobody takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Unknown {
    /// They are dead-lettered as `no-handler`, without an attempt: a person decides.
    #[default]
    DeadLetter,
    /// They are skipped, and counted as such: others consume them.
    Skip,
}

/// Who handles the records of one topic.
#[derive(Debug, Clone)]
pub(crate) struct Table<H> {
    /// Takes every record.
    whole: Option<H>,
    by_type: HashMap<Box<[u8]>, H>,
    /// The header that names the type.
    pub(crate) header: String,
    pub(crate) unknown: Unknown,
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Self {
            whole: None,
            by_type: HashMap::new(),
            header: TYPE_HEADER.to_owned(),
            unknown: Unknown::default(),
        }
    }
}

impl<H> Table<H> {
    pub(super) fn insert(&mut self, event_type: Option<&str>, handler: H) {
        match event_type {
            None => self.whole = Some(handler),
            Some(event_type) => drop(self.by_type.insert(event_type.as_bytes().into(), handler)),
        }
    }

    /// The handler of every record, if there is one.
    pub(crate) fn whole(&self) -> Option<&H> {
        self.whole.as_ref()
    }

    /// The handler for this record, if one takes its type.
    pub(crate) fn find(&self, record: &Record) -> Option<&H> {
        self.whole.as_ref().or_else(|| self.by_type.get(record.header(&self.header)?))
    }

    /// Why nobody takes this record.
    pub(crate) fn why_nobody(&self, record: &Record) -> String {
        let header = &self.header;
        if record.header(header).is_none() {
            return format!("the record has no header `{header}` to name its type");
        }
        let mut known: Vec<_> = self.by_type.keys().map(|name| String::from_utf8_lossy(name)).collect();
        known.sort_unstable();
        format!("the type in the header `{header}` is none of `{}`", known.join("`, `"))
    }

    /// The same table with something else in the place of each handler.
    pub(crate) fn map<T>(self, mut to: impl FnMut(H) -> T) -> Table<T> {
        Table {
            whole: self.whole.map(&mut to),
            by_type: self
                .by_type
                .into_iter()
                .map(|(event_type, handler)| (event_type, to(handler)))
                .collect(),
            header: self.header,
            unknown: self.unknown,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &H> {
        self.whole.iter().chain(self.by_type.values())
    }
}
