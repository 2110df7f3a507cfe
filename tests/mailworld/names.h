/*
 * names - the words that made-up people, domains and mistakes are put together from.
 *
 * Static data. The order is part of every seed's world.
 */
#ifndef MAILWORLD_NAMES_H
#define MAILWORLD_NAMES_H

enum {
	MW_FIRSTS = 64,
	MW_LASTS = 80,
	MW_ADJECTIVES = 40,
	MW_NOUNS = 40,
	MW_BAD_CELLS = 16,
	MW_UTF8_FIRSTS = 8,
	MW_IDN_LABELS = 5
};

extern const char *const mw_firsts[MW_FIRSTS];
extern const char *const mw_lasts[MW_LASTS];
extern const char *const mw_adjectives[MW_ADJECTIVES];
extern const char *const mw_nouns[MW_NOUNS];
/* Cells of a list that are no address. */
extern const char *const mw_bad_cells[MW_BAD_CELLS];
/* First names beyond ASCII, in UTF-8. */
extern const char *const mw_utf8_firsts[MW_UTF8_FIRSTS];

/* A label as people write it, and as the DNS has it (RFC 5890). */
struct mw_idn_label {
	const char *shown, *name;
};
extern const struct mw_idn_label mw_idn_labels[MW_IDN_LABELS];

#endif
