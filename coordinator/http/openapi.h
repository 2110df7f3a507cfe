/* openapi - docs/openapi.yaml, built in (see CMakeLists.txt of this room). */
#ifndef ROLLCALL_COORDINATOR_HTTP_OPENAPI_H
#define ROLLCALL_COORDINATOR_HTTP_OPENAPI_H

#include <stddef.h>

extern const unsigned char openapi_text[];
extern const size_t openapi_text_len;

#endif
