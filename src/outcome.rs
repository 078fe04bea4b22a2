//! What a handler may answer.

use std::{borrow::Cow, time::Duration};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What a handler returns.
///
/// | the handler returns      | Oncewise                                          | the offset                        |
/// |--------------------------|---------------------------------------------------|-----------------------------------|
/// | [`done()`]               | marks the key as done                             | may be committed                  |
/// | [`skip("why")`](skip)    | marks the key as done, logs the reason            | may be committed                  |
/// | [`Failure::Retry`]       | gives the claim back, waits, tries again          | held                              |
/// | [`Failure::Reject`]      | dead-letters at once, marks the key as dead       | once the broker has the letter    |
/// | retries spent            | dead-letters, marks the key as dead               | once the broker has the letter    |
/// | a panic, a time-out      | as [`Failure::Retry`]                             | held                              |
pub type Outcome = Result<Handled, Failure>;

/// The two ways to succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// The work is done.
    Done,
    /// There was no work to do, and why.
    Skipped(Cow<'static, str>),
}

/// The two ways to fail. The variant decides what happens next, never the type of the cause.
///
/// There is deliberately no conversion from every error: an error that nobody has classified does not
/// compile. Classify it where it is raised ([`OrFail`]), or once per error type with
/// `impl From<MyError> for Failure`.
#[derive(Debug)]
pub enum Failure {
    /// May succeed later.
    Retry {
        /// What went wrong. Its text reaches logs and dead letters: keep payloads and secrets out of it.
        cause: BoxError,
        /// Wait at least this long, as a `Retry-After` asked for; the policy's own delay otherwise.
        after: Option<Duration>,
    },
    /// Will never succeed.
    Reject {
        /// What went wrong. Its text reaches logs and dead letters: keep payloads and secrets out of it.
        cause: BoxError,
    },
}

impl Failure {
    /// A failure worth another try.
    pub fn retry(cause: impl Into<BoxError>) -> Self {
        Self::Retry { cause: cause.into(), after: None }
    }

    /// A failure worth another try, at the soonest after `delay`.
    pub fn retry_after(delay: Duration, cause: impl Into<BoxError>) -> Self {
        Self::Retry { cause: cause.into(), after: Some(delay) }
    }

    /// A failure that no retry can mend.
    pub fn reject(cause: impl Into<BoxError>) -> Self {
        Self::Reject { cause: cause.into() }
    }
}

/// The work is done.
///
/// # Errors
/// Never; the type is that of a handler's answer.
pub fn done() -> Outcome {
    Ok(Handled::Done)
}

/// There was no work to do, and why.
///
/// # Errors
/// Never; the type is that of a handler's answer.
pub fn skip(why: impl Into<Cow<'static, str>>) -> Outcome {
    Ok(Handled::Skipped(why.into()))
}

/// Classifies an error at the `?` that raises it.
#[diagnostic::on_unimplemented(
    message = "this error cannot be classified",
    note = "`or_retry` and `or_reject` need an error that converts into a boxed `std::error::Error`"
)]
pub trait OrFail<T> {
    /// On error, try again later.
    ///
    /// # Errors
    /// [`Failure::Retry`] with the error as its cause.
    fn or_retry(self) -> Result<T, Failure>;

    /// On error, dead-letter.
    ///
    /// # Errors
    /// [`Failure::Reject`] with the error as its cause.
    fn or_reject(self) -> Result<T, Failure>;
}

impl<T, E: Into<BoxError>> OrFail<T> for Result<T, E> {
    fn or_retry(self) -> Result<T, Failure> {
        self.map_err(Failure::retry)
    }

    fn or_reject(self) -> Result<T, Failure> {
        self.map_err(Failure::reject)
    }
}
