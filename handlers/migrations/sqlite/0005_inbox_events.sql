-- The events that go out with the effect, as text; NULL where there are none.
ALTER TABLE inbox ADD COLUMN events TEXT;

-- What is pruned is found by its age.
CREATE INDEX inbox_applied_at ON inbox (applied_at);
