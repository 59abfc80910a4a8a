-- A cancel is for ever, whatever becomes of what was unknown; records that no node had are asked for again.
--
-- The guarantees so far stand, and one more:
--   10. What was cancelled once signs nothing any more: it comes to 'cancelled', by way of 'cancelling'
--       and 'parked', and to nothing else; nobody is paid again by it.

ALTER TABLE distributions ADD COLUMN is_cancelled boolean NOT NULL DEFAULT false;
UPDATE distributions d SET is_cancelled = true
WHERE d.state IN ('cancelling', 'cancelled')
   -- Only a cancel gives batches up.
   OR d.state = 'parked' AND EXISTS (SELECT FROM distribution_batches b
                                     WHERE b.distribution_id = d.id AND b.state = 'cancelled');

CREATE FUNCTION distributions_stay_cancelled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.is_cancelled := OLD.is_cancelled OR NEW.state IN ('cancelling', 'cancelled');
    IF OLD.is_cancelled AND NEW.state NOT IN ('cancelling', 'cancelled', 'parked')
       OR OLD.state = 'parked' AND NEW.state = 'cancelled' AND NOT OLD.is_cancelled THEN
        RAISE check_violation USING
            MESSAGE = 'a cancel is for ever: it cannot become ' || NEW.state,
            CONSTRAINT = 'distributions_stay_cancelled';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER distributions_stay_cancelled BEFORE UPDATE ON distributions
    FOR EACH ROW EXECUTE FUNCTION distributions_stay_cancelled();

CREATE FUNCTION batches_of_cancelled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT d.is_cancelled FROM distributions d WHERE d.id = NEW.distribution_id FOR SHARE) THEN
        RAISE check_violation USING MESSAGE = 'nothing is signed for what is cancelled',
            CONSTRAINT = 'batches_of_cancelled';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER batches_of_cancelled BEFORE UPDATE OF state ON distribution_batches
    FOR EACH ROW WHEN (OLD.state = 'planned' AND NEW.state = 'in_flight')
    EXECUTE FUNCTION batches_of_cancelled();

CREATE FUNCTION resolutions_of_cancelled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT d.is_cancelled FROM distributions d JOIN attempts a ON a.distribution_id = d.id
        WHERE a.signature = NEW.signature FOR SHARE OF d) THEN
        RAISE check_violation USING MESSAGE = 'what is cancelled pays nobody again',
            CONSTRAINT = 'resolutions_of_cancelled';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER resolutions_of_cancelled BEFORE INSERT ON attempt_resolutions
    FOR EACH ROW WHEN (NEW.verdict = 'pay_again') EXECUTE FUNCTION resolutions_of_cancelled();

DROP TRIGGER distributions_moves ON distributions;
CREATE TRIGGER distributions_moves BEFORE UPDATE OF state ON distributions
    FOR EACH ROW EXECUTE FUNCTION state_moves(
        'planned>executing', 'planned>cancelled', 'executing>paused', 'executing>cancelling',
        'executing>completed', 'executing>partially_failed', 'executing>parked',
        'paused>executing', 'paused>cancelling', 'paused>completed', 'paused>partially_failed',
        'paused>parked', 'cancelling>cancelled', 'cancelling>parked', 'parked>executing',
        'parked>paused', 'parked>cancelling', 'parked>cancelled', 'parked>completed',
        'parked>partially_failed');

-- How often a record was asked for in vain, and when it is asked for again.
ALTER TABLE attempts
    ADD COLUMN receipt_tries  integer NOT NULL DEFAULT 0 CHECK (receipt_tries >= 0),
    ADD COLUMN receipt_due_at timestamptz;
UPDATE attempts SET receipt_due_at = now() WHERE receipt = 'unavailable';
CREATE INDEX attempts_receipt_due ON attempts (distribution_id) WHERE receipt_due_at IS NOT NULL;
