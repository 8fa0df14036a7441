#include "base/assert.h"
#include "proto/memcache_internal.h"

const char *hf_memcache_status_line(enum hf_memcache_status status)
{
    switch (status) {
    case HF_MEMCACHE_NOT_NUMERIC:
        return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
    case HF_MEMCACHE_WRONG_KIND:
        return "SERVER_ERROR the key holds a hash, which Redis clients alone can read\r\n";
    case HF_MEMCACHE_VALUE_TOO_LARGE:
        return "SERVER_ERROR object too large for cache\r\n";
    case HF_MEMCACHE_NO_MEMORY:
        return "SERVER_ERROR out of memory storing object\r\n";
    case HF_MEMCACHE_UNSURE:
        return "SERVER_ERROR the session's owner is not known for sure just now\r\n";
    case HF_MEMCACHE_DENIED:
        return "CLIENT_ERROR switched off here\r\n";
    case HF_MEMCACHE_DONE:
    case HF_MEMCACHE_MISSING:
    case HF_MEMCACHE_PRESENT:
        break;
    }
    return NULL;
}

static bool is_storage(uint8_t operation)
{
    return operation >= HF_MEMCACHE_SET && operation <= HF_MEMCACHE_PREPEND;
}

/* ADD, REPLACE, APPEND and PREPEND say the same whatever kept them; only cas tells. */
static const char *text_failure(const struct hf_memcache_request *request, uint8_t status)
{
    if (is_storage(request->operation) && request->operation != HF_MEMCACHE_SET)
        return "NOT_STORED\r\n";
    return status == HF_MEMCACHE_MISSING ? "NOT_FOUND\r\n" : "EXISTS\r\n";
}

static const char *text_success(uint8_t operation)
{
    if (is_storage(operation))
        return "STORED\r\n";
    switch (operation) {
    case HF_MEMCACHE_TOUCH:
        return "TOUCHED\r\n";
    case HF_MEMCACHE_DELETE:
        return "DELETED\r\n";
    case HF_MEMCACHE_FLUSH:
    case HF_MEMCACHE_VERBOSITY:
        return "OK\r\n";
    default:
        return "";
    }
}

/* "VALUE key flags size[ number]\r\n" */
static void write_value_line(struct hf_writer *writer, const struct hf_memcache_request *request,
                             const struct hf_memcache_result *result)
{
    hf_writer_bytes(writer, "VALUE ", 6);
    hf_writer_slice(writer, result->key);
    hf_writer_byte(writer, ' ');
    hf_writer_u64(writer, result->flags);
    hf_writer_byte(writer, ' ');
    hf_writer_u64(writer, result->value.size);
    if (request->wants_cas) {
        hf_writer_byte(writer, ' ');
        hf_writer_u64(writer, result->cas);
    }
    hf_writer_bytes(writer, "\r\n", 2);
}

bool hf_memcache_text_head(struct hf_writer *writer, const struct hf_memcache_request *request,
                           const struct hf_memcache_result *result)
{
    bool miss = request->operation == HF_MEMCACHE_GET && result->status == HF_MEMCACHE_MISSING;
    const char *line = hf_memcache_status_line((enum hf_memcache_status)result->status);
    if (request->quiet || miss)
        return false;
    if (line != NULL || result->status != HF_MEMCACHE_DONE) {
        hf_writer_text(writer, line != NULL ? line : text_failure(request, result->status));
        return false;
    }
    switch (request->operation) {
    case HF_MEMCACHE_GET:
        write_value_line(writer, request, result);
        return true;
    case HF_MEMCACHE_VERSION:
        hf_writer_text(writer, "VERSION ");
        return true;
    case HF_MEMCACHE_INCREMENT:
    case HF_MEMCACHE_DECREMENT:
        hf_writer_u64(writer, result->number);
        hf_writer_bytes(writer, "\r\n", 2);
        return false;
    default:
        hf_writer_text(writer, text_success(request->operation));
        return false;
    }
}

/* ---- meta ---- */

static bool wants(const struct hf_memcache_request *request, char letter)
{
    struct hf_slice rest = request->meta_flags, token;
    while (hf_memcache_next_token(&rest, &token))
        if (token.bytes[0] == letter)
            return true;
    return false;
}

/* " x" and the number, where the flag asks for one. */
static void write_flag_number(struct hf_writer *writer, char letter, int64_t number)
{
    hf_writer_byte(writer, ' ');
    hf_writer_byte(writer, letter);
    hf_writer_i64(writer, number);
}

/* What the flag asks for of a value that is there. */
static void write_item_flag(struct hf_writer *writer, char letter,
                            const struct hf_memcache_result *result, uint64_t size)
{
    switch (letter) {
    case 'c':
        hf_writer_text(writer, " c");
        hf_writer_u64(writer, result->cas);
        break;
    case 'f':
        write_flag_number(writer, letter, result->flags);
        break;
    case 'h':
        write_flag_number(writer, letter, result->fetched);
        break;
    case 'l':
        write_flag_number(writer, letter, result->idle_s);
        break;
    case 's':
        write_flag_number(writer, letter, (int64_t)size);
        break;
    case 't':
        write_flag_number(writer, letter,
                          result->ttl_s == HF_MEMCACHE_FOREVER ? -1 : result->ttl_s);
        break;
    default:
        break;
    }
}

/* Flags come back in the order they were sent, k and O with a miss too. A key that came as base64
 * goes back so, and says it: "kZm9v b". */
static void write_flags(struct hf_writer *writer, const struct hf_memcache_request *request,
                        const struct hf_memcache_result *result, uint64_t size)
{
    struct hf_slice rest = request->meta_flags, token;
    while (hf_memcache_next_token(&rest, &token)) {
        if (token.bytes[0] == 'O') {
            hf_writer_byte(writer, ' ');
            hf_writer_slice(writer, token);
        } else if (token.bytes[0] == 'k') {
            hf_writer_text(writer, " k");
            hf_writer_slice(writer, request->key_text);
            if (wants(request, 'b'))
                hf_writer_text(writer, " b");
        } else if (result->status == HF_MEMCACHE_DONE) {
            write_item_flag(writer, token.bytes[0], result, size);
        }
    }
    if (result->won)
        hf_writer_text(writer, " W");
    if (result->stale)
        hf_writer_text(writer, " X");
    if (result->sent)
        hf_writer_text(writer, " Z");
}

static const char *meta_code(const struct hf_memcache_request *request, uint8_t status)
{
    if (status == HF_MEMCACHE_DONE)
        return request->operation == HF_MEMCACHE_NOOP ? "MN" : "HD";
    if (status == HF_MEMCACHE_MISSING) {
        if (request->operation == HF_MEMCACHE_GET || request->operation == HF_MEMCACHE_DEBUG)
            return "EN";
        bool conditional = is_storage(request->operation) && request->operation != HF_MEMCACHE_SET;
        return conditional ? "NS" : "NF";
    }
    return request->operation == HF_MEMCACHE_ADD ? "NS" : "EX";
}

/* q leaves out what is hoped for, or of a get expected: all that is said then means something. */
static bool left_out(const struct hf_memcache_request *request, uint8_t status)
{
    uint8_t usual = request->operation == HF_MEMCACHE_GET ? HF_MEMCACHE_MISSING : HF_MEMCACHE_DONE;
    return request->quiet && status == usual;
}

static void write_number_value(struct hf_writer *writer, const struct hf_memcache_request *request,
                               const struct hf_memcache_result *result)
{
    char digits[HF_WRITER_DIGITS_MAX];
    struct hf_writer number = hf_writer(digits, sizeof(digits));
    hf_writer_u64(&number, result->number);
    hf_writer_text(writer, "VA ");
    hf_writer_u64(writer, number.size);
    write_flags(writer, request, result, number.size);
    hf_writer_text(writer, "\r\n");
    hf_writer_bytes(writer, digits, number.size);
    hf_writer_text(writer, "\r\n");
}

/* "ME key exp=... \r\n": what is known of the item, for people. */
static void write_debug(struct hf_writer *writer, const struct hf_memcache_request *request,
                        const struct hf_memcache_result *result)
{
    hf_writer_text(writer, "ME ");
    hf_writer_slice(writer, request->key_text);
    hf_writer_text(writer, " exp=");
    hf_writer_i64(writer, result->ttl_s == HF_MEMCACHE_FOREVER ? -1 : result->ttl_s);
    hf_writer_text(writer, " la=");
    hf_writer_u64(writer, result->idle_s);
    hf_writer_text(writer, " cas=");
    hf_writer_u64(writer, result->cas);
    hf_writer_text(writer, result->fetched ? " fetch=yes cls=1 size=" : " fetch=no cls=1 size=");
    hf_writer_u64(writer, result->value.size);
    hf_writer_text(writer, "\r\n");
}

bool hf_memcache_meta_head(struct hf_writer *writer, const struct hf_memcache_request *request,
                           const struct hf_memcache_result *result)
{
    const char *line = hf_memcache_status_line((enum hf_memcache_status)result->status);
    bool done = result->status == HF_MEMCACHE_DONE;
    bool counts =
        request->operation == HF_MEMCACHE_INCREMENT || request->operation == HF_MEMCACHE_DECREMENT;
    if (line != NULL) {
        hf_writer_text(writer, line);
        return false;
    }
    if (left_out(request, result->status))
        return false;
    if (done && request->operation == HF_MEMCACHE_DEBUG) {
        write_debug(writer, request, result);
        return false;
    }
    if (done && counts && wants(request, 'v')) {
        write_number_value(writer, request, result);
        return false;
    }
    bool value = done && request->operation == HF_MEMCACHE_GET && request->wants_value;
    if (value) {
        hf_writer_text(writer, "VA ");
        hf_writer_u64(writer, result->value.size);
    } else {
        hf_writer_text(writer, meta_code(request, result->status));
    }
    write_flags(writer, request, result,
                is_storage(request->operation) ? request->value.size : result->value.size);
    hf_writer_text(writer, "\r\n");
    return value;
}

/* ---- any dialect ---- */

bool hf_memcache_write_head(struct hf_writer *writer, const struct hf_memcache_request *request,
                            const struct hf_memcache_result *result)
{
    if (request->dialect == HF_MEMCACHE_BINARY)
        return hf_memcache_binary_head(writer, request, result);
    if (request->dialect == HF_MEMCACHE_META)
        return hf_memcache_meta_head(writer, request, result);
    return hf_memcache_text_head(writer, request, result);
}

void hf_memcache_write_tail(struct hf_writer *writer, const struct hf_memcache_request *request)
{
    if (request->dialect != HF_MEMCACHE_BINARY)
        hf_writer_bytes(writer, "\r\n", 2);
}

void hf_memcache_write_result(struct hf_writer *writer, const struct hf_memcache_request *request,
                              const struct hf_memcache_result *result)
{
    if (!hf_memcache_write_head(writer, request, result))
        return;
    hf_writer_slice(writer, result->value);
    hf_memcache_write_tail(writer, request);
}

void hf_memcache_write_end(struct hf_writer *writer, const struct hf_memcache_request *request)
{
    if (request->dialect == HF_MEMCACHE_TEXT)
        hf_writer_bytes(writer, "END\r\n", 5);
    else if (request->dialect == HF_MEMCACHE_BINARY && request->operation == HF_MEMCACHE_STATS)
        hf_memcache_binary_stat(writer, request, hf_slice(NULL, 0), hf_slice(NULL, 0));
}

void hf_memcache_write_stat(struct hf_writer *writer, const struct hf_memcache_request *request,
                            struct hf_slice name, struct hf_slice value)
{
    if (request->dialect == HF_MEMCACHE_BINARY) {
        hf_memcache_binary_stat(writer, request, name, value);
        return;
    }
    hf_writer_text(writer, "STAT ");
    hf_writer_slice(writer, name);
    hf_writer_byte(writer, ' ');
    hf_writer_line_text(writer, value, value.size);
    hf_writer_text(writer, "\r\n");
}
