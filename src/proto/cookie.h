/* Cookie and Set-Cookie as bytes (RFC 6265bis): finding, cutting out, prefixing, writing.
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

/* The same among the Set-Cookie fields of an answer; `value` is the last one's, which a client
 * keeps. Those that end the cookie (no value, Max-Age=0, Expires in 1970) are not counted. */
void hf_cookie_find_set(const struct hf_head *head, struct hf_slice name,
                        struct hf_cookie_found *ret_found);

/* Walks the pairs of that name over all Cookie fields; start from a zeroed cursor. *ret_value:
 * trimmed of blanks. False: there are no more. */
struct hf_cookie_cursor {
    unsigned field;
    size_t at; /* in the value of that field */
};
bool hf_cookie_next(const struct hf_head *head, struct hf_slice name,
                    struct hf_cookie_cursor *cursor, struct hf_slice *ret_value);

/* Writes the value of one Cookie field without the pairs called `name`; every other byte stays as
 * it was. Answers the size written, 0 when nothing is left (drop the field). `out` needs room for
 * value.size bytes and may not overlap. */
size_t hf_cookie_remove(struct hf_slice value, struct hf_slice name, char *out);

/* A prefix is a label (letters, digits, ".", "_", "-") and a separator in front of a cookie's
 * value, inside the quotes of a quoted one: `app1~abc`, `"app1~abc"`. */
/* Finds it in a pair's value: *ret_label without the separator, *ret_rest what is behind it. False,
 * both untouched: there is none. */
bool hf_cookie_prefix(struct hf_slice value, char separator, struct hf_slice *ret_label,
                      struct hf_slice *ret_rest);
/* Takes the prefixes out of the pairs called `name` of one Cookie field, in place; every other byte
 * stays as it was. Answers the new size. */
size_t hf_cookie_cut_prefix(char *field, size_t size, struct hf_slice name, char separator);
/* Where a prefix goes in the value of a Set-Cookie field (RFC 6265 5.2): the offset behind "=",
 * blanks and an opening quote. 0: another cookie, none at all, or an empty value. */
size_t hf_cookie_set_prefix_at(struct hf_slice field, struct hf_slice name);

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
