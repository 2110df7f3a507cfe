/* See probe_state.h. Evidence is kept once, in the arena, and a part only points at it. */
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "worker/core/ip.h"
#include "worker/core/probe_state.h"

enum { TRANSCRIPT_LINES_MAX = 2000 };

Rollcall__Reply *probe_keep_reply(struct probe *p)
{
	const struct smtp_reply *from = &p->session.reply;
	size_t enhanced = strlen(from->enhanced);
	struct kept {
		Rollcall__Reply reply;
		char octets[];
	} *kept = rc_arena_alloc(p->arena, sizeof(*kept) + from->text_len + enhanced + 1);

	if (!kept) {
		p->no_memory = true;
		return NULL;
	}
	rollcall__reply__init(&kept->reply);
	kept->reply.code = from->code;
	kept->reply.cut = from->cut;
	if (enhanced)
		kept->reply.enhanced = memcpy(kept->octets, from->enhanced, enhanced + 1);
	kept->reply.text.len = from->text_len;
	kept->reply.text.data = (uint8_t *)kept->octets + enhanced + 1;
	if (from->text_len)
		memcpy(kept->reply.text.data, from->text, from->text_len);
	return &kept->reply;
}

struct probe_talk *probe_talk_new(struct probe *p, const char *host, const struct probe_ip *ip,
				  uint64_t now_ms)
{
	struct probe_talk *talk = rc_arena_alloc(p->arena, sizeof(*talk) + IP_TEXT_MAX);

	if (!talk) {
		p->no_memory = true;
		return NULL;
	}
	rollcall__session__init(&talk->message);
	talk->message.mx_host = (char *)host;
	talk->message.mx_address = (char *)ip_format(ip, (char *)(talk + 1));
	talk->message.mx_port = p->config->port;
	talk->message.started_at_ms = probe_wall(p, now_ms);
	talk->started_ms = now_ms;
	if (p->talks_last)
		p->talks_last->next = talk;
	else
		p->talks = talk;
	p->talks_last = talk;
	if (!p->talks_new)
		p->talks_new = talk;
	return talk;
}

static void add_line(struct probe *p, const char *head, const char *text, size_t len)
{
	Rollcall__Session *m = &p->talk->message;
	size_t head_len = strlen(head);
	ProtobufCBinaryData *line;

	if (m->n_transcript >= TRANSCRIPT_LINES_MAX)
		return;
	if (m->n_transcript == p->talk->transcript_room) {
		uint32_t room = p->talk->transcript_room ? p->talk->transcript_room * 2 : 16;
		ProtobufCBinaryData *grown = rc_arena_alloc(p->arena, room * sizeof(*grown));

		if (!grown)
			return;
		if (m->n_transcript)
			memcpy(grown, m->transcript, m->n_transcript * sizeof(*grown));
		m->transcript = grown;
		p->talk->transcript_room = room;
	}
	line = &m->transcript[m->n_transcript];
	line->data = rc_arena_alloc(p->arena, head_len + len);
	if (!line->data)
		return;
	memcpy(line->data, head, head_len);
	if (len)
		memcpy(line->data + head_len, text, len);
	line->len = head_len + len;
	m->n_transcript++;
}

void probe_talk_said(struct probe *p, const char *data, size_t len)
{
	if (!p->config->transcript || !p->talk)
		return;
	while (len) {
		const char *end = memchr(data, '\r', len);
		size_t line = end ? (size_t)(end - data) : len;

		add_line(p, "C ", data, line);
		line = line + 2 < len ? line + 2 : len;
		data += line;
		len -= line;
	}
}

void probe_talk_sealed(struct probe *p, const struct probe_tls *info)
{
	Rollcall__Session *m;
	char text[256];
	int len;

	if (!p->talk)
		return;
	m = &p->talk->message;
	m->tls = true;
	m->tls_version = (char *)info->version;
	m->tls_cipher = (char *)info->cipher;
	m->tls_unverified = (char *)(info->unverified ? info->unverified : "");
	if (!p->config->transcript)
		return;
	len = snprintf(text, sizeof(text), "%s, %s%s%s", info->version, info->cipher,
		       info->unverified ? "; the certificate proves nothing: " : "",
		       m->tls_unverified);
	add_line(p, "", text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

void probe_talk_heard(struct probe *p)
{
	const struct smtp_reply *reply = &p->session.reply;
	size_t at = 0, len;
	const char *line;
	bool more;

	if (!p->config->transcript || !p->talk)
		return;
	more = smtp_reply_line(reply, &at, &line, &len);
	if (!more) {
		line = "";
		len = 0;
	}
	do {
		const char *this = line;
		size_t this_len = len;
		char head[32];

		more = more && smtp_reply_line(reply, &at, &line, &len);
		snprintf(head, sizeof(head), "S %u%c%s%s", reply->code, more ? '-' : ' ',
			 reply->enhanced, reply->enhanced[0] ? " " : "");
		add_line(p, head, this, this_len);
	} while (more);
}

bool probe_part_due(const struct probe *p, bool at_once, uint64_t now_ms)
{
	return !p->final_sent && p->counts[RCPT_READY] &&
	       (at_once || now_ms >= p->ready_ms + PROBE_PART_MS ||
		rc_arena_used(p->arena) >= p->part_used + PROBE_PART_OCTETS);
}

/* The conversation's place among the sessions of this part, from 1; 0: none. */
static uint32_t place(struct probe *p, struct probe_talk *talk)
{
	Rollcall__Report *r = &p->report;

	if (!talk || !r->sessions)
		return 0;
	if (talk->part != r->part) {
		r->sessions[r->n_sessions++] = &talk->message;
		talk->part = r->part;
		talk->index = (uint32_t)r->n_sessions;
	}
	return talk->index;
}

static void add_controls(struct probe *p)
{
	Rollcall__Report *r = &p->report;

	for (int i = 0; i < CONTROL_CLOSING; i++) {
		struct probe_control *c = &p->controls[i];

		/* What has an answer, or never will have one. */
		if (c->message.stage == ROLLCALL__STAGE__STAGE_UNSET)
			continue;
		c->message.session = place(p, c->talk);
		p->part_controls[r->n_controls++] = &c->message;
	}
	r->controls = p->part_controls;
}

/* Connections that led nowhere belong to the story too; the one under way only where an answer
 * names it. */
static void add_sessions(struct probe *p)
{
	struct probe_talk *end = p->probing ? p->talk : NULL;
	size_t most = p->counts[RCPT_READY] + (size_t)CONTROLS;

	for (struct probe_talk *t = p->talks_new; t && t != end; t = t->next)
		most++;
	/* Without memory the answers go without their conversations. */
	if (p->talks)
		p->report.sessions = rc_arena_alloc(p->arena, most * sizeof(*p->report.sessions));
	for (; p->talks_new && p->talks_new != end; p->talks_new = p->talks_new->next)
		if (p->talks_new->part == 0)
			place(p, p->talks_new);
}

const Rollcall__Report *probe_part(struct probe *p, bool final, uint64_t now_ms)
{
	const struct probe_identity *id = p->identity;
	Rollcall__Report *r = &p->report;
	uint32_t part = r->part + 1;

	rollcall__report__init(r);
	r->shard = p->shard->id;
	r->attempt = p->shard->attempt;
	r->epoch = p->shard->epoch;
	r->lane = p->shard->lane;
	r->part = part;
	r->final = final;
	r->worker = (char *)id->worker;
	r->lane_name = (char *)id->lane_name;
	r->source_ip = (char *)id->source_ip;
	r->helo = (char *)id->helo;
	r->mail_from = (char *)id->mail_from;
	r->reported_at_ms = probe_wall(p, now_ms);
	add_sessions(p);
	r->answers = p->part_answers;
	while (p->ready_first != PROBE_NOBODY) {
		struct probe_rcpt *rcpt = &p->rcpts[p->ready_first];

		p->ready_first = rcpt->next;
		rcpt->answer.session = place(p, rcpt->talk);
		r->answers[r->n_answers++] = &rcpt->answer;
		rcpt_set_state(p, rcpt, RCPT_REPORTED, now_ms);
	}
	p->ready_last = PROBE_NOBODY;
	add_controls(p);
	if (p->health_known) {
		p->health.mx_group = p->shard->mx_group;
		r->health = &p->health;
	}
	p->final_sent = final;
	p->part_used = rc_arena_used(p->arena);
	return r;
}
