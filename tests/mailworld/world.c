/* See world.h. */
#include "tests/mailworld/world.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 1 << 18, ANSWER_BITS = 31 };

_Static_assert((int)MW_ANSWERS <= (int)ANSWER_BITS, "an answer must fit into 5 bits");

struct mw_world *mw_world_new(uint64_t seed, uint32_t time_scale)
{
	struct mw_world *world = mw_alloc(1, sizeof(*world));

	world->seed = seed;
	world->time_scale = time_scale ? time_scale : 1;
	return world;
}

void mw_world_free(struct mw_world *world)
{
	if (!world)
		return;
	for (size_t i = 0; i < world->block_count; i++)
		free(world->blocks[i]);
	free(world->blocks);
	free(world->domains);
	free(world->operators);
	free(world->hosts);
	free(world->rows);
	free(world->mailboxes);
	mw_table_done(&world->domain_names);
	mw_table_done(&world->host_names);
	free(world);
}

char *mw_world_string(struct mw_world *world, const char *text, size_t len)
{
	char *copy;

	if (!world->block_count || world->block_used + len + 1 > BLOCK_SIZE) {
		world->blocks = mw_grow(world->blocks, world->block_count, sizeof(*world->blocks));
		world->blocks[world->block_count++] =
		    mw_alloc(1, len + 1 > BLOCK_SIZE ? len + 1 : BLOCK_SIZE);
		world->block_used = 0;
	}
	copy = world->blocks[world->block_count - 1] + world->block_used;
	memcpy(copy, text, len);
	copy[len] = '\0';
	world->block_used += len + 1;
	return copy;
}

static char *lower_string(struct mw_world *world, const char *text, size_t len)
{
	char *copy = mw_world_string(world, text, len);

	for (size_t i = 0; i < len; i++)
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] | 0x20);
	return copy;
}

static uint32_t find(const struct mw_table *table, const char *name, size_t len)
{
	const struct mw_entry *entry = mw_table_get(table, mw_hash_fold(name, len, 0));

	return entry ? (uint32_t)entry->a : MW_NONE;
}

uint32_t mw_world_find_domain(const struct mw_world *world, const char *name, size_t len)
{
	return find(&world->domain_names, name, len);
}

uint32_t mw_world_find_host(const struct mw_world *world, const char *name, size_t len)
{
	return find(&world->host_names, name, len);
}

uint32_t mw_world_add_domain(struct mw_world *world, const char *name, size_t len, int behaviour,
			     uint32_t operator_)
{
	if (len > MW_NAME_MAX || mw_world_find_domain(world, name, len) != MW_NONE)
		return MW_NONE;
	world->domains = mw_grow(world->domains, world->domain_count, sizeof(*world->domains));
	world->domains[world->domain_count] = (struct mw_domain){
		.name = lower_string(world, name, len),
		.name_len = (uint8_t)len,
		.behaviour = (uint8_t)behaviour,
		.operator_ = operator_,
	};
	mw_table_put(&world->domain_names, mw_hash_fold(name, len, 0))->a = world->domain_count;
	return (uint32_t)world->domain_count++;
}

uint32_t mw_world_add_operator(struct mw_world *world, int behaviour, enum mw_voice voice,
			       uint8_t variant)
{
	world->operators =
	    mw_grow(world->operators, world->operator_count, sizeof(*world->operators));
	world->operators[world->operator_count] = (struct mw_operator){
		.first_host = (uint32_t)world->host_count,
		.behaviour = (uint8_t)behaviour,
		.voice = (uint8_t)voice,
		.variant = variant,
	};
	return (uint32_t)world->operator_count++;
}

/* 127.100.0.1 onwards, without last octets of 0 and 251 to 255. */
static uint32_t loopback_address(size_t n)
{
	return 127u << 24 | (uint32_t)(100 + n / 62500) << 16 | (uint32_t)(n / 250 % 250) << 8 |
	       (uint32_t)(n % 250 + 1);
}

uint32_t mw_world_add_host(struct mw_world *world, const char *name, size_t len,
			   uint16_t preference, uint32_t ip, bool listens)
{
	if (len > MW_NAME_MAX || mw_world_find_host(world, name, len) != MW_NONE)
		return MW_NONE;
	world->hosts = mw_grow(world->hosts, world->host_count, sizeof(*world->hosts));
	world->hosts[world->host_count] = (struct mw_host){
		.name = lower_string(world, name, len),
		.name_len = (uint8_t)len,
		.ip = ip ? ip : loopback_address(world->host_count),
		.operator_ = (uint32_t)world->operator_count - 1,
		.preference = preference,
		.listens = listens,
	};
	world->operators[world->operator_count - 1].hosts++;
	mw_table_put(&world->host_names, mw_hash_fold(name, len, 0))->a = world->host_count;
	return (uint32_t)world->host_count++;
}

void mw_world_add_row(struct mw_world *world, const struct mw_row *row)
{
	world->rows = mw_grow(world->rows, world->row_count, sizeof(*world->rows));
	world->rows[world->row_count++] = *row;
}

static uint64_t mailbox_key(uint32_t domain, const char *local, size_t len)
{
	return mw_hash_fold(local, len, mw_hash_mix(domain, 1)) & ~(uint64_t)ANSWER_BITS;
}

static void insert_mailbox(uint64_t *table, size_t room, uint64_t value)
{
	size_t i = (value >> 5) & (room - 1);

	while (table[i])
		i = (i + 1) & (room - 1);
	table[i] = value;
}

void mw_world_add_mailbox(struct mw_world *world, uint32_t domain, const char *local, size_t len,
			  enum mw_answer answer)
{
	if (answer == MW_ABSENT || mw_world_mailbox(world, domain, local, len) != MW_ABSENT)
		return;
	if (world->mailbox_used * 2 >= world->mailbox_room) {
		size_t room = world->mailbox_room ? world->mailbox_room * 2 : 1024;
		uint64_t *larger = mw_alloc(room, sizeof(*larger));

		for (size_t i = 0; i < world->mailbox_room; i++)
			if (world->mailboxes[i])
				insert_mailbox(larger, room, world->mailboxes[i]);
		free(world->mailboxes);
		world->mailboxes = larger;
		world->mailbox_room = room;
	}
	insert_mailbox(world->mailboxes, world->mailbox_room,
		       mailbox_key(domain, local, len) | (uint64_t)answer);
	world->mailbox_used++;
}

enum mw_answer mw_world_mailbox(const struct mw_world *world, uint32_t domain, const char *local,
				size_t len)
{
	uint64_t key = mailbox_key(domain, local, len);

	if (!world->mailbox_room)
		return MW_ABSENT;
	for (size_t i = (key >> 5) & (world->mailbox_room - 1); world->mailboxes[i];
	     i = (i + 1) & (world->mailbox_room - 1))
		if ((world->mailboxes[i] & ~(uint64_t)ANSWER_BITS) == key)
			return (enum mw_answer)(world->mailboxes[i] & ANSWER_BITS);
	return MW_ABSENT;
}

/* The domain's row decides, then the mailbox's answer. */
static const struct mw_behaviour *decisive(const struct mw_world *world, const struct mw_row *row)
{
	if (row->domain == MW_NONE)
		return &mw_behaviours[row->behaviour];
	return &mw_behaviours[world->domains[row->domain].behaviour];
}

const char *mw_row_status(const struct mw_world *world, const struct mw_row *row)
{
	const struct mw_behaviour *behaviour = decisive(world, row);

	if (behaviour->status)
		return behaviour->status;
	return mw_answer_status((enum mw_answer)row->answer,
				mw_is_role(row->local, strlen(row->local)));
}

const char *mw_row_reason(const struct mw_world *world, const struct mw_row *row)
{
	const struct mw_behaviour *behaviour = decisive(world, row);

	if (behaviour->reason)
		return behaviour->reason;
	return mw_answer_reason((enum mw_answer)row->answer,
				mw_is_role(row->local, strlen(row->local)));
}

uint64_t mw_world_scaled_ms(const struct mw_world *world, uint64_t ms)
{
	return ms / world->time_scale;
}
