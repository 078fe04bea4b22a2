-- One receipt per payment.
CREATE TABLE receipts (
    order_id     TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL,
    amount_cents BIGINT NOT NULL CHECK (amount_cents >= 0),
    currency     TEXT   NOT NULL,
    email        TEXT   NOT NULL,
    settled_at   TEXT NOT NULL
);
