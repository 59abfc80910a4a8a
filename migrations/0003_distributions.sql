-- Distributions: frozen plans, and what was signed for them. States and moves: gateway/domain/states.py.
--
-- What the schema itself guarantees, whoever writes to it:
--   1. A plan is complete and sums up to its total when it is committed, and never changes afterwards.
--   2. Only the listed moves between states happen.
--   3. A batch has at most one attempt that may still land; a second one cannot be stored.
--   4. What was signed (signature, wire bytes, blockhash) never changes and is never deleted.

CREATE TABLE distributions (
    id                         uuid PRIMARY KEY,
    ordinal                    bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    state                      text NOT NULL DEFAULT 'planned' CHECK (state IN (
                                   'planned', 'executing', 'paused', 'cancelling', 'cancelled',
                                   'completed', 'partially_failed', 'parked')),
    etag                       text COLLATE "C" NOT NULL CHECK (etag <> ''),
    -- No foreign key: the record of a payout outlives the wallet it was paid from.
    source_wallet_id           uuid NOT NULL,
    source_address             text COLLATE "C" NOT NULL,
    total_lamports             numeric(20, 0) NOT NULL
                               CHECK (total_lamports BETWEEN 1 AND 18446744073709551615),
    transfer_count             integer NOT NULL CHECK (transfer_count BETWEEN 1 AND 10000),
    batch_count                integer NOT NULL CHECK (batch_count BETWEEN 1 AND transfer_count),
    split_kind                 text NOT NULL CHECK (split_kind IN ('even', 'random', 'weighted')),
    split_seed                 bytea NOT NULL
                               CHECK (octet_length(split_seed) =
                                      CASE split_kind WHEN 'random' THEN 32 ELSE 0 END),
    transaction_version        text NOT NULL CHECK (transaction_version IN ('legacy', '1')),
    compute_unit_price         numeric(20, 0) NOT NULL
                               CHECK (compute_unit_price BETWEEN 0 AND 18446744073709551615),
    compute_units_per_transfer integer NOT NULL CHECK (compute_units_per_transfer > 0),
    base_fee_lamports          numeric(20, 0) NOT NULL CHECK (base_fee_lamports >= 0),
    priority_fee_lamports      numeric(20, 0) NOT NULL CHECK (priority_fee_lamports >= 0),
    rent_lamports              numeric(20, 0) NOT NULL CHECK (rent_lamports >= 0),
    required_lamports          numeric(20, 0) NOT NULL
                               CHECK (required_lamports BETWEEN total_lamports AND 18446744073709551615),
    rent_floor_lamports        numeric(20, 0) NOT NULL CHECK (rent_floor_lamports >= 0),
    new_account_count          integer NOT NULL CHECK (new_account_count >= 0),
    last_error                 text NOT NULL DEFAULT '',
    created_at                 timestamptz NOT NULL DEFAULT now(),
    updated_at                 timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX distributions_unfinished ON distributions (source_wallet_id)
    WHERE state NOT IN ('cancelled', 'completed', 'partially_failed');

-- What one transaction carries. It lands or fails as a whole, so its state is its transfers' state.
-- A worker claims batches by lease: lease_owner and lease_expires_at, on the database's clock.
CREATE TABLE distribution_batches (
    distribution_id  uuid NOT NULL REFERENCES distributions (id),
    position         integer NOT NULL CHECK (position >= 0),
    first_transfer   integer NOT NULL CHECK (first_transfer >= 0),
    transfer_count   integer NOT NULL CHECK (transfer_count >= 1),
    total_lamports   numeric(20, 0) NOT NULL CHECK (total_lamports >= 1),
    state            text NOT NULL DEFAULT 'planned' CHECK (state IN (
                         'planned', 'in_flight', 'finalized', 'failed', 'unknown', 'cancelled')),
    error            text NOT NULL DEFAULT '',
    lease_owner      uuid,
    lease_expires_at timestamptz,
    PRIMARY KEY (distribution_id, position),
    CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL))
);
CREATE INDEX distribution_batches_open ON distribution_batches (distribution_id, state, position)
    WHERE state IN ('planned', 'in_flight');

CREATE TABLE transfers (
    distribution_id   uuid NOT NULL,
    position          integer NOT NULL CHECK (position >= 0),
    batch_position    integer NOT NULL,
    recipient_address text COLLATE "C" NOT NULL
                      CHECK (octet_length(recipient_address) BETWEEN 32 AND 44),
    amount_lamports   numeric(20, 0) NOT NULL
                      CHECK (amount_lamports BETWEEN 1 AND 18446744073709551615),
    PRIMARY KEY (distribution_id, position)
);
CREATE INDEX transfers_recipient ON transfers (recipient_address);

-- A signed transaction, stored before it is sent: whatever is here may land until it is proven not to.
CREATE TABLE attempts (
    signature               text COLLATE "C" PRIMARY KEY
                            CHECK (octet_length(signature) BETWEEN 64 AND 88),
    distribution_id         uuid NOT NULL,
    batch_position          integer NOT NULL,
    wire                    bytea NOT NULL CHECK (octet_length(wire) BETWEEN 100 AND 4096),
    blockhash               text COLLATE "C" NOT NULL,
    last_valid_block_height bigint NOT NULL CHECK (last_valid_block_height > 0),
    -- The slot at which the node gave the blockhash: nothing of this attempt landed before it.
    blockhash_slot          bigint NOT NULL CHECK (blockhash_slot >= 0),
    state                   text NOT NULL DEFAULT 'signed' CHECK (state IN (
                                'signed', 'sent', 'confirmed', 'finalized', 'failed', 'expired',
                                'unknown')),
    error                   text NOT NULL DEFAULT '',
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (distribution_id, batch_position)
        REFERENCES distribution_batches (distribution_id, position)
);
CREATE INDEX attempts_batch ON attempts (distribution_id, batch_position, created_at);
-- Guarantee 3. Only a finalized error or a proven expiry makes room for another attempt; a finalized
-- payment never does.
CREATE UNIQUE INDEX attempts_one_live ON attempts (distribution_id, batch_position)
    WHERE state NOT IN ('failed', 'expired');

-- Guarantee 1: complete at commit...
CREATE FUNCTION distributions_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM (
            SELECT count(*) AS transfers, coalesce(sum(amount_lamports), 0) AS lamports
            FROM transfers WHERE distribution_id = NEW.id
        ) AS t, (
            SELECT count(*) AS batches, coalesce(sum(transfer_count), 0) AS transfers,
                   coalesce(sum(total_lamports), 0) AS lamports
            FROM distribution_batches WHERE distribution_id = NEW.id
        ) AS b
        WHERE t.transfers = NEW.transfer_count AND t.lamports = NEW.total_lamports
          AND b.batches = NEW.batch_count AND b.transfers = NEW.transfer_count
          AND b.lamports = NEW.total_lamports
    ) OR EXISTS (
        SELECT FROM distribution_batches b
        LEFT JOIN (
            SELECT batch_position, count(*) AS n, sum(amount_lamports) AS lamports,
                   min(position) AS first, max(position) AS last
            FROM transfers WHERE distribution_id = NEW.id GROUP BY batch_position
        ) AS t ON t.batch_position = b.position
        WHERE b.distribution_id = NEW.id
          AND (t.n IS DISTINCT FROM b.transfer_count
               OR t.lamports IS DISTINCT FROM b.total_lamports
               OR t.first IS DISTINCT FROM b.first_transfer
               OR t.last IS DISTINCT FROM b.first_transfer + b.transfer_count - 1)
    ) THEN
        RAISE check_violation USING MESSAGE = 'a distribution does not add up',
            CONSTRAINT = 'distributions_add_up';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER distributions_add_up AFTER INSERT ON distributions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION distributions_add_up();

-- ...and frozen afterwards. now() is the transaction's time, and so is created_at.
CREATE FUNCTION plan_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT distribution_id FROM fresh) AS f
        WHERE NOT EXISTS (SELECT FROM distributions d
                          WHERE d.id = f.distribution_id AND d.created_at = now())
    ) THEN
        RAISE check_violation USING MESSAGE = 'a plan is stored whole', CONSTRAINT = 'plan_is_frozen';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER transfers_plan_is_open AFTER INSERT ON transfers
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION plan_is_open();
CREATE TRIGGER batches_plan_is_open AFTER INSERT ON distribution_batches
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION plan_is_open();

CREATE FUNCTION is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE check_violation USING MESSAGE = TG_TABLE_NAME || ': this never changes',
        CONSTRAINT = 'plan_is_frozen';
END $$;
CREATE TRIGGER transfers_frozen BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();
CREATE TRIGGER batches_frozen BEFORE DELETE OR TRUNCATE
    OR UPDATE OF distribution_id, position, first_transfer, transfer_count, total_lamports
    ON distribution_batches FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();
CREATE TRIGGER attempts_frozen BEFORE DELETE OR TRUNCATE
    OR UPDATE OF signature, distribution_id, batch_position, wire, blockhash,
                 last_valid_block_height, blockhash_slot
    ON attempts FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();
CREATE TRIGGER distributions_frozen BEFORE DELETE OR TRUNCATE
    OR UPDATE OF id, etag, source_wallet_id, source_address, total_lamports, transfer_count,
                 batch_count, split_kind, split_seed, transaction_version, compute_unit_price,
                 compute_units_per_transfer, created_at
    ON distributions FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();

-- Guarantee 2. The trigger's arguments are the moves, as 'from>to'.
CREATE FUNCTION state_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> NEW.state AND NOT (OLD.state || '>' || NEW.state) = ANY (TG_ARGV) THEN
        RAISE check_violation USING
            MESSAGE = TG_TABLE_NAME || ': ' || OLD.state || ' cannot become ' || NEW.state,
            CONSTRAINT = 'state_moves';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER distributions_moves BEFORE UPDATE OF state ON distributions
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'planned>executing', 'planned>cancelled', 'executing>paused', 'executing>cancelling',
        'executing>completed', 'executing>partially_failed', 'executing>parked',
        'paused>executing', 'paused>cancelling', 'paused>completed', 'paused>partially_failed',
        'paused>parked', 'cancelling>cancelled', 'cancelling>parked', 'parked>executing');
CREATE TRIGGER batches_moves BEFORE UPDATE OF state ON distribution_batches
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'planned>in_flight', 'planned>failed', 'planned>cancelled', 'in_flight>planned',
        'in_flight>finalized', 'in_flight>failed', 'in_flight>unknown', 'unknown>planned',
        'unknown>finalized', 'unknown>failed');
CREATE TRIGGER attempts_moves BEFORE UPDATE OF state ON attempts
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'signed>sent', 'signed>confirmed', 'signed>finalized', 'signed>failed', 'signed>expired',
        'signed>unknown', 'sent>confirmed', 'sent>finalized', 'sent>failed', 'sent>expired',
        'sent>unknown', 'confirmed>finalized', 'confirmed>failed', 'confirmed>unknown',
        'unknown>finalized', 'unknown>failed', 'unknown>expired');

-- A wallet that an unfinished distribution pays from stays.
CREATE FUNCTION wallets_unused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM distributions d WHERE d.source_wallet_id = OLD.id
          AND d.state NOT IN ('cancelled', 'completed', 'partially_failed')
    ) THEN
        RAISE check_violation USING MESSAGE = 'an unfinished distribution pays from this wallet',
            CONSTRAINT = 'wallets_unused';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER wallets_unused BEFORE DELETE ON wallets
    FOR EACH ROW EXECUTE FUNCTION wallets_unused();
