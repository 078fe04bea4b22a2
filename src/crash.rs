//! Named places where a test may let the process die. Compiled to nothing without the feature `crash-points`.

/// Dies here, without unwinding or cleaning up, if `ONCEWISE_CRASH` names this place: `after_claim`, or
/// `after_claim:3` for the third time it is reached.
#[cfg(feature = "crash-points")]
pub(crate) fn crash_point(name: &str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    };
    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let text = std::env::var("ONCEWISE_CRASH").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), times.parse().ok()?))
    });
    static REACHED: AtomicU32 = AtomicU32::new(0);
    if let Some((wanted, times)) = &*WANTED
        && wanted == name
        && REACHED.fetch_add(1, SeqCst) + 1 == *times
    {
        let _whole = transaction();
        std::process::abort();
    }
}

/// While this is held no crash point ends the process: what a test worker does meanwhile it does whole or not at all, as
/// a database would.
#[cfg(feature = "crash-points")]
pub fn transaction() -> std::sync::MutexGuard<'static, ()> {
    static WHOLE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    WHOLE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether a test wants this worker to take in nothing, for no reason: `ONCEWISE_DEAF` is set.
#[cfg(feature = "crash-points")]
pub(crate) fn is_deaf() -> bool {
    static DEAF: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| std::env::var_os("ONCEWISE_DEAF").is_some());
    *DEAF
}

/// Never.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub(crate) fn is_deaf() -> bool {
    false
}

/// Nothing.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub(crate) fn crash_point(_name: &str) {}
