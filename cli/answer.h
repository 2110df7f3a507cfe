/*
 * answer - what the server answered, as the commands read and print it. No failure: what is not there is "" or 0.
 */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include <jansson.h>
#include <stdint.h>

/* A member's text; it belongs to `json`. It may come from a mail server: to a terminal it goes through text_put(). */
const char *answer_text(const json_t *json, const char *name);
/* A member's number, rounded to the nearest whole one. */
int64_t answer_count(const json_t *json, const char *name);
/* The whole of it on standard output, on a line of its own, for a program that reads on. */
void answer_print(const json_t *json);

#endif
