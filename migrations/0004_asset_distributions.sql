-- Distributions of every asset, consolidations and closings; split batches; receipts.
--
-- Amounts are in base units of the distribution's asset: lamports where `mint` is empty.
-- 0003's guarantees stand, and two more:
--   5. A batch is split only when nothing that was signed for it can land, and its parts are
--      exactly its transfers.
--   6. A wallet that an unfinished distribution needs stays.

ALTER TABLE distributions RENAME COLUMN total_lamports TO total_amount;
ALTER TABLE distribution_batches RENAME COLUMN total_lamports TO total_amount;
ALTER TABLE transfers RENAME COLUMN amount_lamports TO amount;

-- What a payer must hold is not tied to the total where the total is tokens or others' lamports.
DO $$
DECLARE bound record;
BEGIN
    FOR bound IN SELECT conname FROM pg_constraint
                 WHERE conrelid = 'distributions'::regclass AND contype = 'c'
                   AND pg_get_constraintdef(oid) LIKE '%required_lamports%'
    LOOP
        EXECUTE format('ALTER TABLE distributions DROP CONSTRAINT %I', bound.conname);
    END LOOP;
END $$;

-- Up to now a transaction's compute limit was (transfers + 2) x units. It is the opening's units
-- and those of each transfer.
ALTER TABLE distributions RENAME COLUMN compute_units_per_transfer TO opening_units;
ALTER TABLE distributions DISABLE TRIGGER distributions_frozen;
UPDATE distributions SET opening_units = 2 * opening_units;
ALTER TABLE distributions ENABLE TRIGGER distributions_frozen;

ALTER TABLE distributions
    ADD CHECK (required_lamports BETWEEN 0 AND 18446744073709551615),
    ADD COLUMN kind                   text NOT NULL DEFAULT 'distribution'
                                      CHECK (kind IN ('distribution', 'consolidation', 'closing')),
    -- The asset: '' and '' are SOL.
    ADD COLUMN mint                   text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN token_program          text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN decimals               smallint NOT NULL DEFAULT 9 CHECK (decimals BETWEEN 0 AND 255),
    -- The token account that a token distribution is paid from.
    ADD COLUMN source_account         text COLLATE "C" NOT NULL DEFAULT '',
    -- Whoever receives a consolidation's amounts or a closing's refunds.
    ADD COLUMN destination_address    text COLLATE "C" NOT NULL DEFAULT '',
    -- Instructions that every transaction begins with, as gateway/domain/steps.py writes them.
    ADD COLUMN prologue               text NOT NULL DEFAULT '[]',
    ADD COLUMN lamports_per_signature numeric(20, 0) NOT NULL DEFAULT 5000
                                      CHECK (lamports_per_signature >= 0),
    ADD COLUMN maximum_lamports       numeric(20, 0) NOT NULL DEFAULT 0,
    ADD COLUMN refund_lamports        numeric(20, 0) NOT NULL DEFAULT 0,
    ADD COLUMN withheld_amount        numeric(20, 0) NOT NULL DEFAULT 0,
    ADD CHECK ((mint = '') = (token_program = ''));
CREATE TRIGGER distributions_terms_frozen BEFORE
    UPDATE OF kind, mint, token_program, decimals, source_account, destination_address, prologue,
              lamports_per_signature, maximum_lamports, refund_lamports, withheld_amount
    ON distributions FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();

-- `steps` are the instructions that belong to the transfer; empty for a System transfer from the
-- source. `source_address` is the wallet whose money it is; empty for the distribution's source.
ALTER TABLE transfers
    ADD COLUMN source_address  text COLLATE "C" NOT NULL DEFAULT '',
    -- What the token program withholds of the amount on the way.
    ADD COLUMN withheld_amount numeric(20, 0) NOT NULL DEFAULT 0
                               CHECK (withheld_amount BETWEEN 0 AND amount),
    ADD COLUMN compute_units   integer NOT NULL DEFAULT 300 CHECK (compute_units > 0),
    ADD COLUMN steps           text NOT NULL DEFAULT '';

ALTER TABLE distribution_batches
    ADD COLUMN fee_payer_address text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN signature_count   integer NOT NULL DEFAULT 1 CHECK (signature_count BETWEEN 1 AND 64),
    ADD COLUMN fee_lamports      numeric(20, 0) NOT NULL DEFAULT 0 CHECK (fee_lamports >= 0),
    -- The batch that this one is a part of.
    ADD COLUMN parent_position   integer,
    ADD FOREIGN KEY (distribution_id, parent_position)
        REFERENCES distribution_batches (distribution_id, position);
UPDATE distribution_batches b SET
    fee_payer_address = d.source_address,
    fee_lamports = d.base_fee_lamports / d.batch_count + ceil(
        (d.opening_units + 300 * b.transfer_count) * d.compute_unit_price / 1000000)
FROM distributions d WHERE d.id = b.distribution_id;
CREATE TRIGGER batches_terms_frozen BEFORE
    UPDATE OF fee_payer_address, signature_count, fee_lamports, parent_position
    ON distribution_batches FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();
CREATE INDEX distribution_batches_ranges ON distribution_batches (distribution_id, first_transfer);

-- A receipt: where the transaction landed, what it cost by the chain's own record, and whether that
-- record agrees with the plan ('pending', 'matched', 'differs: ...', 'unavailable').
ALTER TABLE attempts
    ADD COLUMN slot         bigint NOT NULL DEFAULT 0,
    ADD COLUMN fee_lamports numeric(20, 0) NOT NULL DEFAULT 0,
    ADD COLUMN receipt      text NOT NULL DEFAULT 'pending';
CREATE INDEX attempts_without_receipt ON attempts (distribution_id)
    WHERE state = 'finalized' AND receipt = 'pending';

-- Wallets that a distribution needs: those that sign, and the one that receives.
CREATE TABLE distribution_wallets (
    distribution_id uuid NOT NULL REFERENCES distributions (id),
    address         text COLLATE "C" NOT NULL,
    -- No foreign key, as in distributions.
    wallet_id       uuid NOT NULL,
    signs           boolean NOT NULL,
    PRIMARY KEY (distribution_id, address)
);
CREATE INDEX distribution_wallets_wallet ON distribution_wallets (wallet_id);
INSERT INTO distribution_wallets (distribution_id, address, wallet_id, signs)
SELECT id, source_address, source_wallet_id, true FROM distributions;

-- What a plan leaves out, and why.
CREATE TABLE distribution_skips (
    distribution_id uuid NOT NULL REFERENCES distributions (id),
    ordinal         integer NOT NULL,
    address         text COLLATE "C" NOT NULL,
    reason          text NOT NULL,
    PRIMARY KEY (distribution_id, ordinal)
);

CREATE OR REPLACE FUNCTION distributions_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM (
            SELECT count(*) AS transfers, coalesce(sum(amount), 0) AS total
            FROM transfers WHERE distribution_id = NEW.id
        ) AS t, (
            SELECT count(*) AS batches, coalesce(sum(transfer_count), 0) AS transfers,
                   coalesce(sum(total_amount), 0) AS total
            FROM distribution_batches WHERE distribution_id = NEW.id
        ) AS b
        WHERE t.transfers = NEW.transfer_count AND t.total = NEW.total_amount
          AND b.batches = NEW.batch_count AND b.transfers = NEW.transfer_count
          AND b.total = NEW.total_amount
    ) OR EXISTS (
        SELECT FROM distribution_batches b
        LEFT JOIN (
            SELECT batch_position, count(*) AS n, sum(amount) AS total,
                   min(position) AS first, max(position) AS last
            FROM transfers WHERE distribution_id = NEW.id GROUP BY batch_position
        ) AS t ON t.batch_position = b.position
        WHERE b.distribution_id = NEW.id
          AND (t.n IS DISTINCT FROM b.transfer_count
               OR t.total IS DISTINCT FROM b.total_amount
               OR t.first IS DISTINCT FROM b.first_transfer
               OR t.last IS DISTINCT FROM b.first_transfer + b.transfer_count - 1)
    ) THEN
        RAISE check_violation USING MESSAGE = 'a distribution does not add up',
            CONSTRAINT = 'distributions_add_up';
    END IF;
    RETURN NULL;
END $$;

-- Guarantee 5. A part comes later than its plan, so it is let in here and judged at commit.
ALTER TABLE distribution_batches DISABLE TRIGGER batches_plan_is_open;
DROP TRIGGER batches_plan_is_open ON distribution_batches;
CREATE FUNCTION batches_are_planned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT distribution_id FROM fresh WHERE parent_position IS NULL) AS f
        WHERE NOT EXISTS (SELECT FROM distributions d
                          WHERE d.id = f.distribution_id AND d.created_at = now())
    ) THEN
        RAISE check_violation USING MESSAGE = 'a plan is stored whole', CONSTRAINT = 'plan_is_frozen';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER batches_plan_is_open AFTER INSERT ON distribution_batches
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION batches_are_planned();

CREATE FUNCTION batches_split() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whole integer := CASE WHEN NEW.state = 'split' THEN NEW.position ELSE NEW.parent_position END;
BEGIN
    IF whole IS NULL THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (
        SELECT FROM distribution_batches p, (
            SELECT count(*) AS n, min(c.first_transfer) AS first, sum(c.transfer_count) AS transfers,
                   sum(c.total_amount) AS total,
                   max(c.first_transfer + c.transfer_count) AS last,
                   bool_and(c.total_amount = (
                       SELECT sum(t.amount) FROM transfers t
                       WHERE t.distribution_id = c.distribution_id
                         AND t.position >= c.first_transfer
                         AND t.position < c.first_transfer + c.transfer_count)) AS exact
            FROM distribution_batches c
            WHERE c.distribution_id = NEW.distribution_id AND c.parent_position = whole
        ) AS parts
        WHERE p.distribution_id = NEW.distribution_id AND p.position = whole AND p.state = 'split'
          AND parts.n = 2 AND parts.exact AND parts.transfers = p.transfer_count
          AND parts.total = p.total_amount AND parts.first = p.first_transfer
          AND parts.last = p.first_transfer + p.transfer_count
    ) OR EXISTS (
        SELECT FROM attempts a
        WHERE a.distribution_id = NEW.distribution_id AND a.batch_position = whole
          AND a.state NOT IN ('failed', 'expired')
    ) THEN
        RAISE check_violation USING MESSAGE = 'a batch is not split so',
            CONSTRAINT = 'batches_split';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER batches_split AFTER INSERT OR UPDATE OF state ON distribution_batches
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 'split' OR NEW.parent_position IS NOT NULL)
    EXECUTE FUNCTION batches_split();
-- Nothing is signed for a batch that is split.
CREATE FUNCTION attempts_of_whole_batches() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM distribution_batches b
               WHERE b.distribution_id = NEW.distribution_id AND b.position = NEW.batch_position
                 AND b.state = 'split') THEN
        RAISE check_violation USING MESSAGE = 'the batch is split', CONSTRAINT = 'batches_split';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempts_of_whole_batches BEFORE INSERT ON attempts
    FOR EACH ROW EXECUTE FUNCTION attempts_of_whole_batches();

ALTER TABLE distribution_batches DROP CONSTRAINT distribution_batches_state_check;
ALTER TABLE distribution_batches ADD CONSTRAINT distribution_batches_state_check CHECK (state IN (
    'planned', 'in_flight', 'finalized', 'failed', 'unknown', 'cancelled', 'split'));
DROP TRIGGER batches_moves ON distribution_batches;
CREATE TRIGGER batches_moves BEFORE UPDATE OF state ON distribution_batches
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'planned>in_flight', 'planned>failed', 'planned>cancelled', 'planned>split',
        'in_flight>planned', 'in_flight>finalized', 'in_flight>failed', 'in_flight>unknown',
        'in_flight>split', 'unknown>planned', 'unknown>finalized', 'unknown>failed',
        'unknown>split');

-- Guarantee 6.
CREATE OR REPLACE FUNCTION wallets_unused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM distribution_wallets w JOIN distributions d ON d.id = w.distribution_id
        WHERE w.wallet_id = OLD.id
          AND d.state NOT IN ('cancelled', 'completed', 'partially_failed')
    ) THEN
        RAISE check_violation USING MESSAGE = 'an unfinished distribution needs this wallet',
            CONSTRAINT = 'wallets_unused';
    END IF;
    RETURN OLD;
END $$;
