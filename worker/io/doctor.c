/* See doctor.h. */
#include "worker/io/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/io/callout.h"

enum { DNSBLS_TEXT_MAX = 2048 };

/* A question under way. */
struct errand {
	struct dns_ask ask; /* first: it is found by it */
	struct look *look;
	struct errand *next;
	const struct fitness_question *question;
	struct callout *callout; /* NULL: a look-up */
};

struct look {
	struct look *next;
	struct doctor *doctor;
	struct lane *lane;
	struct fitness *fitness;
	struct errand *errands;
	bool over;
};

struct doctor {
	uv_loop_t *loop;
	struct network *network;
	struct dns *dns;
	struct doctor_settings settings;
	doctor_done *done;
	void *owner;
	struct look *looks;
	uv_timer_t later; /* ends looks outside of their own callbacks */
	size_t dnsbl_n;
	const char *dnsbls[FITNESS_DNSBLS_MAX];
	char dnsbls_text[DNSBLS_TEXT_MAX];
};

struct doctor_settings doctor_settings_of(const struct worker_config *config,
					  const struct rc_target_list *allow)
{
	return (struct doctor_settings){
		.target = config->doctor_target,
		.dnsbls = config->dnsbls,
		.port = (uint16_t)config->smtp_port,
		.allow = allow,
		.only_allowed = config->time_scale != 1 || !config->pace,
	};
}

static bool allowed(const void *context, const struct probe_ip *ip, const char **ret_why)
{
	const struct doctor_settings *settings = context;

	if (!settings->only_allowed)
		return rc_target_allowed(settings->allow, ip->family, ip->octets, ret_why);
	*ret_why = "with TIME_SCALE or PACE changed only ALLOW_TARGETS are";
	return rc_target_listed(settings->allow, ip->family, ip->octets);
}

static void look_free(struct look *look)
{
	while (look->errands != NULL) {
		struct errand *errand = look->errands;

		look->errands = errand->next;
		dns_cancel(&errand->ask);
		callout_free(errand->callout);
		free(errand);
	}
	fitness_free(look->fitness);
	free(look);
}

static void ask_on(struct look *look);

static void on_looked_up(struct dns_ask *ask, const struct dns_answer *answer)
{
	struct errand *errand = (struct errand *)ask;

	errand->ask.entry = NULL;
	fitness_looked_up(errand->look->fitness, errand->question, answer);
	ask_on(errand->look);
}

static void on_called(struct callout *callout, const struct fitness_call *call, void *owner)
{
	struct errand *errand = owner;

	(void)callout;
	fitness_called(errand->look->fitness, errand->question, call);
	ask_on(errand->look);
}

static void run(struct errand *errand)
{
	static const struct dns_answer broken = { .state = DNS_BROKEN };
	struct look *look = errand->look;
	const struct fitness_question *question = errand->question;
	const struct dns_answer *answer = &broken;

	if (question->kind != FITNESS_LOOK_UP) {
		static const struct fitness_call none = {
			.greeting.text = "out of memory",
			.abuse.text = "out of memory",
			.postmaster.text = "out of memory",
		};

		errand->callout = callout_new(look->doctor->loop, look->doctor->network, look->lane,
					      question, on_called, errand);
		if (errand->callout == NULL)
			fitness_called(look->fitness, question, &none);
		return;
	}
	errand->ask.answered = on_looked_up;
	switch (dns_ask(look->doctor->dns, &errand->ask, question->name, question->type, true,
			&answer)) {
	case DNS_LATER:
		return;
	case DNS_NOW:
	case DNS_NEVER:
		fitness_looked_up(look->fitness, question, answer);
		return;
	}
}

static void on_later(uv_timer_t *timer)
{
	struct doctor *doctor = timer->data;
	struct look **at = &doctor->looks;

	while (*at != NULL) {
		struct look *look = *at;

		if (!look->over) {
			at = &look->next;
			continue;
		}
		*at = look->next;
		doctor->done(look->lane, look->fitness, doctor->owner);
		look_free(look);
	}
}

/* Every question that is not under way yet. */
static void ask_on(struct look *look)
{
	const struct fitness_question *question;

	while ((question = fitness_ask(look->fitness)) != NULL) {
		struct errand *errand = calloc(1, sizeof(*errand));

		if (errand == NULL) {
			static const struct dns_answer broken = { .state = DNS_BROKEN };
			static const struct fitness_call none = { .greeting.text =
								      "out of memory" };

			fitness_looked_up(look->fitness, question, &broken);
			fitness_called(look->fitness, question, &none);
			continue;
		}
		errand->look = look;
		errand->question = question;
		errand->next = look->errands;
		look->errands = errand;
		run(errand);
	}
	if (fitness_done(look->fitness)) {
		look->over = true;
		uv_timer_start(&look->doctor->later, on_later, 0, 0);
	}
}

bool doctor_look(struct doctor *doctor, struct lane *lane)
{
	struct fitness_lane fitness_lane = {
		.public_address = lane->public_address,
		.bind_address = lane->bind_address,
		.helo = lane->helo,
		.mail_from = lane->mail_from,
		.problem = lane->proved ? NULL : lane->problem,
	};
	struct fitness_settings settings = {
		.target = doctor->settings.target,
		.port = doctor->settings.port,
		.dnsbl_n = doctor->dnsbl_n,
		.allowed = allowed,
		.context = &doctor->settings,
	};
	struct look *look;

	for (look = doctor->looks; look != NULL; look = look->next)
		if (look->lane == lane)
			return true;
	memcpy(settings.dnsbls, doctor->dnsbls, sizeof(settings.dnsbls));
	look = calloc(1, sizeof(*look));
	if (look == NULL)
		return false;
	look->doctor = doctor;
	look->lane = lane;
	look->fitness = fitness_new(&fitness_lane, &settings);
	if (look->fitness == NULL) {
		free(look);
		return false;
	}
	look->next = doctor->looks;
	doctor->looks = look;
	ask_on(look);
	return true;
}

size_t doctor_looking(const struct doctor *doctor)
{
	size_t n = 0;

	for (const struct look *look = doctor->looks; look != NULL; look = look->next)
		n++;
	return n;
}

static enum rc_status read_dnsbls(struct doctor *doctor, struct rc_error *err)
{
	char *save = NULL;

	if (doctor->settings.dnsbls == NULL)
		return RC_OK;
	if (strlen(doctor->settings.dnsbls) >= sizeof(doctor->dnsbls_text))
		return rc_error_set(err, RC_INVALID, "ROLLCALL_DNSBLS: more than %d octets",
				    DNSBLS_TEXT_MAX - 1);
	snprintf(doctor->dnsbls_text, sizeof(doctor->dnsbls_text), "%s", doctor->settings.dnsbls);
	for (char *zone = strtok_r(doctor->dnsbls_text, ", \t", &save); zone != NULL;
	     zone = strtok_r(NULL, ", \t", &save)) {
		if (!dns_name_valid(zone) || strlen(zone) > 170)
			return rc_error_set(err, RC_INVALID,
					    "ROLLCALL_DNSBLS: `%.100s` is no name of a block list; "
					    "write such as zen.spamhaus.org",
					    zone);
		if (doctor->dnsbl_n == FITNESS_DNSBLS_MAX)
			return rc_error_set(err, RC_INVALID,
					    "ROLLCALL_DNSBLS: more than %d block lists",
					    FITNESS_DNSBLS_MAX);
		doctor->dnsbls[doctor->dnsbl_n++] = zone;
	}
	return RC_OK;
}

enum rc_status doctor_new(uv_loop_t *loop, struct network *network, struct dns *dns,
			  const struct doctor_settings *settings, doctor_done *done, void *owner,
			  struct doctor **ret_doctor, struct rc_error *err)
{
	struct doctor *doctor = calloc(1, sizeof(*doctor));
	enum rc_status status;

	if (doctor == NULL)
		return rc_error_set(err, RC_NO_MEMORY, "out of memory for the doctor");
	doctor->loop = loop;
	doctor->network = network;
	doctor->dns = dns;
	doctor->settings = *settings;
	doctor->done = done;
	doctor->owner = owner;
	status = read_dnsbls(doctor, err);
	if (status != RC_OK) {
		free(doctor);
		return status;
	}
	uv_timer_init(loop, &doctor->later);
	doctor->later.data = doctor;
	*ret_doctor = doctor;
	return RC_OK;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void doctor_free(struct doctor *doctor)
{
	if (doctor == NULL)
		return;
	while (doctor->looks != NULL) {
		struct look *look = doctor->looks;

		doctor->looks = look->next;
		look_free(look);
	}
	uv_close((uv_handle_t *)&doctor->later, on_closed);
}
