/* rollcall-worker: takes shards from Kafka, asks the mail servers from its own addresses, and
 * reports what they said. `rollcall-worker doctor` only looks whether its lanes are fit to. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/options.h"
#include "worker/io/config.h"
#include "worker/io/examine.h"
#include "worker/io/kafka_loop.h"
#include "worker/io/worker.h"

static const char program[] = "rollcall-worker";

static int fail(const struct rc_error *err)
{
	fprintf(stderr, "%s: %s\n", program, err->text);
	return err->status == RC_INVALID ? 2 : 1;
}

int main(int argc, char **argv)
{
	struct worker_config config;
	struct rc_options *options = NULL;
	struct rc_error err = { 0 };
	enum rc_log_level level;
	int rest = argc;
	int code = 0;

	memset(&config, 0, sizeof(config));
	const enum rc_status status =
	    rc_options_parse(worker_config_table(), program, "[options] [doctor]", argc, argv,
			     &config, &options, &rest, &err);

	if (status == RC_CONFLICT)
		return 0;
	if (status != RC_OK)
		return fail(&err);
	const bool examine = rest + 1 == argc && strcmp(argv[rest], "doctor") == 0;

	if (rest < argc && !examine) {
		rc_error_set(&err, RC_INVALID, "`%s` is no option; see --help", argv[rest]);
		code = fail(&err);
	} else if (rc_log_level_parse(config.log_level, &level) != 0) {
		rc_error_set(&err, RC_INVALID,
			     "log-level: `%s` is none of debug, info, warn, error",
			     config.log_level);
		code = fail(&err);
	} else {
		rc_log_init(program, level, config.log_addresses);
		if (examine)
			code = examine_run(&config, stdout, &err);
		else if (worker_run(&config, &err) != RC_OK)
			code = fail(&err);
		if (examine && code == EXAMINE_REFUSED)
			code = fail(&err);
	}
	rc_options_free(options);
	if (kafka_loop_lingers())
		_exit(code);
	return code;
}
