CREATE TABLE orders (
    order_id     TEXT   NOT NULL PRIMARY KEY,
    event_id     TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    amount_cents BIGINT NOT NULL CHECK (amount_cents >= 0),
    currency     TEXT   NOT NULL,
    email        TEXT   NOT NULL,
    phone        TEXT,
    created_at   TEXT   NOT NULL
);

CREATE TABLE order_items (
    order_id TEXT   NOT NULL REFERENCES orders (order_id),
    line     BIGINT NOT NULL,
    sku      TEXT   NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, line)
);
