/* See memory.h. Keys and times are those of the greylisters' own sources. */
#include "tests/mailworld/memory.h"

enum { TAG_TUPLE = 1, TAG_CLIENT, TAG_THROTTLE };

static const uint64_t hour_ms = 3600 * 1000, day_ms = 24 * 3600 * 1000;

void mw_memory_init(struct mw_memory *memory, const struct mw_world *world, struct mw_stats *stats)
{
	*memory = (struct mw_memory){ .world = world, .stats = stats };
}

void mw_memory_done(struct mw_memory *memory)
{
	mw_table_done(&memory->greylist);
	mw_table_done(&memory->clients);
	mw_table_done(&memory->throttles);
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

	if (entry->a && now_ms - entry->b < mw_world_scaled_ms(memory->world, hour_ms))
		return;
	entry->a++;
	entry->b = now_ms;
}

static bool tuple_passes(struct mw_memory *memory, const struct mw_client *client, uint64_t key,
			 uint64_t recipient, uint64_t wait_ms, uint64_t window_ms, uint64_t kept_ms,
			 uint64_t now_ms)
{
	struct mw_entry *entry = mw_table_put(&memory->greylist, key);

	if (entry->b && now_ms - entry->b < kept_ms) {
		entry->b = now_ms;
		return true;
	}
	watch_asker(memory, client, recipient);
	if (!entry->a || entry->b || now_ms - entry->a > window_ms) {
		entry->a = now_ms;
		entry->b = 0;
		return false;
	}
	if (now_ms - entry->a < wait_ms)
		return false;
	entry->b = now_ms;
	return pass(memory, recipient);
}

bool mw_memory_greylist(struct mw_memory *memory, enum mw_greylist kind,
			const struct mw_client *client, uint64_t recipient, uint64_t now_ms)
{
	const struct mw_world *world = memory->world;
	uint64_t net = kind == MW_GREY_POSTGREY ? client->ip >> 8 : client->ip;
	uint64_t sender = kind == MW_GREY_POSTGREY ? client->sender_key : client->sender;
	uint64_t key = mw_hash_mix(mw_hash_mix(mw_hash_mix(net, sender), recipient),
				   mw_hash_mix(client->host, TAG_TUPLE));
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
	case MW_GREY_MILTER:
		return tuple_passes(memory, client, key, recipient,
				    mw_world_scaled_ms(world, MW_MILTER_MS),
				    mw_world_scaled_ms(world, 5 * day_ms),
				    mw_world_scaled_ms(world, day_ms), now_ms);
	case MW_GREY_POSTGREY:
		break;
	}
	if (client_known(memory, client))
		return pass(memory, recipient);
	passes = tuple_passes(
	    memory, client, key, recipient, mw_world_scaled_ms(world, MW_POSTGREY_MS),
	    mw_world_scaled_ms(world, 2 * day_ms), mw_world_scaled_ms(world, 35 * day_ms), now_ms);
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

bool mw_memory_throttle(struct mw_memory *memory, const struct mw_client *client, uint64_t now_ms)
{
	struct mw_entry *entry = mw_table_put(&memory->throttles, client_key(client, TAG_THROTTLE));

	if (entry->b) {
		if (now_ms < entry->b)
			return false;
		entry->a = entry->b = 0;
	}
	if (++entry->a <= MW_THROTTLE_AFTER)
		return true;
	entry->b = now_ms + mw_world_scaled_ms(memory->world, MW_THROTTLE_WINDOW_MS) + 1;
	return false;
}
