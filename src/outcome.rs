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
/// compile. Classify it where it is raised ([`OrFail`]), or once per error type ([`Classified`]).
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

/// An error type of which every value is classified the same way, once and for all; `?` then needs no word more.
///
/// ```
/// use oncewise::{Classified, Failure};
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the gateway is busy")]
/// struct Busy;
///
/// impl Classified for Busy {
///     fn classify(self) -> Failure {
///         Failure::retry(self)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "nobody has said whether `{Self}` may succeed later",
    label = "write `.or_retry()?` where trying again may help, and `.or_reject()?` where it cannot",
    note = "or say it once for the type: `impl oncewise::Classified for {Self}`"
)]
pub trait Classified {
    /// Whether to try again.
    fn classify(self) -> Failure;
}

impl<E: Classified> From<E> for Failure {
    fn from(error: E) -> Self {
        error.classify()
    }
}

/// Classifies an error at the `?` that raises it.
pub trait OrFail<T, E> {
    /// On error, try again later.
    ///
    /// # Errors
    /// [`Failure::Retry`] with the error as its cause.
    fn or_retry(self) -> Result<T, Failure>
    where
        E: Cause;

    /// On error, dead-letter.
    ///
    /// # Errors
    /// [`Failure::Reject`] with the error as its cause.
    fn or_reject(self) -> Result<T, Failure>
    where
        E: Cause;
}

impl<T, E> OrFail<T, E> for Result<T, E> {
    fn or_retry(self) -> Result<T, Failure>
    where
        E: Cause,
    {
        self.map_err(|error| Failure::retry(error.into_cause()))
    }

    fn or_reject(self) -> Result<T, Failure>
    where
        E: Cause,
    {
        self.map_err(|error| Failure::reject(error.into_cause()))
    }
}

/// What may be the cause of a failure: any `std::error::Error`, and texts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the cause of a failure",
    label = "no `std::error::Error`, and no text",
    note = "implement `std::error::Error` for `{Self}`, or put a text in its place: `.map_err(|_| \"why\")`"
)]
pub trait Cause {
    /// The error, boxed.
    fn into_cause(self) -> BoxError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError>> Cause for E {
    fn into_cause(self) -> BoxError {
        self.into()
    }
}
