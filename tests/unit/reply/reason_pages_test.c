/* docs/reasons/: a page for each reason of common/reply/reason.h, saying what the table says, and no page of nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include "common/reply/reason.h"

#define PAGES SOURCE_DIR "/docs/reasons"

enum { PAGE_MAX = 8192 };

/* Lines joined by blanks, so that a sentence may break anywhere. */
static void read_page(const char *name, char ret_text[PAGE_MAX])
{
	char path[512];
	FILE *f;
	size_t len;

	snprintf(path, sizeof(path), PAGES "/%s.md", name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s has no page %s", name, path);
	len = fread(ret_text, 1, PAGE_MAX - 1, f);
	fclose(f);
	if (len == PAGE_MAX - 1)
		fail_msg("%s is longer than %d octets", path, PAGE_MAX - 2);
	ret_text[len] = '\0';
	for (char *p = ret_text; *p; p++)
		if (*p == '\n' && p[1] != '\n' && p > ret_text && p[-1] != '\n')
			*p = ' ';
}

static void holds(const char *name, const char *page, const char *text)
{
	if (!strstr(page, text))
		fail_msg("docs/reasons/%s.md does not say: %s", name, text);
}

static void test_each_reason_has_its_page(void **state)
{
	static const char *const sections[] = { "## What it means\n", "## How sure it is\n",
						"## What to do with it\n" };
	char page[PAGE_MAX], text[256];

	(void)state;
	for (int i = 1; i < RC_REASON_COUNT; i++) {
		enum rc_reason reason = (enum rc_reason)i;
		const char *name = rc_reason_name(reason);

		read_page(name, page);
		snprintf(text, sizeof(text), "# %s\n", name);
		if (strncmp(page, text, strlen(text)) != 0)
			fail_msg("docs/reasons/%s.md does not begin with its name", name);
		holds(name, page, rc_reason_text(reason));
		snprintf(text, sizeof(text), "Status `%s`, grade `%s`.",
			 rc_result_status_name(rc_reason_status(reason)),
			 rc_grade_name(rc_reason_grade(reason)));
		holds(name, page, text);
		for (size_t k = 0; k < sizeof(sections) / sizeof(*sections); k++)
			holds(name, page, sections[k]);
	}
}

static void test_no_page_of_nobody(void **state)
{
	DIR *folder = opendir(PAGES);
	int pages = 0;

	(void)state;
	assert_non_null(folder);
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char name[256];
		size_t len = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "README.md") == 0)
			continue;
		if (len < 4 || len >= sizeof(name) || strcmp(entry->d_name + len - 3, ".md") != 0)
			fail_msg("docs/reasons/%s is no page", entry->d_name);
		memcpy(name, entry->d_name, len - 3);
		name[len - 3] = '\0';
		if (rc_reason_find(name) == RC_REASON_UNSET)
			fail_msg("docs/reasons/%s: there is no such reason", entry->d_name);
		pages++;
	}
	closedir(folder);
	assert_int_equal(pages, RC_REASON_COUNT - 1);
}

static void test_the_index_links_them_all(void **state)
{
	char page[PAGE_MAX], link[160];

	(void)state;
	read_page("README", page);
	for (int i = 1; i < RC_REASON_COUNT; i++) {
		const char *name = rc_reason_name((enum rc_reason)i);

		snprintf(link, sizeof(link), "[%s](%s.md)", name, name);
		holds("README", page, link);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_reason_has_its_page),
		cmocka_unit_test(test_no_page_of_nobody),
		cmocka_unit_test(test_the_index_links_them_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
