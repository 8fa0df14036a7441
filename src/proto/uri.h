/* The path of a request target, for decisions only: the bytes forwarded stay as they came.
 * Source: RFC 3986 5.2.4 and 6.2.2. Pure. Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"

enum { HF_PATH_MAX = 8 * 1024 };
/* Normalises a path without query: unreserved percent-escapes decoded, dot segments removed, runs
 * of slashes made one, path parameters (";...") cut from each segment. `out` needs path.size bytes,
 * at least one, and may not overlap. Answers the size; it always starts with "/" and can never
 * climb above it: what starts with anything else ("*") gives "/". Other escapes, "%2F" and "%00"
 * among them, stay, in upper case. */
size_t hf_uri_normalise_path(struct hf_slice path, char *out);
/* Walks the path parameters called `name` of a request target (RFC 3986 3.3): `;name=value` in any
 * segment, by exact case and without decoding, up to "?". Start with *at = 0. False: no more. */
bool hf_uri_next_param(struct hf_slice target, struct hf_slice name, size_t *at,
                       struct hf_slice *ret_value);
/* Whether normalised `path` lies under route prefix "/api/" ("/api" itself too) or "/api". */
bool hf_uri_path_under(struct hf_slice path, struct hf_slice prefix);
/* host[:port] as a client may name it: a name or an IP literal, no userinfo, no "%", no comma (two
 * Host fields made one), and a port of 1-65535 if any (RFC 3986 3.2, RFC 9110 7.2). */
bool hf_uri_authority_valid(struct hf_slice authority);
/* Host without its port, brackets kept; compare without case. */
struct hf_slice hf_uri_host_only(struct hf_slice authority);
