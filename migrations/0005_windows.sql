-- What the greylisters behind an MX group were seen to want (coordinator/core/window.h): for all tenants, as nothing here names a person.
-- The wait that they want lies between too_early_s and enough_s (seconds from a recipient's first attempt; 0: not seen yet).
CREATE TABLE greylist_window (
	mx_group      text PRIMARY KEY,
	too_early_s   bigint NOT NULL,
	enough_s      bigint NOT NULL,
	passes        bigint NOT NULL,
	refusals      bigint NOT NULL,
	late          int NOT NULL,       -- refusals in a row after a wait that had been enough
	key           smallint NOT NULL,  -- 0 not known, 1 by recipient, 2 by client alone
	seen_at       timestamptz NOT NULL,
	passed_domain text                -- whose rows were let through last
);
