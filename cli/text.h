/*
 * text - numbers, spans of time and other people's text, for a person's eyes. No allocation, no failure.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TEXT_MAX = 48 };
/* 1234567 -> "1,234,567". Returns `ret_text`. */
const char *text_count(int64_t n, char ret_text[TEXT_MAX]);
/* 75 -> "1:15", 7384 -> "2:03:04", 200000 -> "2d 7h". Returns `ret_text`. */
const char *text_span(int64_t seconds, char ret_text[TEXT_MAX]);
/* Writes `text` with every control octet as \xNN: what a mail server said must not reach the terminal as commands. */
void text_put(FILE *out, const char *text);
/* The columns of the terminal at `fd`, 80 when it does not say. */
size_t text_columns(int fd);

#endif
