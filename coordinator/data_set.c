/* See data_set.h. */
#include "coordinator/data_set.h"

#include <pthread.h>
#include <stdlib.h>

struct shelf {
	pthread_mutex_t lock;
	struct data_set *newest;
};

static void data_set_free(struct data_set *set)
{
	if (!set)
		return;
	lists_free(set->lists);
	traps_free(set->traps);
	scores_free(set->scores);
	rc_providers_free(set->providers);
	rc_rules_free(set->rules);
	free(set);
}

enum rc_status data_set_load(const char *dir, const char *traps, struct data_set **ret_set,
			     struct rc_error *err)
{
	struct data_set *set = calloc(1, sizeof(*set));
	enum rc_status status;

	if (!set)
		return rc_error_set(err, RC_NO_MEMORY, "%s: no memory to read it", dir);
	status = rc_rules_load(dir, &set->rules, err);
	if (status == RC_OK)
		status = rc_providers_load(dir, &set->providers, err);
	if (status == RC_OK)
		status = rc_rules_check_providers(set->rules, set->providers, err);
	if (status == RC_OK)
		status = scores_load(dir, set->providers, &set->scores, err);
	if (status == RC_OK)
		status = lists_load(dir, &set->lists, err);
	if (status == RC_OK)
		status = traps_load(traps ? traps : dir, &set->traps, err);
	if (status != RC_OK) {
		data_set_free(set);
		return status;
	}
	*ret_set = set;
	return RC_OK;
}

struct shelf *shelf_new(struct data_set *set)
{
	struct shelf *shelf = calloc(1, sizeof(*shelf));

	if (!shelf)
		return NULL;
	pthread_mutex_init(&shelf->lock, NULL);
	shelf->newest = set;
	set->serial = 1;
	return shelf;
}

void shelf_free(struct shelf *shelf)
{
	if (!shelf)
		return;
	data_set_free(shelf->newest);
	pthread_mutex_destroy(&shelf->lock);
	free(shelf);
}

void shelf_put(struct shelf *shelf, struct data_set *set)
{
	struct data_set *old;

	pthread_mutex_lock(&shelf->lock);
	old = shelf->newest;
	set->serial = old->serial + 1;
	shelf->newest = set;
	if (old->users > 0)
		old = NULL;
	pthread_mutex_unlock(&shelf->lock);
	data_set_free(old);
}

const struct data_set *shelf_take(struct shelf *shelf)
{
	struct data_set *set;

	pthread_mutex_lock(&shelf->lock);
	set = shelf->newest;
	set->users++;
	pthread_mutex_unlock(&shelf->lock);
	return set;
}

void shelf_give_back(struct shelf *shelf, const struct data_set *set)
{
	struct data_set *old = (struct data_set *)set;

	if (!set)
		return;
	pthread_mutex_lock(&shelf->lock);
	if (--old->users > 0 || old == shelf->newest)
		old = NULL;
	pthread_mutex_unlock(&shelf->lock);
	data_set_free(old);
}

bool shelf_is_newest(struct shelf *shelf, const struct data_set *set)
{
	bool newest;

	pthread_mutex_lock(&shelf->lock);
	newest = set == shelf->newest;
	pthread_mutex_unlock(&shelf->lock);
	return newest;
}
