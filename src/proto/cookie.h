/* Cookie and Set-Cookie as bytes (RFC 6265bis): finding, cutting out, writing.
 * One linear pass; quotes are data; names compare by exact case.
 * Pure. Threads: any. Layer: proto. */
#pragma once
#include "proto/http.h"

struct hf_cookie_found {
    unsigned count;        /* pairs of that name over all Cookie fields of the head */
    struct hf_slice value; /* of the first */
};
void hf_cookie_find(const struct hf_head *head, struct hf_slice name,
                    struct hf_cookie_found *ret_found);

/* Writes the value of one Cookie field without the pairs called `name`; every other byte stays as
 * it was. Answers the size written, 0 when nothing is left (drop the field). `out` needs room for
 * value.size bytes and may not overlap. */
size_t hf_cookie_remove(struct hf_slice value, struct hf_slice name, char *out);

enum hf_same_site { HF_SAME_SITE_UNSET, HF_SAME_SITE_LAX, HF_SAME_SITE_STRICT, HF_SAME_SITE_NONE };
/* Borrowed texts, valid as configured: checked there. */
struct hf_cookie_attributes {
    struct hf_slice name, path, domain; /* empty domain = host-only */
    uint64_t max_age_s;                 /* 0 = a session cookie */
    enum hf_same_site same_site;
    bool secure, http_only, partitioned;
};
/* NULL when name and attributes agree, else what is wrong: __Host- needs Secure, Path=/, no Domain;
 * __Secure- and Partitioned and SameSite=None need Secure; names are tokens. */
const char *hf_cookie_attributes_check(const struct hf_cookie_attributes *attributes);
/* The value of a Set-Cookie field: NAME=VALUE; Path=..; ... Answers its size, 0 when it does not
 * fit in room. */
size_t hf_cookie_write(const struct hf_cookie_attributes *attributes, struct hf_slice value,
                       char *out, size_t room);
