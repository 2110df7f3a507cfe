-- Whom a tenant never mails: own lists by upload, and explicit refusals of jobs that ask for it (suppress_invalid).
--
-- Writers: http (uploads, removals), planner (suppress_invalid, once a job has ended). Readers: planner, http.
CREATE TABLE suppression (
	id       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
	tenant   int NOT NULL REFERENCES tenant ON DELETE CASCADE,
	client   text NOT NULL,          -- one of the tenant's customers; '' all of them
	domain   text NOT NULL,          -- A-label
	local    text NOT NULL,          -- ASCII in lower case; '' every mailbox of the domain
	reason   smallint,               -- of the refusal; null: uploaded
	job      text,                   -- public id of the job that was refused; null: uploaded
	added_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant, domain, local, client)
);
CREATE INDEX suppression_listed ON suppression (tenant, id);

ALTER TABLE job ADD COLUMN suppressed_at timestamptz;  -- suppress_invalid: its refusals are on the list
CREATE INDEX job_to_suppress ON job (id) WHERE suppress_invalid AND suppressed_at IS NULL;
