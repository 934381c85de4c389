-- A replacement of a reading stands in place of what had been decided about it before.
-- depends: aggregation_0703_correction_decisions

-- migrate: apply

-- Kept and listed, and followed no longer.
ALTER TABLE correction_decisions ADD COLUMN withdrawn boolean NOT NULL DEFAULT false;

-- `overrules`: there was such a decision.
ALTER TABLE amendments ADD COLUMN overrules boolean NOT NULL DEFAULT false;

-- migrate: rollback

ALTER TABLE amendments DROP COLUMN overrules;

ALTER TABLE correction_decisions DROP COLUMN withdrawn;
