/* See window.h. */
#include "coordinator/core/window.h"

#include <stddef.h>

enum { WINDOW_LATE = 3 };

static bool known(const struct window *w, int64_t now_ms)
{
	return w && w->seen_at_ms > 0 && now_ms - w->seen_at_ms < (int64_t)WINDOW_OLD_S * 1000;
}

static void begin(struct window *w, int64_t at_ms)
{
	if (!known(w, at_ms))
		*w = (struct window){ 0 };
	if (at_ms > w->seen_at_ms)
		w->seen_at_ms = at_ms;
}

void window_passed(struct window *w, uint32_t wait_s, int64_t at_ms)
{
	begin(w, at_ms);
	w->late = 0;
	w->passes += w->passes < UINT32_MAX;
	if (w->enough_s == 0 || wait_s < w->enough_s)
		w->enough_s = wait_s > 0 ? wait_s : 1;
	if (w->too_early_s >= w->enough_s)
		w->too_early_s = 0;
}

void window_refused(struct window *w, uint32_t wait_s, int64_t at_ms)
{
	begin(w, at_ms);
	w->refusals += w->refusals < UINT32_MAX;
	if (w->enough_s > 0 && w->enough_s <= wait_s && ++w->late < WINDOW_LATE)
		return;
	if (wait_s > w->too_early_s)
		w->too_early_s = wait_s;
	if (w->enough_s > 0 && w->enough_s <= w->too_early_s)
		w->enough_s = 0;
	w->late = 0;
}

void window_newcomer(struct window *w, bool greylisted, int64_t at_ms)
{
	begin(w, at_ms);
	w->key = greylisted ? WINDOW_KEY_RECIPIENT : WINDOW_KEY_CLIENT;
}

bool window_too_early(const struct window *w, uint32_t wait_s, int64_t now_ms)
{
	return known(w, now_ms) && wait_s <= w->too_early_s;
}

uint32_t window_enough_s(const struct window *w, int64_t now_ms)
{
	return known(w, now_ms) ? w->enough_s : 0;
}

bool window_by_client(const struct window *w, int64_t now_ms)
{
	return known(w, now_ms) && w->key == WINDOW_KEY_CLIENT;
}
