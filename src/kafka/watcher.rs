//! Why no broker answers: the library says so only in events, never in the error of a call.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::DeliveryResult,
    producer::ProducerContext,
};

use super::{FaultKind, KafkaFault, fault::kind_of};

/// What it usually means when brokers accept connections and close them.
const HINT: &str = "; the listener may want a login or TLS, see security.protocol";

/// Remembers what a client last complained about. Clones share the memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watcher {
    complaint: Arc<Mutex<Option<Complaint>>>,
}

#[derive(Debug, Clone)]
struct Complaint {
    source: Source,
    code: Code,
    reason: String,
}

/// Where a complaint comes from, the least telling first: that all brokers are down only follows from
/// something else, and a connection that the broker closed is mentioned in the log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Consequence,
    Log,
    Event,
}

impl Watcher {
    /// Takes note of an error event; to be called by every context's `error`.
    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "error event");
        if let Some(code) = error.rdkafka_error_code() {
            let source = if code == Code::AllBrokersDown { Source::Consequence } else { Source::Event };
            self.remember(source, code, reason);
        }
    }

    fn remember(&self, source: Source, code: Code, reason: &str) {
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if complaint.as_ref().is_none_or(|known| known.source <= source) {
            *complaint = Some(Complaint { source, code, reason: without_timing(reason).to_owned() });
        }
    }

    /// Forgets; to be called when a broker has answered.
    pub(crate) fn forget(&self) {
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What a failed call means, given what the client complained about while `waited` went by.
    pub(crate) fn explain(&self, error: KafkaError, brokers: &str, waited: Duration) -> KafkaFault {
        let fault = KafkaFault::from(error);
        if fault.kind != FaultKind::Unreachable {
            return fault;
        }
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let waited = humantime::format_duration(Duration::from_secs(waited.as_secs().max(1)));
        match complaint {
            Some(Complaint { code, reason, .. }) if kind_of(code) == FaultKind::Refused => {
                KafkaFault::new(FaultKind::Refused, format!("the login at {brokers} failed: {reason}"))
            }
            Some(Complaint { code, reason, .. }) if code == Code::SSL || is_alert(&reason) => {
                KafkaFault::new(
                    FaultKind::Untrusted,
                    format!("the TLS handshake at {brokers} failed: {reason}{}", certificate_hint(&reason)),
                )
            }
            Some(Complaint { source, reason, .. }) => {
                let hint = if source == Source::Log || was_closed(&reason) { HINT } else { "" };
                KafkaFault::new(
                    FaultKind::Unreachable,
                    format!("no broker answered at {brokers} within {waited}: {reason}{hint}"),
                )
            }
            None => KafkaFault::new(
                FaultKind::Unreachable,
                format!("no broker answered at {brokers} within {waited}"),
            ),
        }
    }

    /// Passes a log line of the library on; to be called by every context's `log`.
    pub(crate) fn line(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            let reason = message.split_once("]: ").map_or(message, |(_thread, reason)| reason);
            self.remember(Source::Log, Code::BrokerTransportFailure, reason);
        }
        // One set of properties serves consumers and producers; each ignores the other's.
        let expected = facility == "CONFWARN" && message.contains("will be ignored by this");
        match level {
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
            }
            _ if expected => tracing::debug!(target: "librdkafka", facility, "{message}"),
            _ => tracing::warn!(target: "librdkafka", facility, "{message}"),
        }
    }
}

/// Whether the broker has ended the handshake: by then our side may have taken it for done.
fn is_alert(reason: &str) -> bool {
    reason.contains("SSL alert number")
}

/// What is to be mended: OpenSSL says neither whose certificate it is nor that a name may be the reason.
fn certificate_hint(reason: &str) -> &'static str {
    if is_alert(reason) {
        "; the broker wants a certificate that it trusts, see ssl.certificate.location and ssl.key.location"
    } else if reason.contains("certificate verify failed") {
        "; see ssl.ca.location, whether the certificate has expired, and whether kafka.brokers has the name that it is for"
    } else {
        ""
    }
}

/// Whether a connection was there, and the broker closed it: as often as not the library hears of that while it
/// writes, and then reports an event of its own.
fn was_closed(reason: &str) -> bool {
    ["Send failed", "Receive failed", "Disconnected"].iter().any(|closed| reason.contains(closed))
}

/// The library appends how long what lasted and how many it held back.
fn without_timing(reason: &str) -> &str {
    reason.split(" (after ").next().unwrap_or(reason).trim()
}

impl ClientContext for Watcher {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Watcher {}

impl ProducerContext for Watcher {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMED_OUT: KafkaError = KafkaError::MetadataFetch(Code::OperationTimedOut);
    const WAITED: Duration = Duration::from_secs(10);

    fn explained(events: &[(Code, &str)]) -> KafkaFault {
        let watcher = Watcher::default();
        for (code, reason) in events {
            watcher.note(&KafkaError::Global(*code), reason);
        }
        watcher.explain(TIMED_OUT, "b:9092", WAITED)
    }

    #[test]
    fn a_wrong_password_is_not_an_absent_broker() {
        let fault = explained(&[
            (
                Code::Authentication,
                "SASL authentication error: Invalid username or password (after 3ms in state AUTH_REQ)",
            ),
            (Code::AllBrokersDown, "1/1 brokers are down"),
        ]);
        assert_eq!(fault.kind, FaultKind::Refused);
        assert_eq!(
            fault.message,
            "the login at b:9092 failed: SASL authentication error: Invalid username or password"
        );
    }

    #[test]
    fn the_reason_outlives_the_consequence() {
        let fault = explained(&[
            (Code::Resolve, "Failed to resolve 'b:9092': Name or service not known"),
            (Code::AllBrokersDown, "1/1 brokers are down"),
        ]);
        assert_eq!(fault.kind, FaultKind::Unreachable);
        assert!(fault.message.ends_with("within 10s: Failed to resolve 'b:9092': Name or service not known"));
    }

    #[test]
    fn a_closed_connection_is_known_from_the_log() {
        let watcher = Watcher::default();
        let line =
            "[thrd:b:9092/bootstrap]: b:9092/bootstrap: Disconnected: closed by peer (after 1ms in state UP)";
        watcher.line(RDKafkaLogLevel::Info, "FAIL", line);
        watcher.note(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        let fault = watcher.explain(TIMED_OUT, "b:9092", WAITED);
        assert!(fault.message.contains("10s: b:9092/bootstrap: Disconnected: closed by peer; "), "{fault}");
    }

    #[test]
    fn a_connection_that_is_closed_while_we_write_gets_the_same_hint() {
        let broken =
            explained(&[(Code::BrokerTransportFailure, "b:9092/bootstrap: Send failed: Broken pipe")]);
        assert!(broken.message.ends_with(&format!("Send failed: Broken pipe{HINT}")), "{broken}");
        let refused =
            explained(&[(Code::BrokerTransportFailure, "Connect to b:9092 failed: Connection refused")]);
        assert!(!refused.message.contains(HINT), "nobody listens there: {refused}");
    }

    #[test]
    fn certificates_are_told_from_absent_brokers_on_both_sides() {
        let ours = explained(&[(
            Code::SSL,
            "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed",
        )]);
        assert_eq!(ours.kind, FaultKind::Untrusted);
        assert!(ours.message.contains("see ssl.ca.location"), "{ours}");
        let alert =
            "Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42";
        let theirs = explained(&[
            (Code::BrokerTransportFailure, alert),
            (Code::AllBrokersDown, "1/1 brokers are down"),
        ]);
        assert_eq!(theirs.kind, FaultKind::Untrusted);
        assert!(theirs.message.ends_with("see ssl.certificate.location and ssl.key.location"), "{theirs}");
    }

    #[test]
    fn an_answer_forgets_the_complaint() {
        let watcher = Watcher::default();
        watcher.note(&KafkaError::Global(Code::Authentication), "no");
        watcher.forget();
        assert_eq!(
            watcher.explain(TIMED_OUT, "b:9092", WAITED).message,
            "no broker answered at b:9092 within 10s"
        );
    }

    #[test]
    fn other_errors_stay_what_they_are() {
        let fault = Watcher::default().explain(
            KafkaError::MetadataFetch(Code::TopicAuthorizationFailed),
            "b:9092",
            WAITED,
        );
        assert_eq!(fault.kind, FaultKind::Refused);
    }
}
