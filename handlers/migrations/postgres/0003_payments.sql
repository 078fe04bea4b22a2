CREATE TABLE wallets (
    user_id       TEXT   NOT NULL PRIMARY KEY,
    currency      TEXT   NOT NULL,
    balance_cents BIGINT NOT NULL CHECK (balance_cents >= 0)
);

-- One payment per order: a second one, from an event of another id, is refused by the database.
CREATE TABLE payments (
    order_id     TEXT   NOT NULL PRIMARY KEY,
    event_id     TEXT   NOT NULL,
    user_id      TEXT   NOT NULL REFERENCES wallets (user_id),
    amount_cents BIGINT NOT NULL CHECK (amount_cents >= 0),
    currency     TEXT   NOT NULL
);
