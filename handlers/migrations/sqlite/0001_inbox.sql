-- One row per effect, written in the transaction of the effect: a key that is here has taken effect.
CREATE TABLE inbox (
    idempotency_key TEXT NOT NULL PRIMARY KEY,
    applied_at      TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
