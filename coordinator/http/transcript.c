#include "coordinator/http/transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/reply/reply_rules.h"
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
	"its mail servers have no address that this lane can reach",
};

static const char *const stage_texts[] = {
	"",	      "looking up the mail servers",
	"connecting", "the greeting",
	"EHLO",	      "STARTTLS",
	"MAIL FROM",  "RCPT TO",
	"QUIT",
};

/* One conversation as it is being told; `rules` may be NULL. */
struct telling {
	json_t *lines;
	const struct rc_rules *rules;
	const char *provider;
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

static void say(struct telling *t, const char *who, const char *text, size_t len)
{
	json_array_append_new(t->lines,
			      json_pack("{s:s, s:o}", "who", who, "text", json_safe(text, len)));
}

static void note(struct telling *t, const char *text)
{
	say(t, "note", text, strlen(text));
}

/* Where the text does not begin with it already. */
static void add_enhanced(struct rc_buf *line, const Rollcall__Reply *reply, const char *text,
			 size_t len)
{
	size_t enhanced = reply->enhanced ? strlen(reply->enhanced) : 0;

	if (enhanced && (len < enhanced || memcmp(text, reply->enhanced, enhanced) != 0))
		rc_buf_printf(line, "%s ", reply->enhanced);
}

static enum rc_stage stage_of(Rollcall__Stage stage)
{
	return (int)stage > 0 && (int)stage <= RC_STAGE_QUIT ? (enum rc_stage)(int)stage
							     : RC_STAGE_UNSET;
}

/* What the reply that was just told means, and which rule says so: to its last line. A yes before
 * RCPT means no more than it says. */
static void annotate(struct telling *t, const Rollcall__Reply *reply, Rollcall__Stage stage)
{
	json_t *last = json_array_get(t->lines, json_array_size(t->lines) - 1);
	struct rc_reply_view view = { .stage = stage_of(stage),
				      .code = reply->code,
				      .enhanced = reply->enhanced,
				      .text = (const char *)reply->text.data,
				      .len = reply->text.len,
				      .provider = t->provider };
	struct rc_classification class;
	int32_t wait_s;

	if (!t->rules || !last || (reply->code < 400 && stage != ROLLCALL__STAGE__STAGE_RCPT))
		return;
	rc_rules_classify(t->rules, &view, &class);
	wait_s = rc_reply_not_before_s(&class, NULL);
	json_object_set_new(last, "rule", json_string(class.rule));
	json_object_set_new(last, "category", json_string(rc_category_name(class.category)));
	json_object_set_new(last, "fault", json_string(rc_fault_name(class.fault)));
	if (wait_s > 0)
		json_object_set_new(last, "retry_after_s", json_integer(wait_s));
}

/* "550-5.1.1 first" / "550 5.1.1 last" */
static void say_reply(struct telling *t, const Rollcall__Reply *reply, Rollcall__Stage stage)
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
		say(t, "S", line.data ? line.data : "", line.len);
		if (!stop)
			break;
		text = stop + 1;
	}
	annotate(t, reply, stage);
	if (reply->cut)
		note(t, "the server said more than is kept");
	rc_buf_done(&line);
}

static void command(struct telling *t, const char *verb, const void *local, size_t local_len,
		    const char *domain)
{
	struct rc_buf line;

	rc_buf_init(&line, 4096);
	rc_buf_addstr(&line, verb);
	rc_buf_add(&line, local, local_len);
	if (domain)
		rc_buf_printf(&line, "@%s>", domain);
	say(t, "C", line.data ? line.data : "", line.len);
	rc_buf_done(&line);
}

static void say_control(struct telling *t, const Rollcall__Control *control, const char *domain)
{
	note(t, control->kind == ROLLCALL__CONTROL_KIND__CONTROL_KIND_POSTMASTER
		    ? "would it take postmaster, whom every mail server must take?"
		    : "would it take a random address, that is, anybody?");
	command(t, "RCPT TO:<", control->local.data, control->local.len, domain);
	if (control->reply && control->reply->code)
		say_reply(t, control->reply, control->stage);
	else
		note(t, failure_text(control->failure));
}

static void say_controls(struct telling *t, const Rollcall__Report *report, uint32_t session,
			 int64_t from_ms, int64_t to_ms, const char *domain)
{
	for (size_t i = 0; i < report->n_controls; i++) {
		const Rollcall__Control *c = report->controls[i];

		if (c->session == session && c->at_ms >= from_ms && c->at_ms < to_ms)
			say_control(t, c, domain);
	}
}

/* Kept lines are "S ..." and "C ...". */
static void say_transcript(struct telling *t, const Rollcall__Session *s)
{
	for (size_t i = 0; i < s->n_transcript; i++) {
		const ProtobufCBinaryData *line = &s->transcript[i];
		const char *text = (const char *)line->data;

		if (line->len >= 2 && (text[0] == 'S' || text[0] == 'C') && text[1] == ' ')
			say(t, text[0] == 'S' ? "S" : "C", text + 2, line->len - 2);
		else
			say(t, "note", text, line->len);
	}
}

static void say_tls(struct telling *t, const Rollcall__Session *s)
{
	char text[700];

	command(t, "STARTTLS", "", 0, NULL);
	say_reply(t, s->starttls, ROLLCALL__STAGE__STAGE_STARTTLS);
	if (s->tls_thrown_away) {
		snprintf(text, sizeof(text),
			 "%u octets came in plain text behind that: nobody reads them",
			 s->tls_thrown_away);
		note(t, text);
	}
	if (!s->tls)
		return;
	snprintf(text, sizeof(text), "encrypted from here on: %.40s, %.80s%s%.200s", s->tls_version,
		 s->tls_cipher, *s->tls_unverified ? "; who it is, is not proved: " : "",
		 s->tls_unverified);
	note(t, text);
}

/* Greeting to MAIL. */
static void say_opening(struct telling *t, const Rollcall__Report *report,
			const Rollcall__Session *s)
{
	const char *hello = s->used_helo ? "HELO " : "EHLO ";
	char text[700];

	say_reply(t, s->greeting, ROLLCALL__STAGE__STAGE_GREETING);
	if (s->used_helo) {
		command(t, "EHLO ", report->helo, strlen(report->helo), NULL);
		note(t, "it refused that, so the older greeting");
	}
	if (s->ehlo) {
		command(t, hello, report->helo, strlen(report->helo), NULL);
		say_reply(t, s->ehlo, ROLLCALL__STAGE__STAGE_EHLO);
	}
	if (s->starttls) {
		say_tls(t, s);
		if (s->tls && s->mail) {
			command(t, hello, report->helo, strlen(report->helo), NULL);
			note(t, "and the like again");
		}
	}
	if (s->mail) {
		snprintf(text, sizeof(text), "MAIL FROM:<%.400s>", report->mail_from);
		command(t, text, "", 0, NULL);
		say_reply(t, s->mail, ROLLCALL__STAGE__STAGE_MAIL);
	}
}

static void say_session(struct telling *t, const Rollcall__Report *report,
			const Rollcall__Answer *answer, const struct results_detail *d)
{
	const Rollcall__Session *s = report->sessions[answer->session - 1];
	char text[700];

	snprintf(text, sizeof(text), "connected to %.255s (%.64s) port %u from %.64s%s%s",
		 s->mx_host, s->mx_address, s->mx_port, report->source_ip, s->tls ? ", TLS" : "",
		 s->pipelined ? ", pipelined" : "");
	note(t, text);
	if (s->starving[0]) {
		snprintf(text, sizeof(text), "the server began to get rid of us: %.200s", s->starving);
		note(t, text);
	}
	if (s->n_transcript) {
		say_transcript(t, s);
		return;
	}
	say_opening(t, report, s);
	say_controls(t, report, answer->session, INT64_MIN, answer->at_ms, d->domain);
	if (answer->shared) {
		note(t, "the server refused us whoever we asked for: this recipient was not asked, "
			"and this is what another one got");
		say_reply(t, answer->reply, answer->stage);
	} else if (answer->stage == ROLLCALL__STAGE__STAGE_RCPT) {
		command(t, "RCPT TO:<", d->local, strlen(d->local), d->domain);
		if (answer->reply && answer->reply->code)
			say_reply(t, answer->reply, answer->stage);
		else if (answer->failure != ROLLCALL__FAILURE__FAILURE_NONE)
			note(t, failure_text(answer->failure));
	}
	say_controls(t, report, answer->session, answer->at_ms, INT64_MAX, d->domain);
	if (s->quit) {
		command(t, "QUIT", "", 0, NULL);
		say_reply(t, s->quit, ROLLCALL__STAGE__STAGE_QUIT);
	}
	if (s->ended_failure != ROLLCALL__FAILURE__FAILURE_NONE) {
		snprintf(text, sizeof(text), "it ended at %s: %s", stage_text(s->ended_stage),
			 failure_text(s->ended_failure));
		note(t, text);
	}
}

static void say_local_tries(struct telling *t, const Rollcall__Answer *answer)
{
	char text[200];

	if (!answer->local_tries)
		return;
	snprintf(
	    text, sizeof(text),
	    "asked %u time%s before within this attempt; the server wanted a short wait each time",
	    answer->local_tries, answer->local_tries == 1 ? "" : "s");
	note(t, text);
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

static json_t *attempt_json(const struct results_detail *d, const struct rc_rules *rules,
			    const struct results_part *part, const Rollcall__Report *report,
			    const Rollcall__Answer *answer)
{
	const Rollcall__Session *s = answer->session && answer->session <= report->n_sessions
					 ? report->sessions[answer->session - 1]
					 : NULL;
	struct telling t = { json_array(), rules, d->row.provider };
	char text[200];

	if (!t.lines)
		return NULL;
	say_local_tries(&t, answer);
	if (s) {
		say_session(&t, report, answer, d);
	} else {
		snprintf(text, sizeof(text), "%s: %s", stage_text(answer->stage),
			 failure_text(answer->failure));
		note(&t, text);
	}
	/* Controls that another session of the shard asked belong to the verdict too. */
	for (size_t i = 0; i < report->n_controls; i++) {
		const Rollcall__Control *c = report->controls[i];

		if (c->session != answer->session || !s) {
			note(&t, "in another session of this attempt:");
			say_control(&t, c, d->domain);
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
			 "conversation", t.lines, "outcome", outcome(answer));
}

json_t *transcript_attempts(const struct results_detail *d, const struct rc_rules *rules)
{
	json_t *list = json_array();
	int64_t last_ms = 0;

	for (size_t i = 0; list && i < d->parts; i++) {
		Rollcall__Report *report =
		    rollcall__report__unpack(NULL, d->part[i].len, d->part[i].body);

		for (size_t k = 0; report && k < report->n_answers; k++) {
			const Rollcall__Answer *answer = report->answers[k];
			json_t *attempt;

			if ((int64_t)answer->uid != (d->reused ? d->evidence_uid : d->uid))
				continue;
			attempt = attempt_json(d, rules, &d->part[i], report, answer);
			if (last_ms && answer->at_ms > last_ms)
				json_object_set_new(attempt, "waited_ms",
						    json_integer(answer->at_ms - last_ms));
			last_ms = answer->at_ms;
			json_array_append_new(list, attempt);
		}
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
