#include "coordinator/http/transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "coordinator/http/json_text.h"
#include "rollcall.pb-c.h"

static const char *const failure_texts[] = {
	"",
	"the name servers gave no usable answer",
	"the domain has no mail server now",
	"the domain says that it takes no mail (null MX)",
	"the domain does not exist",
	"no address of its mail servers may be connected to",
	"the connection was refused",
	"no answer within the time limit",
	"the server closed the connection",
	"the server said something that is no SMTP reply",
	"TLS could not be agreed on",
	"not asked in this attempt",
	"the server does not take addresses beyond ASCII (SMTPUTF8)",
	"a fault of our own machine",
};

static const char *const stage_texts[] = {
	"",	      "looking up the mail servers",
	"connecting", "the greeting",
	"EHLO",	      "STARTTLS",
	"MAIL FROM",  "RCPT TO",
	"QUIT",
};

static const char *failure_text(Rollcall__Failure failure)
{
	return (size_t)failure < sizeof(failure_texts) / sizeof(failure_texts[0])
		   ? failure_texts[failure]
		   : "unknown failure";
}

static const char *stage_text(Rollcall__Stage stage)
{
	return (size_t)stage < sizeof(stage_texts) / sizeof(stage_texts[0]) ? stage_texts[stage]
									    : "";
}

static void say(json_t *conversation, const char *who, const char *text, size_t len)
{
	json_array_append_new(conversation,
			      json_pack("{s:s, s:o}", "who", who, "text", json_safe(text, len)));
}

static void note(json_t *conversation, const char *text)
{
	say(conversation, "note", text, strlen(text));
}

/* Where the text does not begin with it already. */
static void add_enhanced(struct rc_buf *line, const Rollcall__Reply *reply, const char *text,
			 size_t len)
{
	size_t enhanced = reply->enhanced ? strlen(reply->enhanced) : 0;

	if (enhanced && (len < enhanced || memcmp(text, reply->enhanced, enhanced) != 0))
		rc_buf_printf(line, "%s ", reply->enhanced);
}

/* "550-5.1.1 first" / "550 5.1.1 last" */
static void say_reply(json_t *conversation, const Rollcall__Reply *reply)
{
	const char *text, *end;
	struct rc_buf line;

	if (!reply || !reply->code)
		return;
	text = reply->text.data ? (const char *)reply->text.data : "";
	end = text + reply->text.len;
	rc_buf_init(&line, 8192);
	for (;;) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t len = (size_t)((stop ? stop : end) - text);

		rc_buf_clear(&line);
		rc_buf_printf(&line, "%u%c", reply->code, stop ? '-' : ' ');
		add_enhanced(&line, reply, text, len);
		rc_buf_add(&line, text, len);
		say(conversation, "S", line.data ? line.data : "", line.len);
		if (!stop)
			break;
		text = stop + 1;
	}
	if (reply->cut)
		note(conversation, "the server said more than is kept");
	rc_buf_done(&line);
}

static void command(json_t *conversation, const char *verb, const void *local, size_t local_len,
		    const char *domain)
{
	struct rc_buf line;

	rc_buf_init(&line, 4096);
	rc_buf_addstr(&line, verb);
	rc_buf_add(&line, local, local_len);
	if (domain)
		rc_buf_printf(&line, "@%s>", domain);
	say(conversation, "C", line.data ? line.data : "", line.len);
	rc_buf_done(&line);
}

static void say_control(json_t *conversation, const Rollcall__Control *control, const char *domain)
{
	note(conversation, control->kind == ROLLCALL__CONTROL_KIND__CONTROL_KIND_POSTMASTER
			       ? "would it take postmaster, whom every mail server must take?"
			       : "would it take a random address, that is, anybody?");
	command(conversation, "RCPT TO:<", control->local.data, control->local.len, domain);
	if (control->reply && control->reply->code)
		say_reply(conversation, control->reply);
	else
		note(conversation, failure_text(control->failure));
}

static void say_controls(json_t *conversation, const Rollcall__Report *report, uint32_t session,
			 int64_t from_ms, int64_t to_ms, const char *domain)
{
	for (size_t i = 0; i < report->n_controls; i++) {
		const Rollcall__Control *c = report->controls[i];

		if (c->session == session && c->at_ms >= from_ms && c->at_ms < to_ms)
			say_control(conversation, c, domain);
	}
}

/* Kept lines are "S ..." and "C ...". */
static void say_transcript(json_t *conversation, const Rollcall__Session *s)
{
	for (size_t i = 0; i < s->n_transcript; i++) {
		const ProtobufCBinaryData *line = &s->transcript[i];
		const char *text = (const char *)line->data;

		if (line->len >= 2 && (text[0] == 'S' || text[0] == 'C') && text[1] == ' ')
			say(conversation, text[0] == 'S' ? "S" : "C", text + 2, line->len - 2);
		else
			say(conversation, "note", text, line->len);
	}
}

static void say_session(json_t *conversation, const Rollcall__Report *report,
			const Rollcall__Answer *answer, const struct results_detail *d)
{
	const Rollcall__Session *s = report->sessions[answer->session - 1];
	char text[700];

	snprintf(text, sizeof(text), "connected to %.255s (%.64s) port %u from %.64s%s%s",
		 s->mx_host, s->mx_address, s->mx_port, report->source_ip, s->tls ? ", TLS" : "",
		 s->pipelined ? ", pipelined" : "");
	note(conversation, text);
	if (s->starving[0]) {
		snprintf(text, sizeof(text), "the server began to get rid of us: %.200s", s->starving);
		note(conversation, text);
	}
	if (s->n_transcript) {
		say_transcript(conversation, s);
		return;
	}
	say_reply(conversation, s->greeting);
	if (s->ehlo) {
		command(conversation, s->used_helo ? "HELO " : "EHLO ", report->helo,
			strlen(report->helo), NULL);
		say_reply(conversation, s->ehlo);
	}
	if (s->mail) {
		snprintf(text, sizeof(text), "MAIL FROM:<%.400s>", report->mail_from);
		command(conversation, text, "", 0, NULL);
		say_reply(conversation, s->mail);
	}
	say_controls(conversation, report, answer->session, INT64_MIN, answer->at_ms, d->domain);
	if (answer->shared) {
		note(conversation, "the server refused us whoever we asked for: this recipient was not asked, and this is what "
				   "another one got");
		say_reply(conversation, answer->reply);
	} else if (answer->stage == ROLLCALL__STAGE__STAGE_RCPT) {
		command(conversation, "RCPT TO:<", d->local, strlen(d->local), d->domain);
		say_reply(conversation, answer->reply);
	}
	say_controls(conversation, report, answer->session, answer->at_ms, INT64_MAX, d->domain);
	if (s->quit) {
		command(conversation, "QUIT", "", 0, NULL);
		say_reply(conversation, s->quit);
	}
	if (s->ended_failure != ROLLCALL__FAILURE__FAILURE_NONE) {
		snprintf(text, sizeof(text), "it ended at %s: %s", stage_text(s->ended_stage),
			 failure_text(s->ended_failure));
		note(conversation, text);
	}
}

static json_t *outcome(const Rollcall__Answer *answer)
{
	struct rc_buf text;
	json_t *value;

	rc_buf_init(&text, 4096);
	if (answer->reply && answer->reply->code) {
		if (answer->stage != ROLLCALL__STAGE__STAGE_RCPT)
			rc_buf_printf(&text, "%s: ", stage_text(answer->stage));
		rc_buf_printf(&text, "%u ", answer->reply->code);
		add_enhanced(&text, answer->reply, (const char *)answer->reply->text.data,
			     answer->reply->text.len);
		rc_buf_add(&text,
			   answer->reply->text.data ? answer->reply->text.data
						    : (const uint8_t *)"",
			   answer->reply->text.len);
	} else {
		rc_buf_printf(&text, "%s%s%s", stage_text(answer->stage),
			      *stage_text(answer->stage) ? ": " : "",
			      failure_text(answer->failure));
	}
	if (answer->shared)
		rc_buf_addstr(&text, " (said to another recipient)");
	if (answer->suspect)
		rc_buf_addstr(&text, " (does not count: the server had begun to turn us away)");
	value = json_safe(text.data ? text.data : "", text.len);
	rc_buf_done(&text);
	return value;
}

static json_t *attempt_json(const struct results_detail *d, const struct results_part *part,
			    const Rollcall__Report *report, const Rollcall__Answer *answer)
{
	const Rollcall__Session *s = answer->session && answer->session <= report->n_sessions
					 ? report->sessions[answer->session - 1]
					 : NULL;
	json_t *conversation = json_array();
	char text[200];

	if (!conversation)
		return NULL;
	if (s) {
		say_session(conversation, report, answer, d);
	} else {
		snprintf(text, sizeof(text), "%s: %s", stage_text(answer->stage),
			 failure_text(answer->failure));
		note(conversation, text);
	}
	/* Controls that another session of the shard asked belong to the verdict too. */
	for (size_t i = 0; i < report->n_controls; i++) {
		const Rollcall__Control *c = report->controls[i];

		if (c->session != answer->session || !s) {
			note(conversation, "in another session of this attempt:");
			say_control(conversation, c, d->domain);
		}
	}
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:i, s:o, s:o}", "attempt",
			 (int)answer->attempt, "at", json_time(answer->at_ms), "lane",
			 json_safe(report->lane_name, strlen(report->lane_name)), "source_ip",
			 json_safe(report->source_ip, strlen(report->source_ip)), "helo",
			 json_safe(report->helo, strlen(report->helo)), "mail_from",
			 json_safe(report->mail_from, strlen(report->mail_from)), "mx",
			 s ? json_safe(s->mx_host, strlen(s->mx_host)) : json_null(), "mx_address",
			 s ? json_safe(s->mx_address, strlen(s->mx_address)) : json_null(), "shard",
			 (json_int_t)part->shard, "shard_attempt", part->shard_attempt,
			 "conversation", conversation, "outcome", outcome(answer));
}

json_t *transcript_attempts(const struct results_detail *d)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < d->parts; i++) {
		Rollcall__Report *report =
		    rollcall__report__unpack(NULL, d->part[i].len, d->part[i].body);

		for (size_t k = 0; report && k < report->n_answers; k++)
			if ((int64_t)report->answers[k]->uid == d->uid)
				json_array_append_new(
				    list, attempt_json(d, &d->part[i], report, report->answers[k]));
		if (report)
			rollcall__report__free_unpacked(report, NULL);
	}
	return list;
}

static const char *const resolution_names[] = {
	"", "mx", "implicit", "null_mx", "no_domain", "no_server", "failed", "unroutable"
};

json_t *transcript_resolution(const struct results_detail *d)
{
	Rollcall__Resolution *r =
	    d->resolution ? rollcall__resolution__unpack(NULL, d->resolution_len, d->resolution)
			  : NULL;
	json_t *hosts, *o;

	if (!r)
		return json_null();
	hosts = json_array();
	for (size_t i = 0; i < r->n_mx; i++) {
		json_t *addresses = json_array();

		for (size_t k = 0; k < r->mx[i]->n_addresses; k++)
			json_array_append_new(addresses, json_safe(r->mx[i]->addresses[k],
								   strlen(r->mx[i]->addresses[k])));
		json_array_append_new(
		    hosts, json_pack("{s:i, s:o, s:o}", "preference", (int)r->mx[i]->preference,
				     "host", json_safe(r->mx[i]->host, strlen(r->mx[i]->host)),
				     "addresses", addresses));
	}
	o = json_pack("{s:s, s:o, s:o, s:o}", "state",
		      (size_t)r->state < sizeof(resolution_names) / sizeof(resolution_names[0])
			  ? resolution_names[r->state]
			  : "",
		      "mx", hosts, "detail", json_safe(r->detail, strlen(r->detail)), "at",
		      json_time(r->at_ms));
	rollcall__resolution__free_unpacked(r, NULL);
	return o;
}
