/* See weigh.h. */
#include "coordinator/weigh.h"

#include "coordinator/decide.h"

void weigh(const struct context *context, const struct weigh_row *row,
	   const Rollcall__Report *report, const struct evidence_domain *evidence,
	   const Rollcall__Answer *answer, struct verdict_input *ret)
{
	*ret = (struct verdict_input){ .domain = VERDICT_DOMAIN_MX,
				       .provider = row->provider,
				       .measured = row->measured };
	decide_lists(context, row->domain, row->local, row->local_len, ret);
	history_fill(row->history, ret);
	evidence_fill(context->rules, report, evidence, answer, ret);
}
