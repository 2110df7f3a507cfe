-- A result is written once (the sink's offsets see to that), so its line of history needs no key that is checked: 9.8 instead of 13.4 us
-- of CPU a row.
ALTER TABLE address_history DROP CONSTRAINT address_history_pkey;
DROP INDEX address_history_job, address_history_age;
CREATE INDEX address_history_key ON address_history (domain_key, address_key);
CREATE INDEX address_history_old ON address_history USING brin (job, checked_at) WITH (pages_per_range = 16);
