/* The path of a request target, for routing only: the bytes forwarded stay as they came.
 * Source: RFC 3986 5.2.4 and 6.2.2. Pure. Layer: proto. */
#pragma once
#include "base/slice.h"

enum { HF_PATH_MAX = 8 * 1024 };
/* Normalises a path without query: unreserved percent-escapes decoded, dot segments removed, runs
 * of slashes made one, path parameters (";...") cut from each segment. `out` needs path.size bytes.
 * Answers the size; it always starts with "/" and can never climb above it. Escaped "/" and "%00"
 * stay escaped. */
size_t hf_uri_normalise_path(struct hf_slice path, char *out);
/* Whether normalised `path` lies under route prefix "/api/" ("/api" itself too) or "/api". */
bool hf_uri_path_under(struct hf_slice path, struct hf_slice prefix);
/* Host without its port, brackets kept; compare without case. */
struct hf_slice hf_uri_host_only(struct hf_slice authority);
