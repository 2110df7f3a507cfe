-- Why a domain of a job is a risk, as far as its mail servers tell (coordinator/core/risk.h), and how long we know domains at all.
ALTER TABLE job_domain ADD COLUMN risk smallint NOT NULL DEFAULT 0;
CREATE INDEX domain_knowledge_first_seen ON domain_knowledge (first_seen);
