-- What an operator declared about attempts that the chain left UNKNOWN; what transactions really cost;
-- how fast the signer lets a distribution go.
--
-- 0003's and 0004's guarantees stand, and three more:
--   7. An UNKNOWN attempt counts as expired only if an operator declared so: with a verdict, a reason
--      and a name that are kept for ever. Nobody can declare that one landed.
--   8. An UNKNOWN batch is paid again only by the verdict 'pay_again' on its last attempt, and fails
--      only by an error on chain or by the verdict 'give_up'.
--   9. A declaration is made of an UNKNOWN attempt, once, and takes effect in the same transaction.

CREATE TABLE attempt_resolutions (
    signature  text COLLATE "C" PRIMARY KEY REFERENCES attempts (signature),
    verdict    text NOT NULL CHECK (verdict IN ('pay_again', 'give_up')),
    reason     text NOT NULL CHECK (length(btrim(reason)) BETWEEN 1 AND 1000),
    -- Who says so, by their own word, and where the call came from.
    operator   text NOT NULL CHECK (length(btrim(operator)) BETWEEN 1 AND 200),
    peer       text NOT NULL,
    -- What the providers answered when the gateway asked them.
    evidence   text NOT NULL CHECK (evidence <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER attempt_resolutions_frozen BEFORE UPDATE OR DELETE OR TRUNCATE ON attempt_resolutions
    FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();

CREATE FUNCTION resolutions_of_unknown() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    present text;
BEGIN
    SELECT state INTO present FROM attempts WHERE signature = NEW.signature FOR NO KEY UPDATE;
    IF present IS DISTINCT FROM 'unknown' THEN
        RAISE check_violation USING MESSAGE = 'the attempt is not unknown',
            CONSTRAINT = 'resolutions_of_unknown';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER resolutions_of_unknown BEFORE INSERT ON attempt_resolutions
    FOR EACH ROW EXECUTE FUNCTION resolutions_of_unknown();

CREATE FUNCTION resolutions_take_effect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM attempts a JOIN distribution_batches b
          ON b.distribution_id = a.distribution_id AND b.position = a.batch_position
        WHERE a.signature = NEW.signature AND a.state = 'expired'
          AND b.state = CASE NEW.verdict WHEN 'pay_again' THEN 'planned' ELSE 'failed' END
    ) THEN
        RAISE check_violation USING MESSAGE = 'a resolution takes effect at once',
            CONSTRAINT = 'resolutions_take_effect';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER resolutions_take_effect AFTER INSERT ON attempt_resolutions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION resolutions_take_effect();

CREATE FUNCTION attempts_resolved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM attempt_resolutions r WHERE r.signature = OLD.signature) THEN
        RAISE check_violation USING MESSAGE = 'what is unknown expires only by a resolution',
            CONSTRAINT = 'attempts_resolved';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attempts_resolved BEFORE UPDATE OF state ON attempts
    FOR EACH ROW WHEN (OLD.state = 'unknown' AND NEW.state = 'expired')
    EXECUTE FUNCTION attempts_resolved();

CREATE FUNCTION batches_resolved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
BEGIN
    SELECT a.state, r.verdict INTO last
    FROM attempts a LEFT JOIN attempt_resolutions r ON r.signature = a.signature
    WHERE a.distribution_id = OLD.distribution_id AND a.batch_position = OLD.position
    ORDER BY a.created_at DESC LIMIT 1;
    IF NOT coalesce(
        CASE NEW.state
            WHEN 'planned' THEN last.state = 'expired' AND last.verdict = 'pay_again'
            ELSE last.state = 'failed' OR last.state = 'expired' AND last.verdict = 'give_up'
        END, false) THEN
        RAISE check_violation USING MESSAGE = 'what is unknown is decided by the chain or resolved',
            CONSTRAINT = 'batches_resolved';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER batches_resolved BEFORE UPDATE OF state ON distribution_batches
    FOR EACH ROW WHEN (OLD.state = 'unknown' AND NEW.state IN ('planned', 'failed'))
    EXECUTE FUNCTION batches_resolved();

-- Where everything is resolved, a parked distribution comes to its end, or waits to be executed.
DROP TRIGGER distributions_moves ON distributions;
CREATE TRIGGER distributions_moves BEFORE UPDATE OF state ON distributions
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'planned>executing', 'planned>cancelled', 'executing>paused', 'executing>cancelling',
        'executing>completed', 'executing>partially_failed', 'executing>parked',
        'paused>executing', 'paused>cancelling', 'paused>completed', 'paused>partially_failed',
        'paused>parked', 'cancelling>cancelled', 'cancelling>parked', 'parked>executing',
        'parked>paused', 'parked>cancelling', 'parked>completed', 'parked>partially_failed');

-- What a transaction cost besides its fee, by the chain's own record: rent paid for accounts that it
-- made, and lamports that came back from accounts that it closed or relieved.
ALTER TABLE attempts
    ADD COLUMN rent_lamports   numeric(20, 0) NOT NULL DEFAULT 0 CHECK (rent_lamports >= 0),
    ADD COLUMN refund_lamports numeric(20, 0) NOT NULL DEFAULT 0 CHECK (refund_lamports >= 0);

-- How many batches the signer lets through in 1,000 seconds, 0 while it has never asked to wait, and
-- when it takes the next.
ALTER TABLE distributions
    ADD COLUMN signing_pace       integer NOT NULL DEFAULT 0 CHECK (signing_pace >= 0),
    ADD COLUMN signing_resumes_at timestamptz;
