/* Which endpoint a request means, and whether it may. Pure: no I/O, no HTTP library.
 * Threads: any. Layer: admin. */
#pragma once
#include "base/slice.h"
#include "model/config.h"

enum { HF_ADMIN_BODY_MAX = 64 * 1024 };

enum hf_admin_endpoint {
    HF_ADMIN_NOWHERE,
    HF_ADMIN_PAGE,         /* GET / */
    HF_ADMIN_METRICS,      /* GET /metrics */
    HF_ADMIN_STATUS,       /* GET /v1/status */
    HF_ADMIN_SERVERS,      /* GET /v1/servers */
    HF_ADMIN_SERVER,       /* GET /v1/servers/POOL/NAME */
    HF_ADMIN_SERVER_STATE, /* POST /v1/servers/POOL/NAME/state */
};

struct hf_admin_route {
    enum hf_admin_endpoint endpoint;
    struct hf_slice pool, server; /* borrowed from the path; SERVER and SERVER_STATE */
};

/* The path without query, percent-decoded. */
struct hf_admin_route hf_admin_route(struct hf_slice path);
/* For the Allow field (RFC 9110 10.2.1): "GET, HEAD" or "POST". */
const char *hf_admin_methods(enum hf_admin_endpoint endpoint);

struct hf_admin_request { /* what the guard looks at; absent fields have bytes == NULL */
    struct hf_slice method;
    struct hf_slice host, origin, content_type, authorization, content_length;
    bool chunked; /* has a Transfer-Encoding */
};

struct hf_admin_refusal {
    unsigned status;
    const char *error; /* what is wrong, and what to do */
};

/* NULL = go on. Looked at, in this order: that the path and method exist; without a token, that
 * Host names this machine's loopback or the bind address, because a page of the web can make a
 * browser send requests here under a name of its own (DNS rebinding); with one, the bearer token
 * (RFC 6750 2.1), compared in constant time; the page itself needs none, it holds nothing and asks
 * for it. For changes: no foreign Origin and application/json only, so that no other site's form or
 * script makes them; and a body of known size within HF_ADMIN_BODY_MAX. */
const struct hf_admin_refusal *hf_admin_guard(const struct hf_config *config,
                                              enum hf_admin_endpoint endpoint,
                                              const struct hf_admin_request *request);
