/* An HTTP message head as the steps see it, whatever protocol version carried it (RFC 9110).
 * Offsets are relative to `base`, so a head survives its buffer's move with one store.
 * Never owns bytes. Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"
#include <stdint.h>

enum {
    HF_FIELDS_MAX = 256,          /* room in a head; limits.headers may be set up to it */
    HF_HEAD_SIZE_MAX = 48 * 1024, /* limits.request_head may be set up to it */
    HF_HEAD_LINE_MAX = 8 * 1024,  /* a request line, a status line, one field line */
    HF_METHOD_SIZE_MAX = 64,
    HF_TRAILER_SIZE_MAX = 4 * 1024,
};

/* Compared by exact case; anything else is OTHER and forwarded verbatim. */
enum hf_method {
    HF_METHOD_OTHER,
    HF_METHOD_GET,
    HF_METHOD_HEAD,
    HF_METHOD_POST,
    HF_METHOD_PUT,
    HF_METHOD_DELETE,
    HF_METHOD_CONNECT,
    HF_METHOD_OPTIONS,
    HF_METHOD_TRACE,
    HF_METHOD_PATCH,
};
/* RFC 9110 9.2.2; OTHER, POST, PATCH and CONNECT are not. */
bool hf_method_idempotent(enum hf_method method);

/* Fields that some part of the proxy looks at; the table is http_fields.def (id, "name"). */
enum hf_field_id {
    HF_FIELD_OTHER,
#define HF_FIELD_ROW(id, name) HF_FIELD_##id,
#include "proto/http_fields.def"
#undef HF_FIELD_ROW
    HF_FIELD_COUNT
};

struct hf_span { /* a part of the head */
    uint32_t offset;
    uint32_t size;
};

struct hf_field {
    uint16_t name_size;
    uint16_t value_size; /* trimmed of OWS */
    uint32_t name;       /* offset from base */
    uint32_t value;
    uint8_t id; /* enum hf_field_id */
    bool drop;  /* never forwarded: hop-by-hop, named by Connection, or written anew */
};

/* How the message's content is delimited on the wire it came by (RFC 9112 6.3). */
enum hf_body {
    HF_BODY_NONE,
    HF_BODY_LENGTH, /* content_length bytes, > 0 */
    HF_BODY_CHUNKED,
    HF_BODY_UNTIL_CLOSE, /* responses only */
};

struct hf_head {
    const char *base; /* borrowed: the buffer that holds the head; set again if it moves */
    uint32_t size;    /* bytes of the head, final empty line included */
    uint16_t field_count;
    uint8_t version_minor;   /* HTTP/1.x */
    uint8_t body;            /* enum hf_body */
    uint64_t content_length; /* of HF_BODY_LENGTH; for a HEAD/304 response what was announced */
    bool has_content_length;
    bool keep_alive; /* the peer will keep the connection, by version and Connection (9112 9.3) */
    bool upgrade;    /* `Connection: upgrade` and an Upgrade field are both there */
    /* of a request */
    bool expect_continue;
    uint8_t method;        /* enum hf_method */
    bool options_asterisk; /* OPTIONS * */
    struct hf_span method_text;
    struct hf_span path; /* origin-form: "/a/b?q"; "*"; scheme and host cut off absolute-form */
    struct hf_span authority; /* from absolute-form, else from Host; may be empty (HTTP/1.0) */
    /* of a response */
    uint16_t status;
    struct hf_span reason_phrase;
    struct hf_field fields[HF_FIELDS_MAX];
};

static inline struct hf_slice hf_head_span(const struct hf_head *head, struct hf_span span)
{
    return hf_slice(head->base + span.offset, span.size);
}
static inline struct hf_slice hf_field_name(const struct hf_head *head,
                                            const struct hf_field *field)
{
    return hf_slice(head->base + field->name, field->name_size);
}
static inline struct hf_slice hf_field_value(const struct hf_head *head,
                                             const struct hf_field *field)
{
    return hf_slice(head->base + field->value, field->value_size);
}
/* The first field of that id, or NULL. */
const struct hf_field *hf_head_find(const struct hf_head *head, enum hf_field_id id);
/* The first field of that name (any case), or NULL; for names given by configuration. */
const struct hf_field *hf_head_find_name(const struct hf_head *head, struct hf_slice name);
/* Which of the known fields a name is, whatever its case; OTHER for the rest. Any bytes will do. */
enum hf_field_id hf_field_identify(struct hf_slice name);
/* The lower-case name of a known field; not of OTHER. A literal. */
struct hf_slice hf_field_text(enum hf_field_id id);
/* "OK", "Not Found"; "" for unknown codes. */
const char *hf_status_phrase(unsigned status);
