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

/// Whether `ONCEWISE_BREAK` asks for this mistake: a test shows that a checker finds it.
#[cfg(feature = "crash-points")]
pub(crate) fn is_broken(mistake: &str) -> bool {
    static WANTED: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("ONCEWISE_BREAK").ok());
    WANTED.as_deref() == Some(mistake)
}

/// Nothing is.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub(crate) const fn is_broken(_mistake: &str) -> bool {
    false
}

/// Stands still here for as long as the file is there that `ONCEWISE_STALL` names as `place=file`.
#[cfg(feature = "crash-points")]
pub(crate) fn stall_point(name: &str) {
    static WANTED: std::sync::LazyLock<Option<(String, std::path::PathBuf)>> =
        std::sync::LazyLock::new(|| {
            let text = std::env::var("ONCEWISE_STALL").ok()?;
            let (name, file) = text.split_once('=')?;
            Some((name.to_owned(), file.into()))
        });
    if let Some((wanted, file)) = &*WANTED
        && wanted == name
    {
        while file.exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Nothing.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub(crate) fn stall_point(_name: &str) {}

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
