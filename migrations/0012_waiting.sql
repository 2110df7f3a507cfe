-- What is looked for every few seconds among millions of rows that wait: rows whose shard is out, domains that are held, domains
-- whose look-up is out. Each index holds only those.
CREATE INDEX deferred_out ON deferred (job) WHERE shard IS NOT NULL;
CREATE INDEX job_domain_held ON job_domain (held_at) WHERE held_at IS NOT NULL;
DROP INDEX job_domain_todo;
CREATE INDEX job_domain_todo ON job_domain (job, state, due_at) WHERE state IN (0, 1, 4);

-- For the beginning of a job's queue only. Its condition, which is always true, keeps it from those who ask for one domain's rows:
-- while no statistics have been taken yet the planner believes it empty, and would walk all that is due of the job for each domain.
DROP INDEX deferred_job_due;
CREATE INDEX deferred_job_due ON deferred (job, due_at) WHERE shard IS NULL AND due_at > '-infinity';
