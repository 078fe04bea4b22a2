//! What an operator may set.

use std::fmt;

/// The settings of the shop.
#[derive(Clone, PartialEq, Eq)]
pub struct ShopConfig {
    /// Where the database is, `sqlite://PATH`. May hold a password, so it is never printed.
    pub database_url: String,
    /// What a wallet holds when it is opened, at its user's first payment; 0 or more hundredths.
    pub opening_credit_cents: i64,
    /// How many of 100 calls find the pretended payment gateway busy; 0 to 100.
    pub gateway_busy_percent: u8,
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self {
            database_url: "sqlite://shop.db".into(),
            opening_credit_cents: 1_000_000,
            gateway_busy_percent: 0,
        }
    }
}

impl ShopConfig {
    /// Everything that is wrong with it: key, value and what is allowed.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.opening_credit_cents < 0 {
            let value = self.opening_credit_cents;
            problems.push(format!("[shop] opening_credit_cents = {value}; allowed are 0 and more"));
        }
        if self.gateway_busy_percent > 100 {
            let value = self.gateway_busy_percent;
            problems.push(format!("[shop] gateway_busy_percent = {value}; allowed are 0 to 100"));
        }
        problems
    }
}

impl fmt::Debug for ShopConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShopConfig")
            .field("opening_credit_cents", &self.opening_credit_cents)
            .field("gateway_busy_percent", &self.gateway_busy_percent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_named_at_once() {
        let config =
            ShopConfig { opening_credit_cents: -1, gateway_busy_percent: 101, ..ShopConfig::default() };
        assert_eq!(
            config.problems(),
            [
                "[shop] opening_credit_cents = -1; allowed are 0 and more",
                "[shop] gateway_busy_percent = 101; allowed are 0 to 100"
            ]
        );
        assert!(ShopConfig::default().problems().is_empty());
    }

    #[test]
    fn the_databases_password_is_not_printed() {
        let config =
            ShopConfig { database_url: "postgres://me:hunter2@db/shop".into(), ..ShopConfig::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
