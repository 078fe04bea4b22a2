-- How often a message was handed over and not acknowledged, so that nobody knows whether it has arrived.
CREATE TABLE doubts (
    order_id TEXT    NOT NULL,
    channel  TEXT    NOT NULL,
    times    INTEGER NOT NULL,
    PRIMARY KEY (order_id, channel)
);
