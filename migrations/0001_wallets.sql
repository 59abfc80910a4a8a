-- Master wallets and wallets: sealed records and what is known about them.
--
-- Nothing here opens without the signer's secrets: encrypted_* hold sealed records (see docs), made
-- and read by the signer alone. Amounts are numeric(20,0) checked against u64, because Postgres has
-- no unsigned 64-bit integer and a lamport must never be rounded.

CREATE TABLE master_wallets (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- The order of creation, and the key that pages walk by: uuid order means nothing.
    ordinal            bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name               text NOT NULL DEFAULT '' CHECK (char_length(name) <= 100),
    fingerprint        text COLLATE "C" NOT NULL UNIQUE CHECK (fingerprint ~ '^[0-9a-f]{32}$'),
    encrypted_mnemonic text COLLATE "C" NOT NULL CHECK (encrypted_mnemonic <> ''),
    key_group          text COLLATE "C" NOT NULL CHECK (key_group <> ''),
    -- How many wallets of this master exist now: always count(*) of its rows in wallets.
    derived_count      bigint NOT NULL DEFAULT 0 CHECK (derived_count BETWEEN 0 AND 2147483648),
    version            bigint NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL DEFAULT now()
);

-- A wallet is deleted for good, not marked: whoever asks for a wallet to go wants its sealed key gone,
-- and a derived wallet's address must be free to be derived again (the same index gives the same key).
-- History (transfers, audit events) names addresses, not rows, and so survives the deletion.
CREATE TABLE wallets (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    ordinal               bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- COLLATE "C": base58 is compared byte by byte, and so the unique index also serves prefixes.
    address               text COLLATE "C" NOT NULL UNIQUE
                          CHECK (octet_length(address) BETWEEN 32 AND 44),
    derivation_index      bigint CHECK (derivation_index BETWEEN 0 AND 2147483647),
    master_wallet_id      uuid, -- refers to master_wallets: see wallets_master_exists
    encrypted_private_key text COLLATE "C" NOT NULL CHECK (encrypted_private_key <> ''),
    key_group             text COLLATE "C" NOT NULL CHECK (key_group <> ''),
    ownership_tag         text COLLATE "C" NOT NULL CHECK (ownership_tag <> ''),
    name                  text NOT NULL DEFAULT '' CHECK (char_length(name) <= 100),
    tags                  text[] NOT NULL DEFAULT '{}' CHECK (cardinality(tags) <= 50),
    total_trades          bigint NOT NULL DEFAULT 0 CHECK (total_trades >= 0),
    total_volume_lamports numeric(20, 0) NOT NULL DEFAULT 0
                          CHECK (total_volume_lamports BETWEEN 0 AND 18446744073709551615),
    version               bigint NOT NULL DEFAULT 1,
    created_at            timestamptz NOT NULL DEFAULT now(),
    last_used_at          timestamptz,
    -- Derived wallets have both, imported ones neither.
    CHECK ((master_wallet_id IS NULL) = (derivation_index IS NULL)),
    UNIQUE (master_wallet_id, derivation_index)
);

CREATE INDEX wallets_tags ON wallets USING gin (tags);
CREATE INDEX wallets_created_at ON wallets (created_at);
CREATE INDEX wallets_key_group ON wallets (key_group);

-- The reference from wallets to master_wallets, checked once per statement: a foreign key's check of
-- each row is 40 % of the cost of storing 10,000 wallets (14 of 34 us a row, measured). Whoever inserts
-- derived wallets holds the master's row lock, for derived_count, so the check cannot race a deletion.
CREATE FUNCTION wallets_master_exists() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT master_wallet_id FROM fresh) AS f
        WHERE master_wallet_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM master_wallets m WHERE m.id = f.master_wallet_id)
    ) THEN
        RAISE foreign_key_violation USING MESSAGE = 'wallets refer to a missing master wallet';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER wallets_master_exists AFTER INSERT ON wallets
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION wallets_master_exists();

-- What a wallet is never changes; only what is written on it, its counters and how its key is sealed.
CREATE FUNCTION wallets_identity_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE check_violation USING MESSAGE = 'a wallet''s address, index and master never change';
END $$;
CREATE TRIGGER wallets_identity_is_fixed
    BEFORE UPDATE OF id, address, derivation_index, master_wallet_id ON wallets
    FOR EACH ROW EXECUTE FUNCTION wallets_identity_is_fixed();

CREATE FUNCTION master_wallets_unused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM wallets w WHERE w.master_wallet_id = OLD.id) THEN
        RAISE foreign_key_violation USING MESSAGE = 'wallets refer to this master wallet';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER master_wallets_unused BEFORE DELETE ON master_wallets
    FOR EACH ROW EXECUTE FUNCTION master_wallets_unused();

-- A wallet as the gateway reads it: with its master's fingerprint, and with the values that the signer
-- is told for a wallet without a master ("" and -1).
CREATE VIEW wallet_details AS
SELECT w.id, w.ordinal, w.address, w.derivation_index, w.master_wallet_id,
       coalesce(m.fingerprint, '') AS fingerprint, coalesce(w.derivation_index, -1) AS signer_index,
       w.encrypted_private_key, w.key_group, w.ownership_tag, w.name, w.tags, w.total_trades,
       w.total_volume_lamports, w.version, w.created_at, w.last_used_at
FROM wallets w LEFT JOIN master_wallets m ON m.id = w.master_wallet_id;
