-- One row per effect, written in the transaction of the effect: a key that is here has taken effect.
CREATE TABLE inbox (
    idempotency_key TEXT        NOT NULL PRIMARY KEY,
    applied_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- The events that go out with the effect; NULL where there are none.
    events          TEXT
);

-- What is pruned is found by its age.
CREATE INDEX inbox_applied_at ON inbox (applied_at);
