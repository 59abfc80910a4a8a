-- What was asked (idempotency) and what the signer recorded (audit).

-- One row per request id that created something or moved money. The row is written in the same
-- transaction as the work, so either both exist or neither.
CREATE TABLE idempotency_keys (
    request_id   uuid PRIMARY KEY,
    rpc          text NOT NULL CHECK (rpc <> ''),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    response     bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- A copy of the signer's log for searching. The signer's file is the original: record and mac are
-- kept exactly as written there, so that the chain can be verified from this table too.
CREATE TABLE audit_events (
    chain_id   text NOT NULL,
    seq        bigint NOT NULL CHECK (seq >= 0),
    time_ms    bigint NOT NULL,
    event      text NOT NULL,
    caller     text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    address    text COLLATE "C" NOT NULL DEFAULT '',
    outcome    text NOT NULL DEFAULT '',
    reason     text NOT NULL DEFAULT '',
    record     text NOT NULL,
    mac        text COLLATE "C" NOT NULL CHECK (mac ~ '^[0-9a-f]{64}$'),
    PRIMARY KEY (chain_id, seq)
);
CREATE INDEX audit_events_address ON audit_events (address, chain_id, seq) WHERE address <> '';
CREATE INDEX audit_events_time ON audit_events (time_ms);
