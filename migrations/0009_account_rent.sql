-- What making a token account costs, of each transfer: somebody may have sent lamports there ahead, and
-- then it is less than what the account must hold.

ALTER TABLE distributions
    -- What each token account that the plan makes must hold; 0 where it makes none.
    ADD COLUMN account_rent_lamports numeric(20, 0) NOT NULL DEFAULT 0
                                     CHECK (account_rent_lamports >= 0);
ALTER TABLE transfers
    -- What the payer puts into the account that this transfer makes, as the plan reckons.
    ADD COLUMN rent_lamports numeric(20, 0) NOT NULL DEFAULT 0 CHECK (rent_lamports >= 0);

-- Up to now each account of a plan was reckoned with the same.
UPDATE distributions SET account_rent_lamports = div(rent_lamports, new_account_count)
WHERE rent_lamports > 0 AND new_account_count > 0;
ALTER TABLE transfers DISABLE TRIGGER transfers_frozen;
UPDATE transfers t SET rent_lamports = d.account_rent_lamports
FROM distributions d
WHERE d.id = t.distribution_id AND d.account_rent_lamports > 0
  AND t.steps LIKE '[["ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",%';
ALTER TABLE transfers ENABLE TRIGGER transfers_frozen;

CREATE TRIGGER distributions_rent_frozen BEFORE UPDATE OF account_rent_lamports
    ON distributions FOR EACH STATEMENT EXECUTE FUNCTION is_frozen();
