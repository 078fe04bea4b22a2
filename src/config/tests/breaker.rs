use std::time::Duration;

use super::*;
use crate::config::BreakerSettings;

const TEXT: &str = r#"
[breaker]
minimum = 20
window = "30s"

[services.payments.breaker]
events = 5
probe_every = "2s"

[services.payments.handlers.charge.breaker]
enabled = false
percent = 50
probe_at_least_every = "4s"
"#;

#[test]
fn a_handlers_breaker_is_its_own_section_over_its_services_over_the_general_one() {
    let settings = load_text(TEXT, &[]).unwrap().settings;
    let general = BreakerSettings { minimum: 20, window: Duration::from_secs(30), ..Default::default() };
    assert_eq!(settings.service("orders").breaker, general);
    assert_eq!(settings.handler("orders", "store").breaker, general);
    let service = BreakerSettings { events: 5, probe_every: Duration::from_secs(2), ..general };
    assert_eq!(settings.service("payments").breaker, service);
    assert_eq!(settings.handler("payments", "refund").breaker, service);
    let probe_at_least_every = Duration::from_secs(4);
    let handler = BreakerSettings { enabled: false, percent: 50, probe_at_least_every, ..service };
    assert_eq!(settings.handler("payments", "charge").breaker, handler);
}

#[test]
fn the_environment_reaches_the_breaker_of_one_handler() {
    let key = "ONCEWISE__SERVICES__PAYMENTS__HANDLERS__CHARGE__BREAKER__ENABLED";
    let settings = load_text(TEXT, &[(key, "true")]).unwrap().settings;
    let of = |handler| settings.handler("payments", handler).breaker;
    assert_eq!((of("charge").enabled, of("charge").percent, of("refund").percent), (true, 50, 80));
}

#[test]
fn what_no_breaker_can_be_is_named_wherever_it_is_said() {
    let section = |name: &str, text: &str| problems_of(&format!("[{name}]\n{text}\n"), &[]);
    for name in ["breaker", "services.a.breaker", "services.a.handlers.b.breaker"] {
        assert_eq!(
            section(name, "events = 1\npercent = 101"),
            [
                format!("{name}.events = 1 (default.toml:2): allowed is an integer from 2 to 100"),
                format!("{name}.percent = 101 (default.toml:3): allowed is an integer from 1 to 100"),
            ]
        );
        assert_eq!(
            section(name, "probe_at_least_every = \"500ms\""),
            [format!(
                "{name}.probe_at_least_every = \"500ms\" (default.toml:2): must not be shorter than `{name}.probe_every`"
            )]
        );
        assert_eq!(section(name, "patience = \"for ever\"").len(), 1);
        assert_eq!(section(name, "patients = \"1h\"").len(), 1, "an unknown key");
    }
}
