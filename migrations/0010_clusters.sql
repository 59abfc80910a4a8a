-- The cluster that a plan was made for, by its genesis hash ("" if the gateway of then did not keep it).
--
-- 0003's guarantee 1 holds for it too. On another cluster what landed on the first looks as if it never
-- had: a gateway signs, sends and judges nothing there.

ALTER TABLE distributions
    ADD COLUMN genesis_hash text COLLATE "C" NOT NULL DEFAULT ''
               CHECK (octet_length(genesis_hash) = 0 OR octet_length(genesis_hash) BETWEEN 32 AND 44);
CREATE TRIGGER distributions_cluster_frozen BEFORE UPDATE OF genesis_hash
    ON distributions FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();
