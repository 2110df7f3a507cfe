/* See reply_rules.h: what follows from a classification, for the verdict and for whoever retries.
 */
#include "common/reply/providers.h"
#include "common/reply/reply_rules.h"

static enum rc_reason by_category(const struct rc_classification *c, unsigned code)
{
	bool passing = code >= 400 && code < 500;

	switch (c->category) {
	case RC_CATEGORY_ACCEPTED:
		return RC_REASON_MAILBOX_ACCEPTED;
	case RC_CATEGORY_FORWARDED:
		return RC_REASON_MAILBOX_FORWARDED;
	case RC_CATEGORY_MAILBOX_NOT_FOUND:
		return RC_REASON_MAILBOX_NOT_FOUND;
	case RC_CATEGORY_MAILBOX_DISABLED:
		return RC_REASON_MAILBOX_DISABLED;
	case RC_CATEGORY_MAILBOX_FULL:
		return RC_REASON_MAILBOX_FULL;
	case RC_CATEGORY_NAME_NOT_ALLOWED:
		return RC_REASON_MAILBOX_NAME_NOT_ALLOWED;
	case RC_CATEGORY_NOT_LOCAL:
		return RC_REASON_MAILBOX_NOT_LOCAL;
	case RC_CATEGORY_GREYLISTED:
		return RC_REASON_GREYLISTED;
	case RC_CATEGORY_RATE_LIMITED:
		return RC_REASON_THROTTLED;
	case RC_CATEGORY_IP_BLOCKED:
		return RC_REASON_IP_BLOCKED;
	case RC_CATEGORY_POLICY:
		return c->names_tls	 ? RC_REASON_TLS_FAILED
		       : c->names_sender ? RC_REASON_SENDER_REJECTED
					 : RC_REASON_POLICY_REJECTED;
	case RC_CATEGORY_AUTH_REQUIRED:
		return c->names_tls ? RC_REASON_TLS_FAILED : RC_REASON_AUTH_REQUIRED;
	case RC_CATEGORY_CANNOT_VERIFY:
		return code >= 400 ? RC_REASON_MAILBOX_UNVERIFIED : RC_REASON_CANNOT_VERIFY;
	case RC_CATEGORY_SERVICE_UNAVAILABLE:
		return RC_REASON_SERVER_UNAVAILABLE;
	case RC_CATEGORY_ROUTING:
		/* RFC 7504: 521 is a host that never takes mail, 556 a domain that does not */
		if (code == 521)
			return RC_REASON_NO_MAIL_SERVER;
		if (code == 556)
			return RC_REASON_NULL_MX;
		return passing ? RC_REASON_TEMPORARY_FAILURE : RC_REASON_POLICY_REJECTED;
	case RC_CATEGORY_PROTOCOL:
		return RC_REASON_PROTOCOL_ERROR;
	case RC_CATEGORY_TOO_MANY_RECIPIENTS:
	case RC_CATEGORY_TEMPORARY:
		return RC_REASON_TEMPORARY_FAILURE;
	default:
		return passing ? RC_REASON_TEMPORARY_FAILURE : RC_REASON_POLICY_REJECTED;
	}
}

enum rc_reason rc_reply_reason(const struct rc_classification *c, unsigned code)
{
	enum rc_reason reason = by_category(c, code);

	/* Whatever a rule file says: only a recipient's or a domain's fault, and only a 5xx, makes
	 * an address invalid. */
	if (rc_reason_status(reason) == RC_RESULT_INVALID) {
		if (code < 500)
			return RC_REASON_TEMPORARY_FAILURE;
		if (c->fault != RC_FAULT_RECIPIENT && c->fault != RC_FAULT_DOMAIN)
			return RC_REASON_POLICY_REJECTED;
	}
	return reason;
}

bool rc_reply_review(const struct rc_classification *c, unsigned code)
{
	if (code < 500)
		return false;
	switch (rc_reply_reason(c, code)) {
	case RC_REASON_POLICY_REJECTED:
		return true;
	case RC_REASON_SERVER_UNAVAILABLE:
	case RC_REASON_TEMPORARY_FAILURE:
		return true; /* a lasting refusal that speaks of a passing trouble */
	default:
		return code == 554 && c->fault != RC_FAULT_RECIPIENT;
	}
}

int32_t rc_reply_not_before_s(const struct rc_classification *c, const struct rc_provider *provider)
{
	int32_t wait = 0;

	if (c->retry_after_s > 0)
		return c->retry_after_s;
	if (c->greylist_min_s > 0)
		wait = c->greylist_min_s;
	else if (c->category == RC_CATEGORY_GREYLISTED && provider &&
		 provider->greylist_retry_s > 0)
		wait = provider->greylist_retry_s;
	return wait;
}

int32_t rc_reply_short_retry_s(const struct rc_classification *c,
			       const struct rc_provider *provider)
{
	int32_t wait;

	if (c->category == RC_CATEGORY_TOO_MANY_RECIPIENTS)
		return 0;
	if (c->category != RC_CATEGORY_GREYLISTED && c->category != RC_CATEGORY_RATE_LIMITED &&
	    c->category != RC_CATEGORY_SERVICE_UNAVAILABLE && c->category != RC_CATEGORY_TEMPORARY)
		return -1;
	wait = rc_reply_not_before_s(c, provider);
	return wait > 0 && wait <= RC_SHORT_RETRY_MAX_S ? wait : -1;
}
