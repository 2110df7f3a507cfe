-- When a domain was seen for the first time in anybody's list, as far as it had mail servers or was probed: a young one is a risk.
ALTER TABLE domain_knowledge ADD COLUMN first_seen timestamptz;
UPDATE domain_knowledge SET first_seen = least(resolved_at, control_at, accepted_at);
ALTER TABLE domain_knowledge ALTER COLUMN first_seen SET DEFAULT now();
