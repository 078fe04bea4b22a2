//! What a recipe makes.

/// One record to produce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRecord {
    /// The event's id, for orders and their duplicates.
    pub event_id: Option<String>,
    /// The record's key: the order's id or, with a number of keys, the user's; another one for some duplicates.
    pub key: Vec<u8>,
    /// The record's value.
    pub value: Vec<u8>,
    /// What it is.
    pub kind: SampleKind,
}

/// What a sample record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// An order that its user can pay.
    Order,
    /// An order that its user cannot pay.
    Unaffordable,
    /// An earlier order again.
    Duplicate,
    /// No order at all.
    Undecodable,
    /// An order whose ids are empty.
    NoKey,
}

/// What must become of the records that were produced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Orders to store, and to confirm.
    pub orders: u64,
    /// Those among them that payments rejects; the others are paid.
    pub unaffordable: u64,
    /// Records that every service settles as duplicates.
    pub duplicates: u64,
    /// Records that every service dead-letters as `undecodable`.
    pub undecodable: u64,
    /// Records that every service dead-letters as `no-key`.
    pub no_key: u64,
}

impl Expected {
    /// Counts one record that was produced.
    pub fn count(&mut self, kind: SampleKind) {
        match kind {
            SampleKind::Order => self.orders += 1,
            SampleKind::Unaffordable => {
                self.orders += 1;
                self.unaffordable += 1;
            }
            SampleKind::Duplicate => self.duplicates += 1,
            SampleKind::Undecodable => self.undecodable += 1,
            SampleKind::NoKey => self.no_key += 1,
        }
    }
}
