-- What the mirror of the signer's audit log needs: the order it was copied in, for pages, and all the
-- addresses of a record (a batch names many).

ALTER TABLE audit_events
    ADD COLUMN ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN addresses text[] NOT NULL DEFAULT '{}',
    DROP COLUMN address;
CREATE INDEX audit_events_addresses ON audit_events USING gin (addresses);
CREATE INDEX audit_events_event ON audit_events (event, ordinal);
CREATE INDEX audit_events_mac ON audit_events (seq, mac);
