-- What became of messages that were really sent to verified addresses, and how often random controls were accepted: what scores are
-- measured by. No address is kept here: an outcome is tied to the result that it was joined to, and what outlives that is counts.
--
-- Writers: http (imports), sink (control_count). Readers: planner, leader, sink, http.

CREATE TABLE outcome_import (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	public_id  text NOT NULL UNIQUE,
	tenant     int NOT NULL REFERENCES tenant,
	client     text,
	name       text NOT NULL DEFAULT '',
	format     text NOT NULL,         -- as it was recognised: generic, sendgrid ...
	sha256     bytea NOT NULL,        -- of the file: the same one again changes nothing
	row_count  bigint NOT NULL,       -- rows with an outcome; each is in exactly one of the next six
	delivered  bigint NOT NULL,
	bounced    bigint NOT NULL,
	repeated   bigint NOT NULL,       -- of a message that was counted already
	ignored    bigint NOT NULL,       -- says nothing of recipient or domain: rate, content, temporary, an unsubscription
	unmatched  bigint NOT NULL,       -- no result of that address at that time
	bad        bigint NOT NULL,       -- could not be read
	faults     jsonb NOT NULL DEFAULT '[]',  -- the first bad rows: record, row, column, why; never the address
	idempotency_key text,
	created_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (tenant, idempotency_key)
);
CREATE UNIQUE INDEX outcome_import_file ON outcome_import (tenant, coalesce(client, ''), sha256);
CREATE INDEX outcome_import_tenant ON outcome_import (tenant, id);

-- Each result has at most one outcome: a bounce outweighs a delivery that was reported before it. The rest is the bucket that it
-- was counted in, whatever the row is called by now.
CREATE TABLE outcome (
	job      bigint NOT NULL REFERENCES job ON DELETE CASCADE,
	uid      bigint NOT NULL,
	bounced  boolean NOT NULL,
	reason   smallint NOT NULL,
	provider text NOT NULL,
	evidence smallint NOT NULL,
	measured boolean NOT NULL,
	score    smallint NOT NULL,
	PRIMARY KEY (job, uid)
);

-- Outcomes by what the row had been given; stays when the jobs are gone.
CREATE TABLE outcome_bucket (
	tenant    int NOT NULL REFERENCES tenant ON DELETE CASCADE,
	reason    smallint NOT NULL,
	provider  text NOT NULL,          -- '' no profile
	evidence  smallint NOT NULL,      -- enum score_evidence
	measured  boolean NOT NULL,       -- the basis of the score
	score     smallint NOT NULL,
	delivered bigint NOT NULL,
	bounced   bigint NOT NULL,
	PRIMARY KEY (tenant, reason, provider, evidence, measured, score)
);

-- Random controls that were decided, fleet-wide; a sink writes only its own partition's lines.
CREATE TABLE control_count (
	provider text NOT NULL,           -- '' no profile
	honesty  smallint NOT NULL,       -- enum rc_honesty, as the profile said then
	sink     int NOT NULL,
	accepted bigint NOT NULL,
	refused  bigint NOT NULL,
	PRIMARY KEY (provider, honesty, sink)
);
