-- What an address answered before, to each tenant for itself; what the verdict of a row rests on, so that it can be given again from its
-- evidence; and how the lanes stand with the servers they ask.

-- `sending`: which sending of the shard the evidence came with (report.attempt). `evidence_uid`: the row that it speaks of, where that is
-- not this one (a verdict taken over from an earlier job). `basis`: what was known before the answer (coordinator/core/history.h).
-- `rules`: the version of the rules that spoke, as a number of 64 bits; shown in hexadecimal.
ALTER TABLE result ADD COLUMN sending int, ADD COLUMN evidence_uid bigint, ADD COLUMN basis bigint, ADD COLUMN rules bigint;
DO $$
DECLARE own regclass;
BEGIN
	FOR own IN SELECT c.oid::regclass FROM pg_class c JOIN pg_class r ON r.relnamespace = c.relnamespace
		WHERE r.oid = 'result'::regclass AND c.relkind = 'r' AND c.relname ~ '^result_[0-9]+$' LOOP
		EXECUTE format('ALTER TABLE %s ADD COLUMN sending int, ADD COLUMN evidence_uid bigint, ADD COLUMN basis bigint, '
			'ADD COLUMN rules bigint', own);
	END LOOP;
END $$;

-- `healing`: all of the schedule was tried, the fault is ours, and the lane is waited for.
ALTER TABLE deferred ADD COLUMN evidence_sending int, ADD COLUMN basis bigint, ADD COLUMN healing boolean NOT NULL DEFAULT false;
CREATE INDEX deferred_healing ON deferred (lane) WHERE healing AND shard IS NULL;

-- One line for each verdict that is one (grade other than unknown) and was probed for, inserted only; the last of an address counts. The
-- address itself is not here, only hashes of its domain and of all of it, in small letters. Lines go with their job, and when
-- they are older than ROLLCALL_HISTORY_KEEP.
CREATE TABLE address_history (
	tenant      int NOT NULL,
	domain_key  bigint NOT NULL,     -- of one domain side by side
	address_key bigint NOT NULL,
	job         bigint NOT NULL,     -- the result (job, uid) has the rest, and its shard the evidence
	uid         bigint NOT NULL,
	reason      smallint NOT NULL,
	control     smallint NOT NULL DEFAULT 0,  -- what the random control had answered by then
	lane        int,
	checked_at  timestamptz NOT NULL,
	PRIMARY KEY (tenant, domain_key, address_key, job)
);
CREATE INDEX address_history_job ON address_history USING brin (job) WITH (pages_per_range = 16);
CREATE INDEX address_history_age ON address_history USING brin (checked_at) WITH (pages_per_range = 16);
CREATE FUNCTION domain_key(domain text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
	AS 'SELECT hashtextextended(domain, 0)';
CREATE FUNCTION address_key(local text, domain text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
	AS $$ SELECT hashtextextended(lower(local COLLATE "C") || '@' || domain, 1) $$;

-- What a lane has met at the servers of an MX group: when one last answered for a mailbox, and since when they turn our address or our
-- rate away instead (null: they do not).
CREATE TABLE lane_health (
	lane          int NOT NULL,
	mx_group      text NOT NULL,
	ok_at         timestamptz,
	blocked_since timestamptz,
	PRIMARY KEY (lane, mx_group)
);

ALTER TABLE domain_knowledge ADD COLUMN provider text, ADD COLUMN mx_group text;
