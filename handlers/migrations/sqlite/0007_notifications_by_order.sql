-- What has been sent, and acknowledged by whoever took it: once for each order, whichever event told of it.
CREATE TABLE sent (
    order_id  TEXT NOT NULL,
    channel   TEXT NOT NULL,
    event_id  TEXT NOT NULL,
    recipient TEXT NOT NULL,
    text      TEXT NOT NULL,
    PRIMARY KEY (order_id, channel)
);
INSERT OR IGNORE INTO sent (order_id, channel, event_id, recipient, text)
    SELECT order_id, channel, event_id, recipient, text FROM notifications;
DROP TABLE notifications;
ALTER TABLE sent RENAME TO notifications;
