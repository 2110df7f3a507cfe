/* See harvest.h. */
#include "coordinator/core/harvest.h"

#include <string.h>

enum { VERSION = 1, WINDOW_OCTETS = (HARVEST_WINDOW + 7) / 8 };

static bool bit(const struct harvest *h, unsigned i)
{
	return h->window[i / 8] >> (i % 8) & 1;
}

static void note(struct harvest *h, bool refused)
{
	if (h->filled == HARVEST_WINDOW)
		h->refused = (uint8_t)(h->refused - bit(h, h->next));
	else
		h->filled++;
	h->window[h->next / 8] = (uint8_t)((h->window[h->next / 8] & ~(1u << (h->next % 8))) |
					   (unsigned)refused << (h->next % 8));
	h->next = (uint8_t)((h->next + 1) % HARVEST_WINDOW);
	h->refused = (uint8_t)(h->refused + refused);
	if (!refused)
		h->run = 0;
	else if (h->run < UINT8_MAX)
		h->run++;
}

bool harvest_answer(struct harvest *h, bool refused)
{
	note(h, refused);
	h->accepted = h->accepted || !refused;
	if (h->tripped)
		return false;
	h->tripped = (!h->accepted && h->run >= HARVEST_RUN) ||
		     (h->filled == HARVEST_WINDOW && h->refused >= HARVEST_REFUSED);
	return h->tripped;
}

void harvest_greylisted(struct harvest *h)
{
	note(h, false);
}

void harvest_release(struct harvest *h)
{
	memset(h, 0, sizeof(*h));
}

void harvest_store(const struct harvest *h, uint8_t *out)
{
	out[0] = VERSION;
	out[1] = h->next;
	out[2] = h->filled;
	out[3] = h->run;
	out[4] = (uint8_t)((unsigned)h->accepted | (unsigned)h->tripped << 1);
	memcpy(out + 5, h->window, WINDOW_OCTETS);
}

bool harvest_load(struct harvest *h, const uint8_t *data, size_t len)
{
	struct harvest loaded = { 0 };

	if (len == 0) {
		*h = loaded;
		return true;
	}
	if (len != HARVEST_STORED || data[0] != VERSION || data[1] >= HARVEST_WINDOW ||
	    data[2] > HARVEST_WINDOW || data[4] > 3)
		return false;
	loaded.next = data[1];
	loaded.filled = data[2];
	loaded.run = data[3];
	loaded.accepted = data[4] & 1;
	loaded.tripped = data[4] >> 1 & 1;
	memcpy(loaded.window, data + 5, WINDOW_OCTETS);
	/* a window that is not full yet began at 0 */
	for (unsigned i = 0; i < loaded.filled; i++)
		loaded.refused = (uint8_t)(loaded.refused + bit(&loaded, i));
	*h = loaded;
	return true;
}
