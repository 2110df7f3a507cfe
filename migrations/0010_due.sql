-- What is due is looked for job by job: the rows of a paused one then stand in nobody's way, however many they are.
CREATE INDEX deferred_job_due ON deferred (job, due_at) WHERE shard IS NULL;
DROP INDEX deferred_due;
