#include "proto/memcache_reply.h"
#include "proto/number.h"

static const struct hf_slice end_line = {"END\r\n", 5};

/* A line without its CRLF. NEED_MORE: it is not whole; BAD: it is too long, or none. */
static enum hf_codec take_line(struct hf_slice bytes, struct hf_slice *ret_line)
{
    const char *end = bytes.size > 0 ? memchr(bytes.bytes, '\n', bytes.size) : NULL;
    if (end == NULL)
        return bytes.size > HF_MEMCACHE_REPLY_LINE_MAX ? HF_CODEC_BAD : HF_CODEC_NEED_MORE;
    size_t size = (size_t)(end - bytes.bytes);
    if (size == 0 || size > HF_MEMCACHE_REPLY_LINE_MAX || bytes.bytes[size - 1] != '\r')
        return HF_CODEC_BAD;
    *ret_line = hf_slice(bytes.bytes, size - 1);
    return HF_CODEC_DONE;
}

/* The next word of a line; one blank stands between two. */
static bool take_word(struct hf_slice *rest, struct hf_slice *ret_word)
{
    if (rest->size == 0)
        return false;
    const char *blank = memchr(rest->bytes, ' ', rest->size);
    size_t size = blank ? (size_t)(blank - rest->bytes) : rest->size;
    size_t used = blank ? size + 1 : size;
    *ret_word = hf_slice(rest->bytes, size);
    *rest = hf_slice(rest->bytes + used, rest->size - used);
    return true;
}

static bool take_flag(struct hf_slice word, struct hf_memcache_reply *reply)
{
    struct hf_slice text = hf_slice(word.bytes + 1, word.size - 1);
    uint64_t number = 0;
    switch (word.bytes[0]) {
    case 'f':
        if (!hf_slice_to_u64(text, &number) || number > UINT32_MAX)
            return false;
        reply->flags = (uint32_t)number;
        return true;
    case 't':
        return hf_number_parse_i64(text, &reply->ttl_s) && reply->ttl_s >= -1;
    case 'c':
        return hf_slice_to_u64(text, &reply->cas);
    default:
        return true;
    }
}

static bool take_flags(struct hf_slice rest, struct hf_memcache_reply *reply)
{
    struct hf_slice word;
    while (take_word(&rest, &word))
        if (word.size == 0 || !take_flag(word, reply))
            return false;
    return true;
}

/* "VA <size> <flags>" and a block. */
static enum hf_codec take_value(struct hf_slice bytes, struct hf_slice line, size_t value_max,
                                struct hf_memcache_reply *reply, size_t *ret_size)
{
    struct hf_slice rest = hf_slice(line.bytes + 3, line.size - 3), word;
    uint64_t size;
    if (!take_word(&rest, &word) || !hf_slice_to_u64(word, &size) || size > value_max ||
        !take_flags(rest, reply))
        return HF_CODEC_BAD;
    size_t start = line.size + 2;
    *ret_size = start + (size_t)size + 2;
    if (bytes.size < *ret_size)
        return HF_CODEC_NEED_MORE;
    reply->value = hf_slice(bytes.bytes + start, (size_t)size);
    return memcmp(bytes.bytes + start + size, "\r\n", 2) == 0 ? HF_CODEC_DONE : HF_CODEC_BAD;
}

static enum hf_codec take_stats(struct hf_slice bytes, struct hf_memcache_reply *reply,
                                size_t *ret_size)
{
    size_t at = 0;
    for (;;) {
        struct hf_slice rest = hf_slice(bytes.bytes + at, bytes.size - at), line;
        enum hf_codec found =
            at > HF_MEMCACHE_REPLY_STATS_MAX ? HF_CODEC_BAD : take_line(rest, &line);
        *ret_size = bytes.size + 1;
        if (found != HF_CODEC_DONE)
            return found;
        at += line.size + 2;
        if (hf_slice_starts(rest, end_line))
            break;
        if (!hf_slice_starts(line, HF_SLICE("STAT ")))
            return HF_CODEC_BAD;
    }
    reply->text = hf_slice(bytes.bytes, at - end_line.size);
    *ret_size = at;
    return HF_CODEC_DONE;
}

static const struct word {
    char text[3];
    uint8_t kind;
} words[] = {
    {"HD", HF_MEMCACHE_REPLY_DONE},    {"EN", HF_MEMCACHE_REPLY_MISSING},
    {"NF", HF_MEMCACHE_REPLY_MISSING}, {"NS", HF_MEMCACHE_REPLY_UNMET},
    {"EX", HF_MEMCACHE_REPLY_UNMET},   {"MN", HF_MEMCACHE_REPLY_NOOP},
};

static bool is_error(struct hf_slice line)
{
    return hf_slice_equal(line, HF_SLICE("ERROR")) ||
           hf_slice_starts(line, HF_SLICE("CLIENT_ERROR")) ||
           hf_slice_starts(line, HF_SLICE("SERVER_ERROR"));
}

static enum hf_codec judge(struct hf_slice line, struct hf_memcache_reply *reply)
{
    struct hf_slice rest = line, first;
    if (is_error(line)) {
        reply->kind = HF_MEMCACHE_REPLY_ERROR;
        reply->text = line;
        return HF_CODEC_DONE;
    }
    if (!take_word(&rest, &first) || first.size != 2)
        return HF_CODEC_BAD;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (memcmp(words[i].text, first.bytes, 2) != 0)
            continue;
        reply->kind = words[i].kind;
        return take_flags(rest, reply) ? HF_CODEC_DONE : HF_CODEC_BAD;
    }
    return HF_CODEC_BAD;
}

enum hf_codec hf_memcache_parse_reply(struct hf_slice bytes, size_t value_max,
                                      struct hf_memcache_reply *ret_reply, size_t *ret_used,
                                      size_t *ret_needed)
{
    struct hf_slice line;
    enum hf_codec found = take_line(bytes, &line);
    size_t size = bytes.size + 1;
    *ret_reply = (struct hf_memcache_reply){.ttl_s = -1};
    if (found == HF_CODEC_DONE) {
        size = line.size + 2;
        if (hf_slice_starts(line, HF_SLICE("VA "))) {
            ret_reply->kind = HF_MEMCACHE_REPLY_VALUE;
            found = take_value(bytes, line, value_max, ret_reply, &size);
        } else if (hf_slice_starts(line, HF_SLICE("STAT ")) ||
                   hf_slice_equal(line, HF_SLICE("END"))) {
            ret_reply->kind = HF_MEMCACHE_REPLY_STATS;
            found = take_stats(bytes, ret_reply, &size);
        } else {
            found = judge(line, ret_reply);
        }
    }
    if (found == HF_CODEC_DONE)
        *ret_used = size;
    else if (found == HF_CODEC_NEED_MORE)
        *ret_needed = size;
    return found;
}

bool hf_memcache_find_stat(struct hf_slice stats, struct hf_slice name, struct hf_slice *ret_value)
{
    struct hf_slice line, word, stat;
    while (take_line(stats, &line) == HF_CODEC_DONE) {
        stats = hf_slice(stats.bytes + line.size + 2, stats.size - line.size - 2);
        if (take_word(&line, &word) && take_word(&line, &stat) && hf_slice_equal(stat, name)) {
            *ret_value = line;
            return true;
        }
    }
    return false;
}
