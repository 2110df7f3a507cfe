-- The record of everything: jobs, their rows, what was sent, what was found. Kafka is transport; this is the truth.
--
-- Writers: http (jobs, uploads, keys), planner (domains, items), leader (lanes, leases, shards), sink (results, deferred, reports).
-- Storage is insert-only where rows come by the million: `result` holds final rows only, and a row that has none yet is
-- `deferred`, or part of a shard, or not planned. What is missing when a job was cancelled or finished early is rendered.
-- Codes (reason, states, kinds) are the numbers of coordinator/core's headers and are never renumbered.

CREATE TABLE tenant (
	id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name       text NOT NULL UNIQUE,
	created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenant(name) VALUES ('default');

CREATE TABLE api_key (
	id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant     int NOT NULL REFERENCES tenant,
	client     text,                       -- one of the tenant's own customers, or null
	role       text NOT NULL CHECK (role IN ('read', 'submit', 'admin')),
	name       text NOT NULL DEFAULT '',
	hmac       bytea NOT NULL UNIQUE,      -- HMAC-SHA256 of the key under server_secret; the key itself is nowhere
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	revoked_at timestamptz
);

CREATE TABLE server_secret (
	name   text PRIMARY KEY,
	secret bytea NOT NULL
);

CREATE TABLE job (
	id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	public_id       text NOT NULL UNIQUE,
	tenant          int NOT NULL REFERENCES tenant,
	client          text,
	name            text NOT NULL DEFAULT '',
	state           text NOT NULL CHECK (state IN ('planning', 'waiting_start', 'running', 'paused', 'held', 'done', 'cancelled', 'failed')),
	interactive     boolean NOT NULL DEFAULT false,   -- POST /v1/verify
	idempotency_key text,
	format          text NOT NULL,         -- csv, txt, ndjson
	columns         text[] NOT NULL DEFAULT '{}',     -- the input's column names
	address_column  int NOT NULL DEFAULT 1,           -- from 1
	row_count       bigint NOT NULL DEFAULT 0,        -- input rows, blanks included, header excluded
	blank_count     bigint NOT NULL DEFAULT 0,
	item_count      bigint,                -- distinct addresses and bad rows: each gets one result; null until planned
	domain_count    bigint,
	table_set       text NOT NULL DEFAULT '',  -- suffix of item, row_uid, result: '' is the shared set, '_<id>' the job's own
	input_sha256    bytea,
	suppress_invalid boolean NOT NULL DEFAULT false,
	max_age         interval,
	created_at      timestamptz NOT NULL DEFAULT now(),
	planned_at      timestamptz,
	started_at      timestamptz,
	finished_at     timestamptz,
	deadline_at     timestamptz NOT NULL DEFAULT now() + interval '72 hours',
	error           text,
	UNIQUE (tenant, idempotency_key)
);
CREATE INDEX job_open ON job (id) WHERE state IN ('planning', 'waiting_start', 'running', 'paused', 'held');

-- The original, for the download: 4,096 records a chunk, zstd. Inside: for each record its length (uint32, little endian) and its octets
-- without the line end.
CREATE TABLE input_chunk (
	job       bigint NOT NULL REFERENCES job ON DELETE CASCADE,
	chunk     int NOT NULL,          -- from 0
	first_row bigint NOT NULL,       -- from 1
	row_count int NOT NULL,
	body      bytea NOT NULL,
	PRIMARY KEY (job, chunk)
);
ALTER TABLE input_chunk ALTER COLUMN body SET STORAGE EXTERNAL;

-- What the upload leaves for the planner: one table a job, stage_<job id>, made in the upload's transaction LIKE this one and
-- dropped in the plan's.
CREATE TABLE stage (
	n            bigint NOT NULL,    -- row, from 1
	kind         smallint NOT NULL,  -- 1 address, 2 bad syntax (blank rows are only counted: they have no line here)
	local        text NOT NULL,      -- as written; of a bad row the whole cell, at most 320 octets
	domain       text NOT NULL,      -- A-label; '' of a bad row
	did_you_mean text
);

CREATE TABLE job_domain (
	job          bigint NOT NULL REFERENCES job ON DELETE CASCADE,
	domain_no    int NOT NULL,       -- from 1 within the job; 0 stands for the bad rows and has no line
	domain       text NOT NULL,
	first_uid    bigint NOT NULL,    -- uids of a domain are dense: first_uid .. first_uid + n - 1
	n            int NOT NULL,
	state        smallint NOT NULL DEFAULT 0,  -- 0 to resolve, 1 in a resolve shard, 2 probing, 3 decided without probing,
	                                           -- 4 to resolve again at due_at, 5 a sample is being probed and
	                                           -- decides about the rest
	attempts     smallint NOT NULL DEFAULT 0,  -- resolve shards that came back
	first_at     timestamptz,        -- of the first answer: the retry schedule counts from here
	due_at       timestamptz,
	mx_group     text,
	provider     text,
	lane         int,
	resolution   bytea,              -- the Resolution message
	-- the harvest guard's memory (coordinator/core/harvest.h)
	harvest      bytea,
	rejects_all  boolean NOT NULL DEFAULT false,  -- a row of it was called so: its fellows follow
	held_at      timestamptz,        -- harvest guard tripped: nothing more is sent
	PRIMARY KEY (job, domain_no)
);
CREATE INDEX job_domain_todo ON job_domain (job, state, due_at) WHERE state IN (0, 4);

-- The shared set. A job of 1,000,000 rows or more has item_<id>, row_uid_<id>, result_<id>, LIKE these.
CREATE TABLE item (
	job       bigint NOT NULL,
	uid       bigint NOT NULL,       -- from 1 within the job
	domain_no int NOT NULL,
	local     text NOT NULL,
	PRIMARY KEY (job, uid)
);
CREATE TABLE row_uid (
	job bigint NOT NULL,
	n   bigint NOT NULL,
	uid bigint NOT NULL,             -- blank rows have no line here
	PRIMARY KEY (job, n)
);
CREATE TABLE result (
	job          bigint NOT NULL,
	uid          bigint NOT NULL,
	reason       smallint NOT NULL,  -- status and grade follow from it (coordinator/core/verdict.h)
	flags        int NOT NULL DEFAULT 0,
	score        smallint,           -- 0..100; null: skipped
	smtp_code    smallint,
	enhanced     text,
	provider     text,
	mx           text,
	did_you_mean text,
	attempts     smallint NOT NULL DEFAULT 0,
	lane         int,
	rule         text,               -- which rule spoke
	checked_at   timestamptz NOT NULL,
	shard        bigint,             -- where its evidence is; null: decided without a probe
	part         int,
	xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
	PRIMARY KEY (job, uid)
);

-- One line for each row between two attempts, and while the attempt is out (then `shard` is set).
CREATE TABLE deferred (
	job           bigint NOT NULL REFERENCES job ON DELETE CASCADE,
	uid           bigint NOT NULL,
	domain_no     int NOT NULL,
	attempt       smallint NOT NULL,   -- scheduled attempts made
	tries         smallint NOT NULL,   -- of them, those that opened a connection
	reason        smallint NOT NULL,   -- what it would be called if this had been the last
	first_at      timestamptz NOT NULL, -- of the first attempt
	due_at        timestamptz NOT NULL,
	lane          int NOT NULL,
	mx_host       text,
	mx_address    text,
	control_local text,                -- the control that waits with it
	need_control  boolean NOT NULL DEFAULT false, -- a fresh control goes with the next try, whatever is known
	idle          smallint NOT NULL DEFAULT 0,    -- times in a row that it came back unasked
	smtp_code     smallint,
	enhanced      text,
	evidence_shard bigint,             -- the last report that spoke of it
	evidence_part int,
	shard         bigint,              -- the shard that carries the next attempt; null: waiting for due_at
	PRIMARY KEY (job, uid)
);
CREATE INDEX deferred_due ON deferred (due_at) WHERE shard IS NULL;
CREATE INDEX deferred_domain ON deferred (job, domain_no, due_at) WHERE shard IS NULL;

CREATE TABLE shard (
	id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job           bigint NOT NULL REFERENCES job ON DELETE CASCADE,
	kind          smallint NOT NULL,   -- proto's ShardKind
	class         smallint NOT NULL,   -- 0 interactive, 1 due retry, 2 bulk
	lane          int NOT NULL,
	domain_no     int,                 -- PROBE
	mx_group      text NOT NULL DEFAULT '',  -- '' RESOLVE
	first_uid     bigint,              -- contiguous, first attempt: first_uid .. first_uid + n - 1
	n             int NOT NULL,        -- recipients, or domains
	uids          bigint[],            -- a retry: these instead, with their schedule attempts
	attempts      smallint[],
	domain_nos    int[],               -- RESOLVE
	bypass_cache  boolean NOT NULL DEFAULT false,
	mx_host       text,
	mx_address    text,
	control_local text,
	need_control  boolean NOT NULL DEFAULT false,
	urgent_at     timestamptz,         -- a retry whose greylister forgets it soon after goes before other bulk
	state         smallint NOT NULL DEFAULT 0,  -- 0 queued, 1 sent, 2 done, 3 held (harvest guard), 4 dropped (job ended)
	attempt       int NOT NULL DEFAULT 0,
	epoch         bigint,
	sent_at       timestamptz
);
-- The dispatcher walks a job's queue in turns over its MX groups, so that one slow provider does not stand before the others.
CREATE INDEX shard_queued ON shard (lane, job, class, mx_group, id) WHERE state = 0;
CREATE INDEX shard_sent ON shard (lane, sent_at) WHERE state = 1;
CREATE INDEX shard_open ON shard (job, domain_no) WHERE state IN (0, 1, 3);
CREATE INDEX shard_job ON shard (job);

CREATE TABLE report (
	shard   bigint NOT NULL REFERENCES shard ON DELETE CASCADE,
	attempt int NOT NULL,
	part    int NOT NULL,
	body    bytea NOT NULL,            -- the Report message, unknown fields and all
	PRIMARY KEY (shard, attempt, part)
);

-- Final rows by reason; a sink writes only its own partition's lines, readers add them up.
CREATE TABLE job_count (
	job    bigint NOT NULL REFERENCES job ON DELETE CASCADE,
	sink   int NOT NULL,               -- partition of rollcall.reports; -1: planner; -2: leader
	reason smallint NOT NULL,
	n      bigint NOT NULL,
	PRIMARY KEY (job, sink, reason)
);

-- A broker that came back empty (another cluster id, or an end offset below ours) is a new generation; the newest one counts.
CREATE TABLE broker_generation (
	id      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	cluster text NOT NULL,
	since   timestamptz NOT NULL DEFAULT now()
);

-- Where the sink stands, in each generation of the broker.
CREATE TABLE sink_offset (
	generation int NOT NULL REFERENCES broker_generation ON DELETE CASCADE,
	partition  int NOT NULL,
	next       bigint NOT NULL,
	PRIMARY KEY (generation, partition)
);

CREATE TABLE lane (
	number         int PRIMARY KEY,    -- partition of rollcall.shards
	name           text NOT NULL UNIQUE,
	public_address text NOT NULL,
	bind_address   text NOT NULL,
	helo           text NOT NULL,
	mail_from      text NOT NULL,
	first_seen     timestamptz NOT NULL DEFAULT now(),
	last_seen      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE lane_lease (
	lane       int PRIMARY KEY REFERENCES lane,
	worker     text NOT NULL,
	machine    text NOT NULL,
	epoch      bigint NOT NULL,
	granted_at timestamptz NOT NULL,   -- the last grant
	expires_at timestamptz NOT NULL,
	returned   boolean NOT NULL DEFAULT false,
	confirmed  boolean NOT NULL DEFAULT false,   -- the worker has said that it works under this epoch
	generation int NOT NULL,           -- of the broker that from_offset belongs to
	from_offset bigint NOT NULL        -- where this epoch's shards begin
);

-- An MX group keeps its lane across attempts and jobs.
CREATE TABLE mx_group_lane (
	mx_group  text NOT NULL,
	slot      int NOT NULL DEFAULT 0,  -- 0..k-1 for a provider that is spread
	lane      int NOT NULL,
	chosen_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (mx_group, slot)
);

-- Servers that have asked a lane to slow down: nothing more is sent to them from there until then.
CREATE TABLE lane_hold (
	lane     int NOT NULL,
	mx_group text NOT NULL,
	until    timestamptz NOT NULL,
	PRIMARY KEY (lane, mx_group)
);

-- What is known of a domain, for every tenant: nothing here names a person.
CREATE TABLE domain_knowledge (
	domain        text PRIMARY KEY,
	resolution    bytea,
	resolved_at   timestamptz,
	ttl_s         int,
	control       smallint,            -- 1 the random control was refused, 2 accepted
	control_at    timestamptz,
	control_lane  int,
	accepted_at   timestamptz          -- when anything was last accepted there
);
