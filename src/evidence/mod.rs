//! What a worker did, as JSON lines, for whoever has to find out later: nothing was lost, or where it was.
//!
//! Off unless `telemetry.evidence` names a file; what it costs then is one branch for each note that is not written.
//! A note names records by their coordinates and events by the digest under which the store knows them: neither
//! payloads nor dedupe keys are in it. It is evidence, not a ledger: nothing waits for it, and a kill takes along what
//! was on its way to the file.

mod note;
mod writer;

use std::{io, path::Path, sync::OnceLock};

pub(crate) use note::{Happened, Note};
use writer::Writer;

static WRITER: OnceLock<Writer> = OnceLock::new();

/// Notes go to the end of this file from now on, for as long as the process lives.
///
/// # Errors
/// The file cannot be opened or made.
pub(crate) fn open(path: &Path) -> io::Result<()> {
    let writer = Writer::start(path)?;
    // A second file of one process would split its story.
    drop(WRITER.set(writer));
    Ok(())
}

/// Writes a note down, if notes are wanted. Never waits.
#[inline]
pub(crate) fn note<'a>(make: impl FnOnce() -> Note<'a>) {
    if let Some(writer) = WRITER.get() {
        writer.write(&make());
    }
}

/// Whether notes are wanted.
#[inline]
pub(crate) fn is_on() -> bool {
    WRITER.get().is_some()
}

/// Waits until what was noted is in the file.
pub(crate) fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush();
    }
}
