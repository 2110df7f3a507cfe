/*
 * shards - the record of what is queued, sent and done, as the leader uses it.
 *
 * Results are read by column number: the enums below. Only the leader calls these, on the
 * connection that holds its lock.
 */
#ifndef COORDINATOR_STORE_SHARDS_H
#define COORDINATOR_STORE_SHARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/status.h"

struct db;
struct db_result;

enum { SHARDS_HEAL_S = 360, SHARDS_LANE_GONE_S = 120 };

/* Which queues there are at all: lane, job, class, tenant of running jobs. A walk over the index,
 * not over the queue. */
enum { QUEUE_LANE, QUEUE_JOB, QUEUE_CLASS, QUEUE_TENANT };
enum rc_status shards_queues(struct db *db, struct db_result **ret_result,
			     struct rc_error *err) RC_MUST_CHECK;

/* One queue's next page, in order of MX group and id, behind (`group`, `id`). */
enum { QUEUED_ID, QUEUED_N, QUEUED_GROUP, QUEUED_URGENT, QUEUED_PROVIDER, QUEUED_BEGUN };
enum rc_status shards_page(struct db *db, uint32_t lane, int64_t job, int class, const char *group,
			   uint64_t id, int limit, struct db_result **ret_result,
			   struct rc_error *err) RC_MUST_CHECK;

/* Marks them as sent: `ids` and `epochs` are array literals. What does not come back is not queued
 * any more. */
enum {
	SENT_ID,
	SENT_JOB,
	SENT_KIND,
	SENT_LANE,
	SENT_ATTEMPT,
	SENT_EPOCH,
	SENT_GROUP,
	SENT_BYPASS,
	SENT_MX_HOST,
	SENT_MX_ADDRESS,
	SENT_CONTROL_LOCAL,
	SENT_NEED_CONTROL,
	SENT_TABLE_SET,
	SENT_DOMAIN,
	SENT_PROVIDER,
	SENT_RESOLUTION,
	SENT_CONTROL,
	SENT_CONTROL_AGE_S,
	SENT_CONTROL_LANE,
	SENT_GREYLISTS, /* its MX group was seen to, or has accepted nobody yet: it may */
	SENT_DOUBTED,
	SENT_WITNESSED,
	SENT_CONTROL_HOST
};
enum rc_status shards_send(struct db *db, const struct rc_buf *ids, const struct rc_buf *epochs,
			   struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;
/* Of each shard the rows that still have no answer: shard, uid, local, attempt to be made. In order
 * of shard and uid. */
enum { RECIPIENT_SHARD, RECIPIENT_UID, RECIPIENT_LOCAL, RECIPIENT_ATTEMPT };
enum rc_status shards_recipients(struct db *db, const char *table_set, const struct rc_buf *ids,
				 struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;
/* Of each probe shard whose domain has one, its witness: shard, local part. */
enum rc_status shards_witnesses(struct db *db, const char *table_set, const struct rc_buf *ids,
				struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;
/* Of each resolve shard the domains that still wait for it: shard, domain. */
enum rc_status shards_domains(struct db *db, const struct rc_buf *ids,
			      struct db_result **ret_result, struct rc_error *err) RC_MUST_CHECK;
/* There was nothing left to send in them. */
enum rc_status shards_done(struct db *db, const struct rc_buf *ids,
			   struct rc_error *err) RC_MUST_CHECK;

/* Of `ids` (array literal) those that are in flight no more. One column. */
enum rc_status shards_landed(struct db *db, const struct rc_buf *ids, struct db_result **ret_result,
			     struct rc_error *err) RC_MUST_CHECK;

/* Back to the queue. One column: ids. */
enum rc_status shards_heal(struct db *db, struct db_result **ret_result,
			   struct rc_error *err) RC_MUST_CHECK;
enum rc_status shards_requeue_lane(struct db *db, uint32_t lane, int64_t *ret_count,
				   struct rc_error *err) RC_MUST_CHECK;
enum rc_status shards_requeue_all(struct db *db, int64_t *ret_count,
				  struct rc_error *err) RC_MUST_CHECK;
/* These were not taken by Kafka after all. */
enum rc_status shards_unsend(struct db *db, const struct rc_buf *ids,
			     struct rc_error *err) RC_MUST_CHECK;

/* What waits for lane `from` and has never been sent goes to one of the lanes `to` (array literal);
 * with `all` (its identity is gone for good) everything does, and starts anew. Table lane_move
 * keeps each row's move. */
enum rc_status shards_move(struct db *db, uint32_t from, const struct rc_buf *to, bool all,
			   const char *why, int64_t *ret_moved, int64_t *ret_restarted,
			   struct rc_error *err) RC_MUST_CHECK;
/* Only what is to be looked up, which any lane can do. `to`: as with shards_move(). */
enum rc_status shards_move_lookups(struct db *db, uint32_t from, const struct rc_buf *to,
				   int64_t *ret_count, struct rc_error *err) RC_MUST_CHECK;
/* The wall clock was set by `jump_ms` at `before_ms` of the old time: what was written by the old
 * one and waits moves along. Rows of the second after it may be either, and move too. */
enum rc_status shards_clock_moved(struct db *db, int64_t jump_ms, int64_t before_ms,
				  struct rc_error *err) RC_MUST_CHECK;

/* Domains to look up, a few hundred a job: columns below. */
enum {
	TODO_JOB,
	TODO_DOMAIN_NO,
	TODO_DOMAIN,
	TODO_FIRST_UID,
	TODO_N,
	TODO_STATE,
	TODO_ATTEMPTS,
	TODO_FIRST_AT,
	TODO_INTERACTIVE,
	TODO_TABLE_SET,
	TODO_KNOWN
};
enum rc_status shards_domains_todo(struct db *db, struct db_result **ret_result,
				   struct rc_error *err) RC_MUST_CHECK;
/* One resolve shard; `domain_nos`: array literal of `n`. */
enum rc_status shards_add_resolve(struct db *db, int64_t job, int class, uint32_t lane,
				  const struct rc_buf *domain_nos, uint32_t n, bool bypass_cache,
				  struct rc_error *err) RC_MUST_CHECK;

#endif
