#include "worker/io/timers.h"

#include <stdlib.h>

struct timers {
	uv_timer_t alarm;
	struct timer **heap;
	size_t n;
	size_t room;
	uint64_t armed_ms; /* UINT64_MAX: not */
	bool closing;
};

static void put(struct timers *timers, size_t place, struct timer *timer)
{
	timers->heap[place] = timer;
	timer->place = place + 1;
}

static void sift_up(struct timers *timers, size_t at, struct timer *timer)
{
	while (at > 0) {
		const size_t parent = (at - 1) / 2;

		if (timers->heap[parent]->placed_ms <= timer->placed_ms)
			break;
		put(timers, at, timers->heap[parent]);
		at = parent;
	}
	put(timers, at, timer);
}

static void sift_down(struct timers *timers, size_t at, struct timer *timer)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= timers->n)
			break;
		if (child + 1 < timers->n &&
		    timers->heap[child + 1]->placed_ms < timers->heap[child]->placed_ms)
			child++;
		if (timers->heap[child]->placed_ms >= timer->placed_ms)
			break;
		put(timers, at, timers->heap[child]);
		at = child;
	}
	put(timers, at, timer);
}

static void on_alarm(uv_timer_t *alarm);

static void arm(struct timers *timers)
{
	const uint64_t next_ms = timers->n > 0 ? timers->heap[0]->placed_ms : UINT64_MAX;

	if (timers->closing || next_ms == timers->armed_ms)
		return;
	/* An alarm that comes too early does no harm; re-arming at each change would. */
	if (timers->armed_ms < next_ms && next_ms != UINT64_MAX)
		return;
	timers->armed_ms = next_ms;
	if (next_ms == UINT64_MAX) {
		uv_timer_stop(&timers->alarm);
		return;
	}
	const uint64_t now_ms = uv_now(timers->alarm.loop);

	uv_timer_start(&timers->alarm, on_alarm, next_ms > now_ms ? next_ms - now_ms : 0, 0);
}

static void on_alarm(uv_timer_t *alarm)
{
	struct timers *timers = alarm->data;
	const uint64_t now_ms = uv_now(alarm->loop);

	timers->armed_ms = UINT64_MAX;
	while (timers->n > 0 && timers->heap[0]->placed_ms <= now_ms) {
		struct timer *timer = timers->heap[0];

		if (timer->due_ms > now_ms) {
			timer->placed_ms = timer->due_ms;
			sift_down(timers, 0, timer);
			continue;
		}
		timer_clear(timers, timer);
		timer->fired(timer);
	}
	arm(timers);
}

struct timers *timers_new(uv_loop_t *loop)
{
	struct timers *timers = calloc(1, sizeof(*timers));

	if (timers == NULL)
		return NULL;
	uv_timer_init(loop, &timers->alarm);
	timers->alarm.data = timers;
	timers->armed_ms = UINT64_MAX;
	return timers;
}

static void on_alarm_closed(uv_handle_t *handle)
{
	struct timers *timers = handle->data;

	free(timers->heap);
	free(timers);
}

void timers_free(struct timers *timers)
{
	if (timers == NULL)
		return;
	timers->closing = true;
	uv_close((uv_handle_t *)&timers->alarm, on_alarm_closed);
}

static bool make_room(struct timers *timers)
{
	if (timers->n < timers->room)
		return true;
	const size_t room = timers->room == 0 ? 256 : 2 * timers->room;
	struct timer **heap = realloc(timers->heap, room * sizeof(heap[0]));

	if (heap == NULL)
		return false;
	timers->heap = heap;
	timers->room = room;
	return true;
}

bool timer_set(struct timers *timers, struct timer *timer, uint64_t due_ms)
{
	if (due_ms == UINT64_MAX) {
		timer_clear(timers, timer);
		return true;
	}
	if (timer->place != 0) {
		timer->due_ms = due_ms;
		if (due_ms >= timer->placed_ms)
			return true;
		timer->placed_ms = due_ms;
		sift_up(timers, timer->place - 1, timer);
	} else {
		if (!make_room(timers))
			return false;
		timer->due_ms = due_ms;
		timer->placed_ms = due_ms;
		timers->n++;
		sift_up(timers, timers->n - 1, timer);
	}
	arm(timers);
	return true;
}

void timer_clear(struct timers *timers, struct timer *timer)
{
	if (timer->place == 0)
		return;
	const size_t at = timer->place - 1;
	struct timer *last = timers->heap[--timers->n];

	timer->place = 0;
	if (last == timer)
		return;
	if (at > 0 && timers->heap[(at - 1) / 2]->placed_ms > last->placed_ms)
		sift_up(timers, at, last);
	else
		sift_down(timers, at, last);
}
