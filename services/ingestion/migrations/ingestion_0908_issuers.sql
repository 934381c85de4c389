-- A debt file says whom its debts are owed to.
-- depends: ingestion_0907_debt_retention

-- migrate: apply

ALTER TABLE debt_files ADD COLUMN issuer text NOT NULL DEFAULT '';

-- migrate: rollback

ALTER TABLE debt_files DROP COLUMN issuer;
