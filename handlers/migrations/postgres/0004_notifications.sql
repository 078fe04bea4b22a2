-- What has been sent, and acknowledged by whoever took it.
CREATE TABLE notifications (
    order_id  TEXT NOT NULL,
    channel   TEXT NOT NULL,
    event_id  TEXT NOT NULL,
    recipient TEXT NOT NULL,
    text      TEXT NOT NULL,
    PRIMARY KEY (order_id, channel)
);
