-- Lanes: what their workers say of them, what an operator wants of them, how the servers receive them, and what has moved.
--
-- Writers: leader (lane_offer, mx_group_pause, lane_day, lane_move, and lane_hold's probation), sink (lane_hold), http (draining).

ALTER TABLE lane ADD COLUMN draining_at timestamptz;   -- no new work since then: what has begun there ends there

-- What each worker that offers a lane said of it last. Forgotten an hour after its last hello.
CREATE TABLE lane_offer (
	name       text NOT NULL,
	worker     text NOT NULL,
	seen_at    timestamptz NOT NULL,
	since      timestamptz NOT NULL,   -- of `refused`
	refused    text NOT NULL,          -- why it was not granted; '' it was
	fitness    smallint NOT NULL,      -- proto's LaneFitness
	checked_at timestamptz,            -- when doctor looked last
	findings   jsonb NOT NULL DEFAULT '[]',  -- what was not well then: check, result, text
	PRIMARY KEY (name, worker)
);

-- How an MX group receives a lane, where not well: slow until then, blocked until then, on probation from then on. No line: well.
ALTER TABLE lane_hold
	ADD COLUMN health smallint NOT NULL DEFAULT 1,     -- 1 slow, 2 blocked, 3 probation
	ADD COLUMN since timestamptz NOT NULL DEFAULT now(),
	ADD COLUMN strikes int NOT NULL DEFAULT 0,         -- blocks in a row: each holds twice as long
	ADD COLUMN why text NOT NULL DEFAULT '';           -- what the server said

-- An MX group that the whole fleet leaves alone: several lanes were blocked there within an hour.
CREATE TABLE mx_group_pause (
	mx_group text PRIMARY KEY,
	since    timestamptz NOT NULL DEFAULT now(),
	until    timestamptz NOT NULL,
	lanes    int NOT NULL,             -- how many
	why      text NOT NULL
);

-- Recipients sent from a lane that is warming up, by days since it was first seen.
CREATE TABLE lane_day (
	lane int NOT NULL REFERENCES lane,
	day  int NOT NULL,                 -- from 0
	sent bigint NOT NULL,
	PRIMARY KEY (lane, day)
);

-- What went to another lane, and where a greylister's clock began anew by that.
CREATE TABLE lane_move (
	id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at        timestamptz NOT NULL DEFAULT now(),
	job       bigint NOT NULL REFERENCES job ON DELETE CASCADE,
	domain_no int,                     -- null: look-ups
	mx_group  text NOT NULL DEFAULT '',
	from_lane int NOT NULL,
	to_lane   int NOT NULL,
	n         bigint NOT NULL,         -- recipients, or domains
	restarted boolean NOT NULL,        -- they had been asked for: to their greylister the new lane is a stranger
	why       text NOT NULL            -- draining, gone
);
CREATE INDEX lane_move_domain ON lane_move (job, domain_no);
CREATE INDEX lane_move_at ON lane_move (at);
