//! What an operator may set.

use std::fmt;

use oncewise::config::{AppConfig, Reader};

/// The settings of the shop.
#[derive(Clone, PartialEq, Eq)]
pub struct ShopConfig {
    /// Where the database is, `sqlite://PATH` or `postgres://…`. May hold a password, so it is never printed.
    pub database_url: String,
    /// How many connections one worker has to PostgreSQL at most, 1 to 1000. SQLite has one.
    pub database_connections: u32,
    /// What a wallet holds when it is opened, at its user's first payment; 0 or more hundredths.
    pub opening_credit_cents: i64,
    /// How many of 100 calls find the pretended payment gateway busy; 0 to 100.
    pub gateway_busy_percent: u8,
}

impl Default for ShopConfig {
    fn default() -> Self {
        Self {
            database_url: "sqlite://shop.db".into(),
            database_connections: 16,
            opening_credit_cents: 1_000_000,
            gateway_busy_percent: 0,
        }
    }
}

impl AppConfig for ShopConfig {
    fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        let schemes = ["sqlite", "postgres", "postgresql"];
        let url = reader.secret_url("database.url", &default.database_url, &schemes);
        Self {
            database_url: url.reveal().to_owned(),
            database_connections: reader.integer_in(
                "database.max_connections",
                default.database_connections,
                1..=1000,
            ),
            opening_credit_cents: reader.integer_in(
                "shop.opening_credit_cents",
                default.opening_credit_cents,
                0..=i64::MAX,
            ),
            gateway_busy_percent: reader.integer_in(
                "shop.gateway_busy_percent",
                default.gateway_busy_percent,
                0..=100,
            ),
        }
    }
}

impl fmt::Debug for ShopConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShopConfig")
            .field("database_connections", &self.database_connections)
            .field("opening_credit_cents", &self.opening_credit_cents)
            .field("gateway_busy_percent", &self.gateway_busy_percent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use oncewise::config::{Flags, Sources, load};

    use super::*;

    fn loaded(pairs: &[(&str, &str)]) -> Result<ShopConfig, String> {
        let sources = Sources::new(Flags::default(), pairs.iter().copied()).in_folder("no-such-folder");
        load::<ShopConfig>(&sources).map(|loaded| loaded.app).map_err(|problems| problems.to_string())
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let problems = loaded(&[
            ("ONCEWISE__SHOP__OPENING_CREDIT_CENTS", "-1"),
            ("ONCEWISE__SHOP__GATEWAY_BUSY_PERCENT", "101"),
        ])
        .unwrap_err();
        for key in ["shop.opening_credit_cents", "shop.gateway_busy_percent"] {
            assert!(problems.contains(key), "{problems}");
        }
        assert_eq!(loaded(&[]), Ok(ShopConfig::default()));
    }

    #[test]
    fn the_databases_password_is_not_printed() {
        let config =
            ShopConfig { database_url: "postgres://me:hunter2@db/shop".into(), ..ShopConfig::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
