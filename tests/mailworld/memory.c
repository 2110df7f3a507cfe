/* See memory.h. Keys and times are those of the greylisters' own sources. */
#include "tests/mailworld/memory.h"

#define MINUTES *(60 * 1000ull)
#define HOURS *(3600 * 1000ull)
#define DAYS *(24 * 3600 * 1000ull)

enum { TAG_TUPLE = 1, TAG_CLIENT, TAG_THROTTLE, TAG_FICKLE, TAG_MET };

enum part { HELO = 1, SENDER = 2, FOLDED_SENDER = 4, RECIPIENT = 8 };

/*
 * A tuple that comes back no sooner than `wait` and no later than `window` after it was first seen
 * passes, and passes on until `kept` after its last pass; later, its clock starts anew. A retry
 * before its time costs `penalty` more.
 *
 * rspamd and OpenBSD's spamd answer after DATA in life; here they do at RCPT, so that whoever never
 * sends DATA meets them at all. That is the stricter world: there, every recipient would be
 * accepted at RCPT.
 */
static const struct greylister {
	uint64_t wait_ms, window_ms, kept_ms, penalty_ms;
	const char *words;
	uint8_t net_bits; /* of the client's address */
	uint8_t parts;	  /* enum part: what else is in the key */
} greylisters[MW_GREYLISTS] = {
	[MW_GREY_POSTGREY] = { 5 MINUTES, 2 DAYS, 35 DAYS, 0,
			       "450 4.2.0 <$a>: Recipient address rejected: Greylisted, "
			       "see http://postgrey.schweikert.ch/help/dom.html\r\n",
			       24, FOLDED_SENDER | RECIPIENT },
	[MW_GREY_SQLGREY] = { 5 MINUTES, 24 HOURS, 60 DAYS, 0,
			      "450 4.7.1 <$a>: Recipient address rejected: Greylisted for 5 "
			      "minutes\r\n",
			      24, SENDER | RECIPIENT },
	[MW_GREY_MILTER] = { 30 MINUTES, 5 DAYS, 1 DAYS, 0,
			     "451 4.7.1 Greylisting in action, please come back later\r\n", 32,
			     SENDER | RECIPIENT },
	[MW_GREY_RSPAMD] = { 5 MINUTES, 1 DAYS, 1 DAYS, 0, "451 4.7.1 Try again later\r\n", 19,
			     SENDER | RECIPIENT },
	[MW_GREY_SPAMD] = { 25 MINUTES, 4 HOURS, 36 DAYS, 0,
			    "451 Temporary failure, please try again later.\r\n", 32,
			    HELO | SENDER | RECIPIENT },
	[MW_GREY_CPANEL] = { 10 MINUTES, 4 HOURS, 3 DAYS, 0,
			     "450 Temporarily greylisted, please try again later\r\n", 32,
			     SENDER | RECIPIENT },
	[MW_GREY_PLESK] = { 5 MINUTES, 36 DAYS, 36 DAYS, 2 MINUTES,
			    "450 4.7.1 <$a>: Recipient address rejected: Greylisting in effect, "
			    "please come back later\r\n",
			    32, SENDER },
	[MW_GREY_MIMECAST] = { 1 MINUTES, 12 HOURS, 30 DAYS, 0,
			       "451 Internal resources are temporarily unavailable - "
			       "https://community.mimecast.com/docs/DOC-1369#451\r\n",
			       32, SENDER | RECIPIENT },
	[MW_GREY_HARAKA] = { 10 MINUTES, 12 HOURS, 30 DAYS, 0,
			     "451 4.7.1 Greylisted, please try again later\r\n", 32,
			     SENDER | RECIPIENT },
	[MW_GREY_SAYS_WHEN] = { 2 MINUTES, 4 HOURS, 1 DAYS, 0,
				"451 4.7.1 Greylisted, try again in 120 seconds\r\n", 32,
				RECIPIENT },
	[MW_GREY_GATEWAY] = { 5 MINUTES, 12 HOURS, 30 DAYS, 0,
			      "451 4.7.1 <$a>: Recipient temporarily deferred, please try again "
			      "later\r\n",
			      32, SENDER | RECIPIENT },
	[MW_GREY_POSTSCREEN] = { .words = "450 4.3.2 Service currently unavailable\r\n" },
	[MW_GREY_FOREVER] = { .words = "450 4.2.0 <$a>: Recipient address rejected: Greylisted, "
				       "see http://postgrey.schweikert.ch/help/dom.html\r\n" },
};

const char *mw_memory_words(enum mw_greylist kind)
{
	return greylisters[kind].words;
}

void mw_memory_init(struct mw_memory *memory, const struct mw_world *world, struct mw_stats *stats)
{
	*memory = (struct mw_memory){ .world = world, .stats = stats };
}

void mw_memory_done(struct mw_memory *memory)
{
	mw_table_done(&memory->greylist);
	mw_table_done(&memory->clients);
	mw_table_done(&memory->throttles);
	mw_table_done(&memory->fickle);
	mw_table_done(&memory->met);
	mw_table_done(&memory->hasty);
	mw_table_done(&memory->askers);
}

static uint64_t client_key(const struct mw_client *client, uint64_t tag)
{
	return mw_hash_mix(mw_hash_mix(client->ip, client->host), tag);
}

/* Who asked first for a greylisted recipient has to come back himself, and to the same host. */
static void watch_asker(struct mw_memory *memory, const struct mw_client *client,
			uint64_t recipient)
{
	uint64_t asker = mw_hash_mix(mw_hash_mix(client->ip, client->helo), client->sender);
	struct mw_entry *entry = mw_table_put(&memory->askers, recipient);

	if (!entry->b) {
		entry->a = asker;
		entry->b = client->host + 1u;
		return;
	}
	memory->stats->retries++;
	if (entry->a != asker)
		memory->stats->foreign_retries++;
	if (entry->b != client->host + 1u)
		memory->stats->other_mx_retries++;
}

static bool pass(struct mw_memory *memory, uint64_t recipient)
{
	struct mw_entry *asker = mw_table_get(&memory->askers, recipient);

	if (asker)
		asker->b = 0;
	memory->stats->greylist_passed++;
	return true;
}

/* postgrey's auto-whitelist: 5 passes of one exact address, at most one counted per hour. */
static bool client_known(struct mw_memory *memory, const struct mw_client *client)
{
	const struct mw_entry *entry =
	    mw_table_get(&memory->clients, client_key(client, TAG_CLIENT));

	return entry && entry->a >= 5;
}

static void client_passed(struct mw_memory *memory, const struct mw_client *client, uint64_t now_ms)
{
	struct mw_entry *entry = mw_table_put(&memory->clients, client_key(client, TAG_CLIENT));

	if (entry->a && now_ms - entry->b < mw_world_scaled_ms(memory->world, 1 HOURS))
		return;
	entry->a++;
	entry->b = now_ms;
}

static uint64_t tuple_key(const struct greylister *greylister, const struct mw_client *client,
			  uint64_t recipient)
{
	uint64_t key = mw_hash_mix(client->ip >> (32 - greylister->net_bits),
				   mw_hash_mix(client->host, TAG_TUPLE));

	if (greylister->parts & HELO)
		key = mw_hash_mix(key, client->helo);
	if (greylister->parts & SENDER)
		key = mw_hash_mix(key, client->sender);
	if (greylister->parts & FOLDED_SENDER)
		key = mw_hash_mix(key, client->sender_key);
	if (greylister->parts & RECIPIENT)
		key = mw_hash_mix(key, recipient);
	return key;
}

/* For a session that comes too early, once: its other recipients are no retries. */
static uint64_t penalty(struct mw_memory *memory, const struct greylister *greylister,
			const struct mw_client *client, uint64_t key)
{
	struct mw_entry *last;

	if (!greylister->penalty_ms)
		return 0;
	last = mw_table_put(&memory->hasty, key);
	if (last->a == client->session)
		return 0;
	last->a = client->session;
	return mw_world_scaled_ms(memory->world, greylister->penalty_ms);
}

static bool tuple_passes(struct mw_memory *memory, const struct greylister *greylister,
			 const struct mw_client *client, uint64_t recipient, uint64_t now_ms)
{
	const struct mw_world *world = memory->world;
	uint64_t key = tuple_key(greylister, client, recipient);
	struct mw_entry *entry = mw_table_put(&memory->greylist, key);
	uint64_t wait_ms = mw_world_scaled_ms(world, greylister->wait_ms);

	if (entry->b && now_ms - entry->b < mw_world_scaled_ms(world, greylister->kept_ms)) {
		entry->b = now_ms;
		return true;
	}
	watch_asker(memory, client, recipient);
	/* `a` is the time from which `wait_ms` counts; a penalty moves it. */
	if (!entry->a || entry->b ||
	    (now_ms > entry->a &&
	     now_ms - entry->a > mw_world_scaled_ms(world, greylister->window_ms))) {
		memory->stats->greylist_restarts += entry->a && !entry->b;
		entry->a = now_ms;
		entry->b = 0;
		if (greylister->penalty_ms)
			mw_table_put(&memory->hasty, key)->a = client->session;
		return false;
	}
	if (now_ms < entry->a + wait_ms) {
		entry->a += penalty(memory, greylister, client, key);
		memory->stats->greylist_early++;
		return false;
	}
	entry->b = now_ms;
	return pass(memory, recipient);
}

bool mw_memory_greylist(struct mw_memory *memory, enum mw_greylist kind,
			const struct mw_client *client, uint64_t recipient, uint64_t now_ms)
{
	const struct mw_entry *known;
	bool passes;

	switch (kind) {
	case MW_GREY_NONE:
		return true;
	case MW_GREY_FOREVER:
		watch_asker(memory, client, recipient);
		return false;
	case MW_GREY_POSTSCREEN:
		known = mw_table_get(&memory->clients, client_key(client, TAG_CLIENT));
		if (known && known->a)
			return true;
		watch_asker(memory, client, recipient);
		return false;
	case MW_GREY_POSTGREY:
		break;
	default:
		return tuple_passes(memory, &greylisters[kind], client, recipient, now_ms);
	}
	if (client_known(memory, client))
		return pass(memory, recipient);
	passes = tuple_passes(memory, &greylisters[kind], client, recipient, now_ms);
	if (passes)
		client_passed(memory, client, now_ms);
	return passes;
}

void mw_memory_postscreen_over(struct mw_memory *memory, const struct mw_client *client,
			       uint64_t now_ms)
{
	struct mw_entry *entry = mw_table_put(&memory->clients, client_key(client, TAG_CLIENT));

	entry->a = 1;
	entry->b = now_ms;
}

/* Whether the source has had `most` recipients at this host, and waits. */
static bool had_its_share(struct mw_memory *memory, const struct mw_client *client, uint64_t most,
			  uint64_t now_ms)
{
	struct mw_entry *entry = mw_table_put(&memory->throttles, client_key(client, TAG_THROTTLE));

	if (entry->b) {
		if (now_ms < entry->b)
			return true;
		entry->a = entry->b = 0;
	}
	if (++entry->a <= most)
		return false;
	entry->b = now_ms + mw_world_scaled_ms(memory->world, MW_THROTTLE_WINDOW_MS) + 1;
	return true;
}

bool mw_memory_throttle(struct mw_memory *memory, const struct mw_client *client, uint64_t now_ms)
{
	uint32_t operator_ = memory->world->hosts[client->host].operator_;
	uint16_t after =
	    mw_behaviours[memory->world->operators[operator_].behaviour].throttle_after;

	return !had_its_share(memory, client, after ? after : MW_THROTTLE_AFTER, now_ms);
}

bool mw_memory_fickle(struct mw_memory *memory, const struct mw_client *client, uint64_t now_ms)
{
	struct mw_entry *entry = mw_table_put(&memory->fickle, client_key(client, TAG_FICKLE));

	if (entry->a && now_ms - entry->a >= mw_world_scaled_ms(memory->world, MW_FICKLE_LULL_MS))
		entry->b = 1;
	entry->a = now_ms ? now_ms : 1;
	return !entry->b;
}

bool mw_memory_starves(struct mw_memory *memory, const struct mw_client *client, uint64_t now_ms)
{
	return had_its_share(memory, client, MW_STARVE_AFTER, now_ms);
}

uint32_t mw_memory_ordinal(struct mw_memory *memory, const struct mw_client *client)
{
	return (uint32_t)++mw_table_put(&memory->met, client_key(client, TAG_MET))->a;
}
