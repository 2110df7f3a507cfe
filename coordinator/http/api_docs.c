/* What the server says of itself, without a key: the contract, and a page for each reason. */
#include <string.h>

#include "coordinator/http/api.h"
#include "coordinator/http/openapi.h"
#include "coordinator/http/reason_pages.h"

void call_openapi(struct request *r)
{
	reply_text(r, MHD_HTTP_OK, "application/yaml", (const char *)openapi_text,
		   openapi_text_len);
}

static void reply_page(struct request *r, const char *name, size_t len)
{
	for (const struct reason_page *page = reason_pages; page->name; page++)
		if (strlen(page->name) == len && memcmp(page->name, name, len) == 0) {
			reply_text(r, MHD_HTTP_OK, "text/markdown; charset=utf-8",
				   (const char *)page->text, page->len);
			return;
		}
	reply_problem(r, MHD_HTTP_NOT_FOUND, "not-found",
		      "there is no reason \"%.60s\": /docs/reasons lists them", name);
}

void call_reasons(struct request *r)
{
	reply_page(r, "README", strlen("README"));
}

/* The index links its pages as files: NAME.md is the same page. */
void call_reason(struct request *r)
{
	size_t len = strlen(r->id);

	if (len > 3 && strcmp(r->id + len - 3, ".md") == 0)
		len -= 3;
	reply_page(r, r->id, len);
}
