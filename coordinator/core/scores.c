/* See scores.h. */
#include "coordinator/core/scores.h"

#include <stdlib.h>
#include <string.h>

#include "common/reply/data_file.h"

enum { BUCKETS_MAX = 4096, PROVIDER_LEN = 63 };

struct bucket {
	enum rc_reason reason;
	char provider[PROVIDER_LEN + 1];
	int score;
};

struct scores {
	int by_reason[RC_REASON_COUNT]; /* -1: no line */
	struct bucket *buckets;		/* with a provider, sorted by reason */
	size_t n;
};

static bool has_score(enum rc_reason reason)
{
	return rc_reason_status(reason) != RC_RESULT_UNSET &&
	       rc_reason_status(reason) != RC_RESULT_SKIPPED;
}

/* "reason score" or "reason provider score"; what follows a # is its source. */
static enum rc_status read_line(struct rc_data_file *f, struct scores *s, struct rc_error *err)
{
	char *save = NULL, *words[4], *comment = strchr(f->text, '#'), *end;
	size_t n = 0;
	enum rc_reason reason;
	long score;
	struct bucket *more;

	if (comment)
		*comment = '\0';
	for (char *w = strtok_r(f->text, " \t", &save); w && n < 4;
	     w = strtok_r(NULL, " \t", &save))
		words[n++] = w;
	if (n != 2 && n != 3)
		return rc_data_file_wrong(f, err,
					  "a reason, perhaps a provider, and a score are expected");
	reason = rc_reason_find(words[0]);
	if (!has_score(reason))
		return rc_data_file_wrong(f, err, "there is no reason \"%s\" that has a score",
					  words[0]);
	score = strtol(words[n - 1], &end, 10);
	if (*end || score < 0 || score > 100)
		return rc_data_file_wrong(f, err, "a score is a number from 0 to 100, not \"%s\"",
					  words[n - 1]);
	if (n == 2) {
		if (s->by_reason[reason] >= 0)
			return rc_data_file_wrong(f, err, "%s has a score already", words[0]);
		s->by_reason[reason] = (int)score;
		return RC_OK;
	}
	if (strlen(words[1]) > PROVIDER_LEN)
		return rc_data_file_wrong(f, err, "no provider has a name of more than %d octets",
					  PROVIDER_LEN);
	for (size_t i = 0; i < s->n; i++)
		if (s->buckets[i].reason == reason && strcmp(s->buckets[i].provider, words[1]) == 0)
			return rc_data_file_wrong(f, err, "%s at %s has a score already", words[0],
						  words[1]);
	if (s->n == BUCKETS_MAX)
		return rc_data_file_wrong(f, err, "more than %d lines with a provider",
					  BUCKETS_MAX);
	more = realloc(s->buckets, (s->n + 1) * sizeof(*more));
	if (!more)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	s->buckets = more;
	more[s->n].reason = reason;
	more[s->n].score = (int)score;
	strcpy(more[s->n].provider, words[1]);
	s->n++;
	return RC_OK;
}

static enum rc_status read_all(struct rc_data_file *f, struct scores **ret_scores,
			       struct rc_error *err)
{
	struct scores *s = calloc(1, sizeof(*s));
	enum rc_status status = RC_OK;
	int more;

	if (!s)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	for (int i = 0; i < RC_REASON_COUNT; i++)
		s->by_reason[i] = -1;
	while (!status && (more = rc_data_file_next(f, err)) != 0)
		status = more < 0 ? RC_INVALID : read_line(f, s, err);
	for (int i = 1; !status && i < RC_REASON_COUNT; i++)
		if (has_score((enum rc_reason)i) && s->by_reason[i] < 0)
			status = rc_error_set(err, RC_INVALID, "%s:%u: the reason %s has no score",
					      f->name, f->line, rc_reason_name((enum rc_reason)i));
	if (status) {
		scores_free(s);
		return status;
	}
	*ret_scores = s;
	return RC_OK;
}

enum rc_status scores_load(const char *path, struct scores **ret_scores, struct rc_error *err)
{
	struct rc_data_file f;
	enum rc_status status = rc_data_file_open(&f, path, "scores", err);

	if (status)
		return status;
	status = read_all(&f, ret_scores, err);
	rc_data_file_done(&f);
	return status;
}

enum rc_status scores_parse(const char *name, const char *data, size_t len,
			    struct scores **ret_scores, struct rc_error *err)
{
	struct rc_data_file f;

	rc_data_file_init(&f, name, data, len);
	return read_all(&f, ret_scores, err);
}

void scores_free(struct scores *scores)
{
	if (!scores)
		return;
	free(scores->buckets);
	free(scores);
}

int scores_prior(const struct scores *scores, enum rc_reason reason, const char *provider)
{
	if (!scores || !has_score(reason))
		return -1;
	for (size_t i = 0; provider && i < scores->n; i++)
		if (scores->buckets[i].reason == reason &&
		    strcmp(scores->buckets[i].provider, provider) == 0)
			return scores->buckets[i].score;
	return scores->by_reason[reason];
}
