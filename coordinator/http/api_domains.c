/* GET /v1/domains/{d}: what is known of a mail domain, to every tenant alike. */
#include <string.h>

#include "common/address/domain.h"
#include "coordinator/core/verdict.h"
#include "coordinator/http/api.h"
#include "coordinator/http/transcript.h"
#include "coordinator/store/domains.h"

static json_t *text_json(const char *text)
{
	return text ? json_safe(text, strlen(text)) : json_null();
}

static json_t *control_json(const struct domain_view *d)
{
	if (d->control != VERDICT_CONTROL_REFUSED && d->control != VERDICT_CONTROL_ACCEPTED)
		return json_null();
	return json_pack("{s:s, s:o, s:o}", "state",
			 d->control == VERDICT_CONTROL_REFUSED ? "refused" : "accepted", "at",
			 json_time(d->control_at_ms), "lane", text_json(d->control_lane));
}

void call_domain(struct request *r)
{
	char domain[RC_DOMAIN_SIZE];
	struct domain_view d;
	struct results_detail detail = { .uid = 0 };
	const char *why;
	struct rc_error err;

	if (rc_domain_normalize(r->id, strlen(r->id), domain, NULL, &why) != RC_OK) {
		reply_problem(r, MHD_HTTP_BAD_REQUEST, "bad-parameter",
			      "\"%.100s\" is no mail domain: %s", r->id, why);
		return;
	}
	if (domains_get(r->db, domain, &d, &err) != RC_OK) {
		reply_error(r, &err);
		return;
	}
	detail.resolution = d.resolution;
	detail.resolution_len = d.resolution_len;
	reply_json(r, MHD_HTTP_OK,
		   json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "domain", domain,
			     "first_seen", json_time(d.first_seen_ms), "resolved_at",
			     json_time(d.resolved_at_ms), "resolution",
			     transcript_resolution(&detail), "provider", text_json(d.provider),
			     "mx_group", text_json(d.mx_group), "control", control_json(&d),
			     "accepted_at", json_time(d.accepted_at_ms)));
	domains_done(&d);
}
