//! What went wrong with Kafka, in words an operator can act on.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::client::is_sensitive;

/// Trouble with Kafka. Never about an event: a fault settles nothing and spends no attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KafkaFault {
    /// What sort of trouble.
    pub kind: FaultKind,
    /// One sentence without secrets.
    pub message: String,
}

/// What sort of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// No answer; waiting may help.
    Unreachable,
    /// The broker knows us and says no: credentials, permissions. Waiting does not help.
    Refused,
    /// One side does not trust the other's certificate. Waiting does not help.
    Untrusted,
    /// A property or a topic setting is wrong. Waiting does not help.
    Misconfigured,
    /// Anything else; the message says what.
    Other,
}

impl KafkaFault {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The fault as part of a larger sentence: `context: message`.
    #[must_use]
    pub(crate) fn within(self, context: impl std::fmt::Display) -> Self {
        Self { message: format!("{context}: {}", self.message), ..self }
    }

    /// Names what it is about, and the right to grant where this user may not do it.
    #[must_use]
    pub(crate) fn wanting(self, right: &str, about: impl std::fmt::Display) -> Self {
        let advice = if self.kind == FaultKind::Refused {
            format!("; grant {right} on it to this user")
        } else {
            String::new()
        };
        Self { message: format!("{about}: {}{advice}", self.message), ..self }
    }
}

impl From<KafkaError> for KafkaFault {
    fn from(error: KafkaError) -> Self {
        match &error {
            // This variant carries the rejected value, and its text may quote it: a slip in a key file
            // would put the key into the log.
            KafkaError::ClientConfig(_, _, key, _) if is_sensitive(key) => Self::new(
                FaultKind::Misconfigured,
                format!("kafka.properties: \"{key}\" is not accepted (its value is a secret and not shown)"),
            ),
            KafkaError::ClientConfig(_, reason, key, _) => {
                Self::new(FaultKind::Misconfigured, format!("kafka.properties: \"{key}\": {reason}"))
            }
            KafkaError::ClientCreation(reason) => {
                Self::new(FaultKind::Misconfigured, format!("kafka.properties: {reason}"))
            }
            KafkaError::AdminOpCreation(reason) => Self::new(FaultKind::Misconfigured, reason.clone()),
            KafkaError::AdminOp(code) => Self::new(kind_of(*code), error.to_string()),
            _ => Self::new(error.rdkafka_error_code().map_or(FaultKind::Other, kind_of), error.to_string()),
        }
    }
}

/// Sorts the codes of broker and client library.
pub(crate) fn kind_of(code: Code) -> FaultKind {
    match code {
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::MessageTimedOut
        | Code::RequestTimedOut
        | Code::TimedOutQueue
        | Code::BrokerNotAvailable
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NetworkException
        | Code::LeaderNotAvailable
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend => FaultKind::Unreachable,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SecurityDisabled => FaultKind::Refused,
        Code::SSL => FaultKind::Untrusted,
        Code::InvalidArgument
        | Code::InvalidConfig
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::PolicyViolation => FaultKind::Misconfigured,
        _ => FaultKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;

    use super::*;

    fn refusal(key: &str, value: &str) -> KafkaFault {
        let mut config = ClientConfig::new();
        config.set(key, value);
        config.create_native_config().err().expect("a refused property").into()
    }

    #[test]
    fn a_rejected_secret_is_not_shown() {
        let error = KafkaError::ClientConfig(
            rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
            "Invalid value \"hunter2\"".to_owned(),
            "sasl.password".to_owned(),
            "hunter2".to_owned(),
        );
        let fault = KafkaFault::from(error);
        assert_eq!(fault.kind, FaultKind::Misconfigured);
        assert!(!format!("{fault} {fault:?}").contains("hunter2"), "{fault}");
        assert!(fault.message.contains("sasl.password"), "{fault}");
    }

    #[test]
    fn a_misspelt_secret_is_not_shown_either() {
        let fault = refusal("sasl.pasword", "hunter2");
        assert!(!format!("{fault} {fault:?}").contains("hunter2"), "{fault}");
        assert!(fault.message.contains("sasl.pasword"), "{fault}");
    }

    #[test]
    fn a_rejected_setting_names_key_and_value() {
        let fault = refusal("isolation.level", "sloppy");
        assert_eq!(fault.kind, FaultKind::Misconfigured);
        assert!(fault.message.contains("isolation.level") && fault.message.contains("sloppy"), "{fault}");
        let fault = refusal("session.timeout.ms", "0");
        assert!(fault.message.contains("session.timeout.ms"), "{fault}");
    }

    #[test]
    fn broker_codes_are_told_apart() {
        assert_eq!(kind_of(Code::AllBrokersDown), FaultKind::Unreachable);
        assert_eq!(kind_of(Code::TopicAuthorizationFailed), FaultKind::Refused);
        assert_eq!(kind_of(Code::PolicyViolation), FaultKind::Misconfigured);
        assert_eq!(
            KafkaFault::from(KafkaError::AdminOp(Code::OperationTimedOut)).kind,
            FaultKind::Unreachable
        );
    }
}
