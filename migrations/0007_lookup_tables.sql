-- v0 transactions, and the address lookup tables that they use.
--
-- 0003's guarantee 1 holds for them too: what a plan's tables held when it was made is stored with it
-- and never changes. What is signed later is built from that.

DO $$
DECLARE bound record;
BEGIN
    FOR bound IN SELECT conname FROM pg_constraint
                 WHERE conrelid = 'distributions'::regclass AND contype = 'c'
                   AND pg_get_constraintdef(oid) LIKE '%transaction_version%'
    LOOP
        EXECUTE format('ALTER TABLE distributions DROP CONSTRAINT %I', bound.conname);
    END LOOP;
END $$;
ALTER TABLE distributions ADD CONSTRAINT distributions_transaction_version_check
    CHECK (transaction_version IN ('legacy', '0', '1'));

CREATE TABLE distribution_lookup_tables (
    distribution_id uuid NOT NULL REFERENCES distributions (id),
    -- Where several hold an address, the first is preferred.
    ordinal         integer NOT NULL CHECK (ordinal >= 0),
    address         text COLLATE "C" NOT NULL CHECK (octet_length(address) BETWEEN 32 AND 44),
    -- Its addresses, 32 bytes each, one after another.
    content         bytea NOT NULL
                    CHECK (octet_length(content) BETWEEN 32 AND 8192
                           AND octet_length(content) % 32 = 0),
    PRIMARY KEY (distribution_id, ordinal),
    UNIQUE (distribution_id, address)
);
CREATE TRIGGER lookup_tables_plan_is_open AFTER INSERT ON distribution_lookup_tables
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION plan_is_open();
CREATE TRIGGER lookup_tables_frozen BEFORE UPDATE OR DELETE OR TRUNCATE ON distribution_lookup_tables
    FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();
