CREATE TABLE notifications (
    event_id  TEXT NOT NULL,
    channel   TEXT NOT NULL,
    order_id  TEXT NOT NULL,
    recipient TEXT NOT NULL,
    text      TEXT NOT NULL,
    PRIMARY KEY (event_id, channel)
);
