/*
 * world - who there is: domains, the servers (operators) behind them, their MX addresses, their
 * mailboxes, and the rows of the list that is made for them.
 *
 * Built once by generate.c and worldfile.c, then read only. Owner: main. Strings live in the
 * world's own blocks and go with mw_world_free(). Out of memory aborts.
 */
#ifndef MAILWORLD_WORLD_H
#define MAILWORLD_WORLD_H

#include "tests/mailworld/behaviour.h"
#include "tests/mailworld/hash.h"

#include <stdint.h>

enum { MW_NAME_MAX = 253, MW_NONE = UINT32_MAX };

/* A host with one address. Those of an operator follow each other. */
struct mw_host {
	const char *name;
	uint32_t ip;	    /* host order */
	const uint8_t *ip6; /* instead; NULL: none */
	uint32_t operator_;
	uint16_t preference;
	uint8_t name_len;
	bool listens;
	bool greets_421;
};

struct mw_operator {
	uint32_t first_host, hosts;
	uint8_t behaviour;
	uint8_t voice;
	uint8_t variant; /* which of two ways, where a behaviour has two */
};

struct mw_domain {
	const char *name;   /* lower case */
	const char *shown;  /* as the list spells it; NULL: by its name */
	uint32_t operator_; /* MW_NONE: no server */
	uint8_t name_len;
	uint8_t behaviour;
};

/* One line of the list. */
struct mw_row {
	const char *local; /* or the whole cell of a bad_syntax row */
	uint32_t domain;   /* MW_NONE: bad_syntax, blank */
	uint8_t behaviour;
	uint8_t answer; /* what the server will say in the end */
	bool spelled;	/* a duplicate or other spelling: capitals here and there */
	bool padded;	/* outer blanks in a quoted cell */
};

struct mw_world {
	uint64_t seed;
	uint32_t time_scale;
	uint32_t reply_delay_ms; /* every answer to a command leaves so much later */
	struct mw_domain *domains;
	struct mw_operator *operators;
	struct mw_host *hosts;
	struct mw_row *rows;
	size_t domain_count, operator_count, host_count, row_count;
	struct mw_table domain_names, host_names; /* a: index */
	uint64_t *mailboxes; /* open table: hash with the answer in the low 5 bits; 0: empty */
	size_t mailbox_room, mailbox_used;
	char **blocks; /* where the strings are */
	size_t block_count, block_used;
};

struct mw_world *mw_world_new(uint64_t seed, uint32_t time_scale);
void mw_world_free(struct mw_world *world);

char *mw_world_string(struct mw_world *world, const char *text, size_t len);

/* MW_NONE where the name is taken. Names are folded to lower case. */
uint32_t mw_world_add_domain(struct mw_world *world, const char *name, size_t len, int behaviour,
			     uint32_t operator_);
uint32_t mw_world_add_operator(struct mw_world *world, int behaviour, enum mw_voice voice,
			       uint8_t variant);
/* To the operator added last. `ip` 0: the next free loopback address. MW_NONE where the name is
 * taken. */
uint32_t mw_world_add_host(struct mw_world *world, const char *name, size_t len,
			   uint16_t preference, uint32_t ip, bool listens);
void mw_world_add_row(struct mw_world *world, const struct mw_row *row);
/* Makes the mailbox known, unless `answer` is MW_ABSENT. */
void mw_world_add_mailbox(struct mw_world *world, uint32_t domain, const char *local, size_t len,
			  enum mw_answer answer);

uint32_t mw_world_find_domain(const struct mw_world *world, const char *name, size_t len);
uint32_t mw_world_find_host(const struct mw_world *world, const char *name, size_t len);
/* What the mailbox itself would be answered: MW_ABSENT when it is not known. */
enum mw_answer mw_world_mailbox(const struct mw_world *world, uint32_t domain, const char *local,
				size_t len);

/* The truth of a row. */
const char *mw_row_status(const struct mw_world *world, const struct mw_row *row);
const char *mw_row_reason(const struct mw_world *world, const struct mw_row *row);

/* A wait of the simulated servers as it passes here: divided by the time scale. */
uint64_t mw_world_scaled_ms(const struct mw_world *world, uint64_t ms);

#endif
