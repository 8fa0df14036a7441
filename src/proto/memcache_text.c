#include "base/assert.h"
#include "proto/memcache_internal.h"

/* Of a line that is no get of many keys: command, five operands, noreply, one over. */
enum { TOKENS_MAX = 8 };

bool hf_memcache_next_token(struct hf_slice *rest, struct hf_slice *ret_token)
{
    size_t first = 0;
    while (first < rest->size && rest->bytes[first] == ' ')
        first++;
    if (first == rest->size)
        return false;
    const char *start = rest->bytes + first;
    const char *blank = memchr(start, ' ', rest->size - first);
    size_t size = blank != NULL ? (size_t)(blank - start) : rest->size - first;
    *ret_token = hf_slice(start, size);
    *rest = hf_slice(start + size, rest->size - first - size);
    return true;
}

bool hf_memcache_next_key(struct hf_slice *rest, struct hf_slice *ret_key)
{
    return hf_memcache_next_token(rest, ret_key);
}

bool hf_memcache_read_number(struct hf_slice text, uint64_t max, uint64_t *ret_number)
{
    return hf_slice_to_u64(text, ret_number) && *ret_number <= max;
}

bool hf_memcache_read_exptime(struct hf_slice text, int64_t *ret_exptime)
{
    bool negative = text.size > 0 && text.bytes[0] == '-';
    uint64_t number;
    struct hf_slice digits = hf_slice(text.bytes + negative, text.size - negative);
    if (!hf_memcache_read_number(digits, INT64_MAX, &number))
        return false;
    *ret_exptime = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

enum hf_memcache_reason hf_memcache_read_size(struct hf_memcache_line *line, struct hf_slice text)
{
    uint64_t size;
    if (!hf_memcache_read_number(text, INT32_MAX - 2, &size))
        return HF_MEMCACHE_BAD_SIZE;
    if (size > HF_MEMCACHE_DISCARD_MAX)
        return HF_MEMCACHE_TOO_LARGE;
    line->value_size = (uint32_t)size;
    line->has_value = true;
    return HF_MEMCACHE_OK;
}

struct tokens { /* the operands of a line, "noreply" taken off its end */
    struct hf_slice at[TOKENS_MAX];
    unsigned count;
};

static void split(struct hf_memcache_line *line, struct tokens *tokens,
                  struct hf_memcache_request *request)
{
    tokens->count = 0;
    while (tokens->count < TOKENS_MAX &&
           hf_memcache_next_token(&line->rest, &tokens->at[tokens->count]))
        tokens->count++;
    if (tokens->count > 0 && hf_slice_equal(tokens->at[tokens->count - 1], HF_SLICE("noreply"))) {
        request->quiet = true;
        tokens->count--;
    }
}

static bool is_key(const struct hf_memcache_line *line, struct hf_slice key)
{
    return key.size <= HF_MEMCACHE_KEY_MAX && line->clean;
}

/* A refused line is answered in any case: nobody can say what its "noreply" meant. */
static enum hf_memcache_reason refuse(struct hf_memcache_request *request,
                                      enum hf_memcache_reason reason)
{
    request->quiet = false;
    return hf_memcache_refuse(request, reason);
}

/* set add replace append prepend <key> <flags> <exptime> <bytes>; cas: and <number>. */
static enum hf_memcache_reason read_storage(struct hf_memcache_line *line,
                                            struct hf_memcache_request *request)
{
    struct tokens tokens;
    uint64_t flags;
    unsigned wanted = request->has_cas ? 5 : 4;
    split(line, &tokens, request);
    if (tokens.count < 4) /* nobody knows whether a value follows, or how long it is */
        return tokens.count == 0 ? refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND)
                                 : HF_MEMCACHE_BAD_SIZE;
    enum hf_memcache_reason wrong = hf_memcache_read_size(line, tokens.at[3]);
    if (wrong != HF_MEMCACHE_OK)
        return wrong;
    if (tokens.count != wanted || !hf_memcache_read_number(tokens.at[1], UINT32_MAX, &flags) ||
        !hf_memcache_read_exptime(tokens.at[2], &request->exptime) ||
        (request->has_cas && !hf_slice_to_u64(tokens.at[4], &request->cas)))
        return refuse(request, HF_MEMCACHE_BAD_LINE);
    if (!is_key(line, tokens.at[0]))
        return refuse(request, HF_MEMCACHE_BAD_KEY);
    request->key = tokens.at[0];
    request->flags = (uint32_t)flags;
    return HF_MEMCACHE_OK;
}

/* get gets <key>...; gat gats <exptime> <key>... */
static enum hf_memcache_reason read_get(struct hf_memcache_line *line,
                                        struct hf_memcache_request *request)
{
    struct hf_slice token;
    unsigned count = 0;
    request->wants_value = true;
    if (request->touch && (!hf_memcache_next_token(&line->rest, &token)))
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    if (request->touch && !hf_memcache_read_exptime(token, &request->exptime))
        return refuse(request, HF_MEMCACHE_BAD_EXPTIME);
    request->keys = line->rest;
    while (hf_memcache_next_token(&line->rest, &token)) {
        if (!is_key(line, token))
            return refuse(request, HF_MEMCACHE_BAD_KEY);
        if (count == 0)
            request->key = token;
        if (++count > HF_MEMCACHE_KEYS_MAX)
            return HF_MEMCACHE_TOO_MANY_KEYS;
    }
    return count > 0 ? HF_MEMCACHE_OK : refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
}

/* touch <key> <exptime> */
static enum hf_memcache_reason read_touch(struct hf_memcache_line *line,
                                          struct hf_memcache_request *request)
{
    struct tokens tokens;
    split(line, &tokens, request);
    if (tokens.count != 2)
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    if (!is_key(line, tokens.at[0]))
        return refuse(request, HF_MEMCACHE_BAD_KEY);
    request->key = tokens.at[0];
    if (!hf_memcache_read_exptime(tokens.at[1], &request->exptime))
        return refuse(request, HF_MEMCACHE_BAD_EXPTIME);
    return HF_MEMCACHE_OK;
}

/* delete <key>, and as old clients say it <key> 0 */
static enum hf_memcache_reason read_delete(struct hf_memcache_line *line,
                                           struct hf_memcache_request *request)
{
    struct tokens tokens;
    split(line, &tokens, request);
    if (tokens.count == 0)
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    if (tokens.count > 2 || (tokens.count == 2 && !hf_slice_equal(tokens.at[1], HF_SLICE("0"))))
        return refuse(request, HF_MEMCACHE_BAD_DELETE);
    if (!is_key(line, tokens.at[0]))
        return refuse(request, HF_MEMCACHE_BAD_KEY);
    request->key = tokens.at[0];
    return HF_MEMCACHE_OK;
}

/* incr decr <key> <delta> */
static enum hf_memcache_reason read_delta(struct hf_memcache_line *line,
                                          struct hf_memcache_request *request)
{
    struct tokens tokens;
    split(line, &tokens, request);
    if (tokens.count != 2)
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    if (!is_key(line, tokens.at[0]))
        return refuse(request, HF_MEMCACHE_BAD_KEY);
    request->key = tokens.at[0];
    if (!hf_slice_to_u64(tokens.at[1], &request->delta))
        return refuse(request, HF_MEMCACHE_BAD_DELTA);
    return HF_MEMCACHE_OK;
}

/* flush_all [delay] */
static enum hf_memcache_reason read_flush(struct hf_memcache_line *line,
                                          struct hf_memcache_request *request)
{
    struct tokens tokens;
    split(line, &tokens, request);
    if (tokens.count > 1)
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    if (tokens.count == 1 && !hf_memcache_read_exptime(tokens.at[0], &request->exptime))
        return refuse(request, HF_MEMCACHE_BAD_EXPTIME);
    return HF_MEMCACHE_OK;
}

/* stats [which]; version; quit: whatever follows is not looked at */
static enum hf_memcache_reason read_plain(struct hf_memcache_line *line,
                                          struct hf_memcache_request *request)
{
    struct hf_slice token;
    if (!line->clean)
        return refuse(request, HF_MEMCACHE_BAD_LINE);
    if (request->operation == HF_MEMCACHE_STATS && hf_memcache_next_token(&line->rest, &token))
        request->key = token;
    return HF_MEMCACHE_OK;
}

/* verbosity <level> */
static enum hf_memcache_reason read_verbosity(struct hf_memcache_line *line,
                                              struct hf_memcache_request *request)
{
    struct tokens tokens;
    uint64_t level;
    split(line, &tokens, request);
    if (tokens.count == 0 && request->quiet) /* noreply is a level that means nothing */
        return HF_MEMCACHE_OK;
    if (tokens.count == 0 || tokens.count > 2)
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    if (!hf_memcache_read_number(tokens.at[0], UINT32_MAX, &level))
        return refuse(request, HF_MEMCACHE_BAD_LINE);
    return HF_MEMCACHE_OK;
}

enum trait { CAS = 1, TOUCHES = 2 };

/* The frequent ones first. */
static const struct {
    struct hf_slice word;
    uint8_t operation;
    uint8_t traits;
    enum hf_memcache_reason (*read)(struct hf_memcache_line *line,
                                    struct hf_memcache_request *request);
} commands[] = {
    {{"get", 3}, HF_MEMCACHE_GET, 0, read_get},
    {{"set", 3}, HF_MEMCACHE_SET, 0, read_storage},
    {{"gets", 4}, HF_MEMCACHE_GET, CAS, read_get},
    {{"add", 3}, HF_MEMCACHE_ADD, 0, read_storage},
    {{"delete", 6}, HF_MEMCACHE_DELETE, 0, read_delete},
    {{"touch", 5}, HF_MEMCACHE_TOUCH, TOUCHES, read_touch},
    {{"cas", 3}, HF_MEMCACHE_SET, CAS, read_storage},
    {{"gat", 3}, HF_MEMCACHE_GET, TOUCHES, read_get},
    {{"gats", 4}, HF_MEMCACHE_GET, TOUCHES | CAS, read_get},
    {{"replace", 7}, HF_MEMCACHE_REPLACE, 0, read_storage},
    {{"append", 6}, HF_MEMCACHE_APPEND, 0, read_storage},
    {{"prepend", 7}, HF_MEMCACHE_PREPEND, 0, read_storage},
    {{"incr", 4}, HF_MEMCACHE_INCREMENT, 0, read_delta},
    {{"decr", 4}, HF_MEMCACHE_DECREMENT, 0, read_delta},
    {{"version", 7}, HF_MEMCACHE_VERSION, 0, read_plain},
    {{"stats", 5}, HF_MEMCACHE_STATS, 0, read_plain},
    {{"quit", 4}, HF_MEMCACHE_QUIT, 0, read_plain},
    {{"flush_all", 9}, HF_MEMCACHE_FLUSH, 0, read_flush},
    {{"verbosity", 9}, HF_MEMCACHE_VERBOSITY, 0, read_verbosity},
};

enum hf_memcache_reason hf_memcache_read_text(struct hf_memcache_line *line,
                                              struct hf_memcache_request *request)
{
    struct hf_slice command;
    if (!hf_memcache_next_token(&line->rest, &command))
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    if (command.size == 2)
        return hf_memcache_read_meta(line, command, request);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!hf_slice_equal(command, commands[i].word))
            continue;
        request->operation = commands[i].operation;
        request->touch = (commands[i].traits & TOUCHES) != 0;
        if (request->operation == HF_MEMCACHE_GET)
            request->wants_cas = (commands[i].traits & CAS) != 0;
        else
            request->has_cas = (commands[i].traits & CAS) != 0;
        return commands[i].read(line, request);
    }
    return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
}
