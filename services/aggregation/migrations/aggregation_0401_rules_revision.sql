-- Whose counter rules those of a series are, and of which revision of the catalogue.
-- depends: aggregation_0302_recomputations

-- migrate: apply

-- `own_rules`: the rules are those of the device, which a change of its sensor type does not touch. Of series that are
-- there already nobody knows it; until their next reading says so, nothing is written over them.
ALTER TABLE series
    ADD COLUMN own_rules boolean NOT NULL DEFAULT true,
    ADD COLUMN rules_revision bigint NOT NULL DEFAULT 0;

-- migrate: rollback

ALTER TABLE series DROP COLUMN own_rules, DROP COLUMN rules_revision;
