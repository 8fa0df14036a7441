/* What the files of the HTTP/1 codec share; nothing outside proto includes it.
 * Pure. Threads: any. Layer: proto. */
#pragma once
#include "proto/http1.h"

/* Each of these looks at what the line reader filled in and answers HF_HTTP1_OK, or why not. */

/* The method id and the parts of the target (RFC 9112 3.2); `target` is all of it. */
enum hf_http1_reason hf_http1_settle_target(struct hf_head *head, struct hf_span target);
/* Host, framing, hop-by-hop fields, Expect and Upgrade of a whole request head. */
enum hf_http1_reason hf_http1_settle_request(struct hf_head *head);
/* The same of a response to a request of that method. */
enum hf_http1_reason hf_http1_settle_response(struct hf_head *head, enum hf_method request_method);

enum {
    HF_HTTP1_OPTIONS_MAX = 64, /* connection options that name fields, over all Connection fields */
};

struct hf_http1_framing { /* what the framing fields of one head say, zeroed at the start */
    bool has_length, has_coding;
    bool coding_is_chunked; /* `chunked`, alone */
    bool coding_is_list;    /* known to end in `chunked`, with other codings before it */
    uint64_t length;
    enum hf_http1_reason wrong; /* the first fault found */
};
/* Reads every Content-Length and Transfer-Encoding field of the head. */
void hf_http1_read_framing(const struct hf_head *head, struct hf_http1_framing *framing);

struct hf_http1_connection {
    bool close, keep_alive, upgrade; /* options found */
    bool too_many;
};
/* Reads every Connection field, and marks the fields that it names `drop` (RFC 9110 7.6.1), save
 * those that are for all recipients. */
void hf_http1_read_connection(struct hf_head *head, struct hf_http1_connection *connection);

/* Takes the next element of a comma-separated list off *rest, trimmed; empty ones are skipped
 * (RFC 9110 5.6.1). False at the end. */
bool hf_http1_next_element(struct hf_slice *rest, struct hf_slice *ret_element);
