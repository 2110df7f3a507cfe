/* See scores.h. */
#include "coordinator/core/scores.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/reply/data_file.h"
#include "common/reply/providers.h"

enum {
	LINES_MAX = 4096,
	NAME_LEN = 63,
	GROUPS_MAX = 32,
	MEMBERS_MAX = 512,
	WORDS_MAX = 64,
	STRENGTH_MAX = 1000
};

/* How much a line says of whom it is for: the more, the sooner it speaks. */
enum { OF_EVIDENCE = 1, OF_GROUP = 2, OF_PROVIDER = 4 };

struct line {
	enum rc_reason reason;
	unsigned weight;
	char
	    who[NAME_LEN + 1]; /* "": anybody; a provider; "-": no profile; with OF_GROUP a group */
	enum score_evidence evidence; /* with OF_EVIDENCE */
	int score;
};

struct member {
	char group[NAME_LEN + 1], provider[NAME_LEN + 1];
};

struct scores {
	struct line *lines; /* by reason, the weightier first */
	size_t n;
	size_t first[RC_REASON_COUNT + 1]; /* of a reason's lines */
	struct member members[MEMBERS_MAX];
	size_t member_count;
	int strength, listed_share; /* -1: no line yet */
};

/* What a line is read with. */
struct reader {
	struct rc_data_file *f;
	const struct rc_providers *providers;
	struct scores *s;
	struct rc_error *err;
};

static const char *const evidence_names[SCORE_EVIDENCE_COUNT] = {
	[SCORE_EVIDENCE_PLAIN] = "",
	[SCORE_EVIDENCE_FRESH] = "fresh",
	[SCORE_EVIDENCE_REMEMBERED] = "remembered",
	[SCORE_EVIDENCE_GREYLISTED] = "greylisted",
	[SCORE_EVIDENCE_ROLE] = "role",
	[SCORE_EVIDENCE_NAMED] = "named",
	[SCORE_EVIDENCE_NAMELESS] = "nameless",
	[SCORE_EVIDENCE_LASTING] = "lasting",
	[SCORE_EVIDENCE_PASSING] = "passing",
	[SCORE_EVIDENCE_UNASKED] = "unasked",
	[SCORE_EVIDENCE_KNOWN_GOOD] = "known_good",
	[SCORE_EVIDENCE_KNOWN_BAD] = "known_bad",
};

const char *score_evidence_name(enum score_evidence evidence)
{
	return (unsigned)evidence < SCORE_EVIDENCE_COUNT ? evidence_names[evidence] : "";
}

int score_evidence_find(const char *name)
{
	for (int i = 0; i < SCORE_EVIDENCE_COUNT; i++)
		if (strcmp(evidence_names[i], name) == 0)
			return i;
	return -1;
}

static bool has_score(enum rc_reason reason)
{
	return rc_reason_status(reason) != RC_RESULT_UNSET &&
	       rc_reason_status(reason) != RC_RESULT_SKIPPED;
}

/* ------------------------------------------------------------------------------------------------
 * reading */

static bool is_group(const struct scores *s, const char *name)
{
	for (size_t i = 0; i < s->member_count; i++)
		if (strcmp(s->members[i].group, name) == 0)
			return true;
	return false;
}

static enum rc_status check_provider(const struct reader *r, const char *name)
{
	if (strlen(name) > NAME_LEN)
		return rc_data_file_wrong(
		    r->f, r->err, "no provider has a name of more than %d octets", NAME_LEN);
	if (r->providers && (!rc_providers_find(r->providers, name) || !strcmp(name, "default")))
		return rc_data_file_wrong(r->f, r->err, "there is no provider \"%s\" in providers",
					  name);
	return RC_OK;
}

/* "@gateway = proofpoint mimecast" */
static enum rc_status read_group(const struct reader *r, char **words, size_t n)
{
	struct scores *s = r->s;
	const char *name = words[0] + 1;
	enum rc_status status = RC_OK;

	if (n < 3 || strcmp(words[1], "=") != 0 || !*name || strlen(name) > NAME_LEN)
		return rc_data_file_wrong(r->f, r->err,
					  "a group is written \"@name = provider provider ...\"");
	if (is_group(s, name))
		return rc_data_file_wrong(r->f, r->err, "there is a group @%s already", name);
	for (size_t i = 2; i < n && !status; i++) {
		status = check_provider(r, words[i]);
		for (size_t k = 0; k < s->member_count && !status; k++)
			if (strcmp(s->members[k].provider, words[i]) == 0)
				status = rc_data_file_wrong(r->f, r->err,
							    "%s is in the group @%s already",
							    words[i], s->members[k].group);
		if (!status && s->member_count == MEMBERS_MAX)
			status =
			    rc_data_file_wrong(r->f, r->err, "more than %d in groups", MEMBERS_MAX);
		if (status)
			return status;
		snprintf(s->members[s->member_count].group, NAME_LEN + 1, "%s", name);
		snprintf(s->members[s->member_count].provider, NAME_LEN + 1, "%s", words[i]);
		s->member_count++;
	}
	return status;
}

static enum rc_status read_number(const struct reader *r, const char *text, long max, int *ret)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (!*text || *end || value < 0 || value > max)
		return rc_data_file_wrong(
		    r->f, r->err, "a number from 0 to %ld is expected, not \"%s\"", max, text);
	*ret = (int)value;
	return RC_OK;
}

static enum rc_status read_setting(const struct reader *r, char **words, size_t n)
{
	bool strength = strcmp(words[0], "prior_strength") == 0;
	int *value = strength ? &r->s->strength : &r->s->listed_share;

	if (n != 2)
		return rc_data_file_wrong(r->f, r->err, "%s takes one number", words[0]);
	if (*value >= 0)
		return rc_data_file_wrong(r->f, r->err, "%s was said before", words[0]);
	return read_number(r, words[1], strength ? STRENGTH_MAX : 100, value);
}

/* Whom the line is for: the words between reason and score. */
static enum rc_status read_who(const struct reader *r, char **words, size_t n, struct line *line)
{
	for (size_t i = 0; i < n; i++) {
		const char *word = words[i];
		int evidence;

		if (*word == '+') {
			evidence = score_evidence_find(word + 1);
			if (evidence <= SCORE_EVIDENCE_PLAIN || line->weight & OF_EVIDENCE)
				return rc_data_file_wrong(
				    r->f, r->err, "there is no evidence \"%s\", or two of them",
				    word);
			line->evidence = (enum score_evidence)evidence;
			line->weight |= OF_EVIDENCE;
			continue;
		}
		if (line->weight & (OF_GROUP | OF_PROVIDER))
			return rc_data_file_wrong(
			    r->f, r->err, "one provider or group a line, not \"%s\" as well", word);
		if (*word == '@') {
			if (!is_group(r->s, word + 1))
				return rc_data_file_wrong(
				    r->f, r->err, "no line before has made a group %s", word);
			word++;
			line->weight |= OF_GROUP;
		} else {
			enum rc_status status =
			    strcmp(word, "-") == 0 ? RC_OK : check_provider(r, word);

			if (status)
				return status;
			line->weight |= OF_PROVIDER;
		}
		snprintf(line->who, sizeof(line->who), "%s", word);
	}
	return RC_OK;
}

static enum rc_status add_line(const struct reader *r, const struct line *line)
{
	struct scores *s = r->s;
	struct line *more;

	for (size_t i = 0; i < s->n; i++)
		if (s->lines[i].reason == line->reason && s->lines[i].weight == line->weight &&
		    s->lines[i].evidence == line->evidence &&
		    strcmp(s->lines[i].who, line->who) == 0)
			return rc_data_file_wrong(r->f, r->err,
						  "%s has a score for just that already",
						  rc_reason_name(line->reason));
	if (s->n == LINES_MAX)
		return rc_data_file_wrong(r->f, r->err, "more than %d lines", LINES_MAX);
	more = realloc(s->lines, (s->n + 1) * sizeof(*more));
	if (!more)
		return rc_error_set(r->err, RC_NO_MEMORY, "%s: no memory to read it", r->f->name);
	s->lines = more;
	more[s->n++] = *line;
	return RC_OK;
}

static enum rc_status read_line(const struct reader *r)
{
	char *save = NULL, *words[WORDS_MAX], *source = strchr(r->f->text, '#');
	struct line line = { .weight = 0 };
	enum rc_status status;
	size_t n = 0;

	if (source)
		*source++ = '\0';
	for (char *w = strtok_r(r->f->text, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		if (n == WORDS_MAX)
			return rc_data_file_wrong(r->f, r->err, "more than %d words", WORDS_MAX);
		words[n++] = w;
	}
	if (n && *words[0] == '@')
		return read_group(r, words, n);
	if (!source || strspn(source, " \t") == strlen(source))
		return rc_data_file_wrong(
		    r->f, r->err,
		    "say after # where the figure comes from, or that it is an estimate");
	if (n && (!strcmp(words[0], "prior_strength") || !strcmp(words[0], "listed_share")))
		return read_setting(r, words, n);
	if (n < 2)
		return rc_data_file_wrong(r->f, r->err,
					  "a reason, for whom, and a score are expected");
	line.reason = rc_reason_find(words[0]);
	if (!has_score(line.reason))
		return rc_data_file_wrong(r->f, r->err,
					  "there is no reason \"%s\" that has a score", words[0]);
	status = read_who(r, words + 1, n - 2, &line);
	if (!status)
		status = read_number(r, words[n - 1], 100, &line.score);
	return status ? status : add_line(r, &line);
}

static int by_reason_and_weight(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return x->reason != y->reason ? (x->reason > y->reason) - (x->reason < y->reason)
				      : (int)y->weight - (int)x->weight;
}

/* Every reason must have a line for anybody, which then is its last one. */
static enum rc_status finish(const struct reader *r)
{
	struct scores *s = r->s;
	size_t at = 0;

	if (s->strength < 0 || s->listed_share < 0)
		return rc_error_set(r->err, RC_INVALID, "%s:%u: there is no line %s", r->f->name,
				    r->f->line,
				    s->strength < 0 ? "prior_strength" : "listed_share");
	if (s->n)
		qsort(s->lines, s->n, sizeof(*s->lines), by_reason_and_weight);
	for (int reason = 0; reason < RC_REASON_COUNT; reason++) {
		s->first[reason] = at;
		while (at < s->n && (int)s->lines[at].reason == reason)
			at++;
		if (has_score((enum rc_reason)reason) &&
		    (at == s->first[reason] || s->lines[at - 1].weight != 0))
			return rc_error_set(r->err, RC_INVALID, "%s:%u: the reason %s has no score",
					    r->f->name, r->f->line,
					    rc_reason_name((enum rc_reason)reason));
	}
	s->first[RC_REASON_COUNT] = at;
	return RC_OK;
}

static enum rc_status read_all(struct rc_data_file *f, const struct rc_providers *providers,
			       struct scores **ret_scores, struct rc_error *err)
{
	struct reader r = { .f = f, .providers = providers, .err = err };
	enum rc_status status = RC_OK;
	int more;

	r.s = calloc(1, sizeof(*r.s));
	if (!r.s)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", f->name);
	r.s->strength = r.s->listed_share = -1;
	while (!status && (more = rc_data_file_next(f, err)) != 0)
		status = more < 0 ? RC_INVALID : read_line(&r);
	if (!status)
		status = finish(&r);
	if (status) {
		scores_free(r.s);
		return status;
	}
	*ret_scores = r.s;
	return RC_OK;
}

enum rc_status scores_load(const char *path, const struct rc_providers *providers,
			   struct scores **ret_scores, struct rc_error *err)
{
	struct rc_data_file f;
	enum rc_status status = rc_data_file_open(&f, path, "scores", err);

	if (status)
		return status;
	status = read_all(&f, providers, ret_scores, err);
	rc_data_file_done(&f);
	return status;
}

enum rc_status scores_parse(const char *name, const char *data, size_t len,
			    const struct rc_providers *providers, struct scores **ret_scores,
			    struct rc_error *err)
{
	struct rc_data_file f;

	rc_data_file_init(&f, name, data, len);
	return read_all(&f, providers, ret_scores, err);
}

void scores_free(struct scores *scores)
{
	if (!scores)
		return;
	free(scores->lines);
	free(scores);
}

/* ------------------------------------------------------------------------------------------------
 * looking up */

static bool in_group(const struct scores *s, const char *group, const char *provider)
{
	for (size_t i = 0; i < s->member_count; i++)
		if (strcmp(s->members[i].provider, provider) == 0)
			return strcmp(s->members[i].group, group) == 0;
	return false;
}

static bool fits(const struct scores *s, const struct line *line, const struct score_key *key)
{
	const char *provider = key->provider && *key->provider ? key->provider : "-";

	if (line->weight & OF_EVIDENCE && line->evidence != key->evidence)
		return false;
	if (line->weight & OF_PROVIDER)
		return strcmp(line->who, provider) == 0;
	if (line->weight & OF_GROUP)
		return in_group(s, line->who, provider);
	return true;
}

int scores_prior(const struct scores *scores, const struct score_key *key)
{
	if (!scores || !has_score(key->reason))
		return -1;
	for (size_t i = scores->first[key->reason]; i < scores->first[key->reason + 1]; i++)
		if (fits(scores, &scores->lines[i], key))
			return scores->lines[i].score;
	return -1;
}

int scores_prior_strength(const struct scores *scores)
{
	return scores->strength;
}

int scores_listed_share(const struct scores *scores)
{
	return scores->listed_share;
}
