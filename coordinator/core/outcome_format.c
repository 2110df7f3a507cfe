/* See outcome_format.h. docs/scores.md says where each row was read. */
#include "coordinator/core/outcome_format.h"

#include <string.h>

#define ADDRESS [OUTCOME_FIELD_ADDRESS]
#define WORD [OUTCOME_FIELD_WORD]
#define DETAIL [OUTCOME_FIELD_DETAIL]
#define TIME [OUTCOME_FIELD_TIME]
#define CODE [OUTCOME_FIELD_CODE]
#define DIAGNOSTIC [OUTCOME_FIELD_DIAGNOSTIC]

/* The more particular ones first. */
static const struct outcome_format formats[] = {
	{ .name = "ses",
	  .about = "Amazon SES: notifications and published events (JSON, also in SNS envelopes)",
	  .signature = { "mail.messageId" } },
	{ .name = "sparkpost",
	  .about = "SparkPost: message events (CSV, JSON)",
	  .signature = { "type", "rcpt_to", "timestamp" },
	  .fields = { ADDRESS = { "rcpt_to" }, WORD = { "type" }, DETAIL = { "bounce_class" },
		      TIME = { "timestamp" }, CODE = { "error_code" },
		      DIAGNOSTIC = { "raw_reason", "reason" } } },
	{ .name = "sparkpost",
	  .about = "SparkPost: webhook batches (JSON)",
	  .signature = { "msys.message_event.type", "msys.message_event.rcpt_to" },
	  .fields = { ADDRESS = { "msys.message_event.rcpt_to" },
		      WORD = { "msys.message_event.type" },
		      DETAIL = { "msys.message_event.bounce_class" },
		      TIME = { "msys.message_event.timestamp" },
		      CODE = { "msys.message_event.error_code" },
		      DIAGNOSTIC = { "msys.message_event.raw_reason",
				     "msys.message_event.reason" } } },
	{ .name = "mailgun",
	  .about = "Mailgun: events (JSON)",
	  .signature = { "event", "recipient", "timestamp" },
	  .fields = { ADDRESS = { "recipient" }, WORD = { "event" }, DETAIL = { "severity" },
		      TIME = { "timestamp" }, CODE = { "delivery-status.code" },
		      DIAGNOSTIC = { "delivery-status.message", "delivery-status.description" } } },
	{ .name = "mailgun",
	  .about = "Mailgun: webhooks (JSON)",
	  .signature = { "event-data.event", "event-data.recipient" },
	  .fields = { ADDRESS = { "event-data.recipient" }, WORD = { "event-data.event" },
		      DETAIL = { "event-data.severity" }, TIME = { "event-data.timestamp" },
		      CODE = { "event-data.delivery-status.code" },
		      DIAGNOSTIC = { "event-data.delivery-status.message",
				     "event-data.delivery-status.description" } } },
	{ .name = "mailgun",
	  .about = "Mailgun: the list of bounces (CSV, JSON)",
	  .signature = { "address", "code", "error", "created_at" },
	  .fields = { ADDRESS = { "address" }, TIME = { "created_at" }, CODE = { "code" },
		      DIAGNOSTIC = { "error" } },
	  .every = OUTCOME_HARD },
	{ .name = "postmark",
	  .about = "Postmark: bounces (CSV, JSON)",
	  .signature = { "Email", "Type", "BouncedAt" },
	  .fields = { ADDRESS = { "Email" }, WORD = { "Type" }, TIME = { "BouncedAt" },
		      DIAGNOSTIC = { "Details" } } },
	{ .name = "postmark",
	  .about = "Postmark: delivery webhooks (JSON)",
	  .signature = { "RecordType", "Recipient", "DeliveredAt" },
	  .fields = { ADDRESS = { "Recipient" }, WORD = { "RecordType" }, TIME = { "DeliveredAt" },
		      DIAGNOSTIC = { "Details" } } },
	{ .name = "postmark",
	  .about = "Postmark: other webhooks (JSON)",
	  .signature = { "RecordType", "Recipient", "ReceivedAt" },
	  .fields = { ADDRESS = { "Recipient" }, WORD = { "RecordType" },
		      TIME = { "ReceivedAt" } } },
	{ .name = "mailchimp",
	  .about = "Mailchimp Transactional (Mandrill): activity (CSV)",
	  .signature = { "Date", "Email Address", "Status", "Bounce Detail" },
	  .fields = { ADDRESS = { "Email Address" }, WORD = { "Status" }, TIME = { "Date" },
		      DIAGNOSTIC = { "Bounce Detail" } } },
	{ .name = "mailchimp",
	  .about = "Mailchimp Transactional (Mandrill): rejects (CSV)",
	  .signature = { "email", "reason", "detail", "created_at", "last_event_at" },
	  .fields = { ADDRESS = { "email" }, WORD = { "reason" }, TIME = { "created_at" },
		      DIAGNOSTIC = { "detail" } } },
	{ .name = "mailchimp",
	  .about = "Mailchimp: cleaned contacts (CSV)",
	  .signature = { "Email Address", "CLEAN_TIME" },
	  .fields = { ADDRESS = { "Email Address" }, TIME = { "CLEAN_TIME" } },
	  .every = OUTCOME_HARD },
	{ .name = "mailchimp",
	  .about = "Mailchimp: bounces of a campaign (CSV)",
	  .signature = { "Email Address", "Bounce Type" },
	  .fields = { ADDRESS = { "Email Address" }, WORD = { "Bounce Type" },
		      TIME = { "Timestamp", "Date", "Bounce Time" },
		      DIAGNOSTIC = { "Bounce Reason", "Bounce Detail" } } },
	{ .name = "brevo",
	  .about = "Brevo: log of transactional mail (CSV)",
	  .signature = { "st_text", "ts", "email" },
	  .fields = { ADDRESS = { "email" }, WORD = { "st_text" }, TIME = { "ts" },
		      DIAGNOSTIC = { "reason", "bounce_reason" } } },
	{ .name = "brevo",
	  .about = "Brevo: webhooks and their exports (CSV, JSON)",
	  .signature = { "event", "email", "message-id" },
	  .fields = { ADDRESS = { "email" }, WORD = { "event" },
		      TIME = { "ts_epoch", "ts_event", "date", "ts" },
		      DIAGNOSTIC = { "reason" } } },
	{ .name = "sendgrid",
	  .about = "SendGrid: event webhook (JSON), activity (CSV)",
	  .signature = { "event", "email", "sg_event_id" },
	  .fields = { ADDRESS = { "email" }, WORD = { "event" }, DETAIL = { "type" },
		      TIME = { "timestamp" }, CODE = { "status" },
		      DIAGNOSTIC = { "reason", "response" } } },
	{ .name = "sendgrid",
	  .about = "SendGrid: activity (CSV)",
	  .signature = { "processed", "message_id", "event", "email" },
	  .fields = { ADDRESS = { "email" }, WORD = { "event" }, DETAIL = { "type" },
		      TIME = { "processed" }, DIAGNOSTIC = { "reason" } } },
	{ .name = "sendgrid",
	  .about = "SendGrid: bounces, blocks (CSV, JSON)",
	  .signature = { "created", "email", "reason", "status" },
	  .fields = { ADDRESS = { "email" }, TIME = { "created" }, CODE = { "status" },
		      DIAGNOSTIC = { "reason" } },
	  .every = OUTCOME_HARD },
	{ .name = "sendgrid",
	  .about = "SendGrid: invalid addresses (CSV, JSON)",
	  .signature = { "created", "email", "reason" },
	  .fields = { ADDRESS = { "email" }, TIME = { "created" } },
	  .every = OUTCOME_HARD },
	/* Anybody's: an address and what became of it. */
	{ .name = "generic",
	  .about = "any CSV or NDJSON with address and outcome, perhaps time and diagnostic",
	  .fields = { ADDRESS = { "address", "email", "e-mail", "email address", "mail",
				  "recipient", "rcpt_to", "to_email" },
		      WORD = { "outcome", "event", "status", "result", "type", "bounce type",
			       "state" },
		      DETAIL = { "bounce type", "severity", "class" },
		      TIME = { "time", "timestamp", "date", "at", "created_at", "created",
			       "bounced_at", "delivered_at", "ts" },
		      CODE = { "code", "smtp_code" },
		      DIAGNOSTIC = { "diagnostic", "diagnostic_code", "reason", "reply", "error",
				     "details", "smtp_response", "response", "bounce_reason",
				     "description" } } },
};

enum { FORMATS = sizeof(formats) / sizeof(*formats) };

static bool any_of(const char *const *names, outcome_has has, void *ctx)
{
	for (size_t i = 0; i < OUTCOME_NAMES_MAX && names[i]; i++)
		if (has(ctx, names[i]))
			return true;
	return false;
}

static bool fits(const struct outcome_format *f, outcome_has has, void *ctx)
{
	for (size_t i = 0; i < OUTCOME_NAMES_MAX && f->signature[i]; i++)
		if (!has(ctx, f->signature[i]))
			return false;
	return f->signature[0] || (any_of(f->fields[OUTCOME_FIELD_ADDRESS], has, ctx) &&
				   any_of(f->fields[OUTCOME_FIELD_WORD], has, ctx));
}

const struct outcome_format *outcome_format_match(const char *name, outcome_has has, void *ctx)
{
	for (size_t i = 0; i < FORMATS; i++)
		if ((!name || strcmp(name, formats[i].name) == 0) && fits(&formats[i], has, ctx))
			return &formats[i];
	return NULL;
}

bool outcome_format_known(const char *name)
{
	for (size_t i = 0; i < FORMATS; i++)
		if (strcmp(name, formats[i].name) == 0)
			return true;
	return false;
}

const struct outcome_format *outcome_format_at(size_t i)
{
	return i < FORMATS ? &formats[i] : NULL;
}

/* ------------------------------------------------------------------------------------------------
 * words that mean one thing with one provider and another elsewhere */

static const struct {
	const char *format, *word;
	const char *detail; /* folded; NULL: whatever it is; "": none */
	enum outcome_kind kind;
} meanings[] = {
	{ "sendgrid", "bounce", "blocked", OUTCOME_SOFT },
	{ "mailgun", "failed", "permanent", OUTCOME_HARD },
	{ "mailgun", "failed", "temporary", OUTCOME_IGNORED },
	{ "mailgun", "rejected", NULL, OUTCOME_IGNORED },
	{ "mailchimp", "sent", NULL, OUTCOME_DELIVERED },
	{ "mailchimp", "unsub", NULL, OUTCOME_DELIVERED },
	{ "mailchimp", "custom", NULL, OUTCOME_IGNORED },
	/* SparkPost's classes: 10 no such recipient, 30 refused without a known cause; 90 and the
	 * rest are about other things */
	{ "sparkpost", "bounce", "10", OUTCOME_HARD },
	{ "sparkpost", "bounce", "30", OUTCOME_HARD },
	{ "sparkpost", "bounce", NULL, OUTCOME_SOFT },
	{ "sparkpost", "outofband", "10", OUTCOME_HARD },
	{ "sparkpost", "outofband", "30", OUTCOME_HARD },
	{ "sparkpost", "outofband", NULL, OUTCOME_SOFT },
	{ "ses", "bounce", "permanent", OUTCOME_HARD },
	{ "ses", "bounce", "suppressed", OUTCOME_IGNORED },
	{ "ses", "bounce", NULL, OUTCOME_SOFT },
	{ "ses", "reject", NULL, OUTCOME_IGNORED },
	{ "generic", "bounce", "soft", OUTCOME_SOFT },
	{ "generic", "bounce", "transient", OUTCOME_SOFT },
	{ "generic", "bounced", "soft", OUTCOME_SOFT },
	{ "generic", "bounced", "transient", OUTCOME_SOFT },
};

enum outcome_kind outcome_format_kind(const struct outcome_format *format, const char *word,
				      size_t word_len, const char *detail, size_t detail_len)
{
	char folded[64], more[64];

	if (format->every != OUTCOME_UNSET)
		return format->every;
	outcome_name_fold(word, word_len, folded, sizeof(folded));
	outcome_name_fold(detail, detail_len, more, sizeof(more));
	for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++)
		if (strcmp(meanings[i].format, format->name) == 0 &&
		    strcmp(meanings[i].word, folded) == 0 &&
		    (!meanings[i].detail || strcmp(meanings[i].detail, more) == 0))
			return meanings[i].kind;
	return outcome_kind_find(word, word_len);
}
