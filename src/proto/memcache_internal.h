/* What the files of the memcached codec share; nothing outside proto includes it.
 * Pure. Threads: any. Layer: proto. */
#pragma once
#include "proto/memcache.h"

struct hf_memcache_line { /* a command line as its readers take it apart */
    struct hf_slice rest; /* what is not read yet, without the line's end */
    bool clean;           /* no control character anywhere in it */
    bool has_value;       /* a value of value_size bytes follows */
    uint32_t value_size;
};

/* The next run of bytes that are no blanks; false at the end of the line. */
bool hf_memcache_next_token(struct hf_slice *rest, struct hf_slice *ret_token);
/* Decimal, at most `max`; leading zeros are fine. */
bool hf_memcache_read_number(struct hf_slice text, uint64_t max, uint64_t *ret_number);
/* The same with an optional "-": an expiry. */
bool hf_memcache_read_exptime(struct hf_slice text, int64_t *ret_exptime);

/* The request is refused, and the connection goes on; answers OK always, for `return`. */
enum hf_memcache_reason hf_memcache_refuse(struct hf_memcache_request *request,
                                           enum hf_memcache_reason reason);
/* The same for a value that is too large; `operation` is what it would have been. */
enum hf_memcache_reason hf_memcache_refuse_large(struct hf_memcache_request *request,
                                                 uint8_t operation);
/* The size of a value from its text: fills line->value_size, has_value. BAD_SIZE: not to be known
 * where the next request starts. TOO_LARGE beyond what may be discarded. */
enum hf_memcache_reason hf_memcache_read_size(struct hf_memcache_line *line, struct hf_slice text);

/* Each of these answers OK, the request then being good or REFUSED; or why the connection must be
 * closed. */
enum hf_memcache_reason hf_memcache_read_text(struct hf_memcache_line *line,
                                              struct hf_memcache_request *request);
/* `command`: "mg", "ms", ...; UNKNOWN_COMMAND when it is none. */
enum hf_memcache_reason hf_memcache_read_meta(struct hf_memcache_line *line,
                                              struct hf_slice command,
                                              struct hf_memcache_request *request);
/* A whole header. *ret_body is what follows it, unless the request is refused. */
enum hf_memcache_reason hf_memcache_read_header(const char *header, uint32_t value_size_max,
                                                struct hf_memcache_request *request,
                                                uint32_t *ret_body);
/* Where the key of a packet with that header ends, and the key. */
size_t hf_memcache_key_end(const char *header);
void hf_memcache_read_key(const char *packet, struct hf_memcache_request *request);
/* Extras, key and value of a whole packet whose header was good. */
void hf_memcache_read_body(const char *packet, struct hf_memcache_request *request);

/* The writers of each dialect, as in memcache.h. */
bool hf_memcache_text_head(struct hf_writer *writer, const struct hf_memcache_request *request,
                           const struct hf_memcache_result *result);
bool hf_memcache_meta_head(struct hf_writer *writer, const struct hf_memcache_request *request,
                           const struct hf_memcache_result *result);
bool hf_memcache_binary_head(struct hf_writer *writer, const struct hf_memcache_request *request,
                             const struct hf_memcache_result *result);
void hf_memcache_binary_error(struct hf_writer *writer, const struct hf_memcache_request *request,
                              uint16_t status);
void hf_memcache_binary_stat(struct hf_writer *writer, const struct hf_memcache_request *request,
                             struct hf_slice name, struct hf_slice value);
uint16_t hf_memcache_reason_status(enum hf_memcache_reason reason);
/* The error line of a status that says the same in text and meta; NULL when there is none. */
const char *hf_memcache_status_line(enum hf_memcache_status status);
