-- Of a domain of a job: whether its servers were seen to refuse whomever we asked for, and the uid of the last row that was accepted, who is
-- asked for once more behind a run of refusals (docs/verdicts.md). The item has the address; where that was erased there is no witness.
ALTER TABLE job_domain ADD COLUMN doubted boolean NOT NULL DEFAULT false, ADD COLUMN witness bigint;
