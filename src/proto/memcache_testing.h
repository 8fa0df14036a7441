/* How the unit tests of the memcached codec feed it: at once, cut in two anywhere, byte by byte,
 * and by what it says it needs; always up to a guard page. Tests only. Threads: one. Layer: proto.
 */
#pragma once
#include "base/test.h"
#include "proto/guard.h"
#include "proto/memcache.h"

enum { MEMCACHE_VALUE_MAX = 1024 };

struct hf_memcache_outcome {
    enum hf_codec answer;
    uint8_t reason, dialect, operation;
    uint32_t size, discard;
    char text[2048]; /* what the request says, see hf_memcache_testing_describe */
};

/* "op key=... flags=... ...": every member that is not zero. */
static inline void hf_memcache_testing_describe(const struct hf_memcache_request *request,
                                                char *out, size_t room)
{
    static const char *const names[] = {
        "refused", "get",  "set",   "add",   "replace", "append",    "prepend", "touch", "delete",
        "incr",    "decr", "flush", "stats", "version", "verbosity", "noop",    "debug", "quit"};
    struct hf_writer writer = hf_writer(out, room - 1);
    hf_writer_text(&writer, names[request->operation]);
    const struct {
        const char *name;
        struct hf_slice text;
    } slices[] = {{" key=", request->key}, {" value=", request->value}};
    for (unsigned i = 0; i < 2; i++)
        if (slices[i].text.size > 0) {
            hf_writer_text(&writer, slices[i].name);
            hf_writer_slice(&writer, slices[i].text);
        }
    const struct {
        const char *name;
        int64_t number;
    } numbers[] = {
        {" flags=", request->flags},
        {" exptime=", request->exptime},
        {" cas=", (int64_t)request->cas},
        {" newcas=", (int64_t)request->new_cas},
        {" delta=", (int64_t)request->delta},
        {" initial=", (int64_t)request->initial},
        {" createexp=", request->create_exptime},
        {" recache=", request->recache_s},
        {" opaque=", request->opaque},
    };
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i].number != 0) {
            hf_writer_text(&writer, numbers[i].name);
            hf_writer_i64(&writer, numbers[i].number);
        }
    const struct {
        const char *name;
        bool set;
    } bools[] = {
        {" quiet", request->quiet},
        {" touch", request->touch},
        {" v", request->wants_value},
        {" wantscas", request->wants_cas},
        {" wantskey", request->wants_key},
        {" hascas", request->has_cas},
        {" hasnew", request->has_new_cas},
        {" creates", request->creates},
        {" invalidates", request->invalidates},
        {" recaches", request->has_recache},
        {" keeps", request->keeps_item},
    };
    for (unsigned i = 0; i < sizeof(bools) / sizeof(bools[0]); i++)
        if (bools[i].set)
            hf_writer_text(&writer, bools[i].name);
    assert_true(hf_writer_fits(&writer));
    out[writer.size] = '\0';
}

static inline void hf_memcache_testing_feed(struct hf_guard *guard,
                                            struct hf_memcache_parser *parser,
                                            struct hf_slice input, size_t until,
                                            struct hf_memcache_outcome *outcome)
{
    static struct hf_memcache_request request;
    static const struct hf_memcache_limits limits = {.value_size_max = MEMCACHE_VALUE_MAX};
    const char *bytes = hf_guard_copy(guard, hf_slice(input.bytes, until));
    memset(&request, 0xa5, sizeof(request)); /* whatever the last one left */
    outcome->answer = hf_memcache_parse(parser, bytes, until, &limits, &request);
    outcome->reason = parser->reason;
    if (outcome->answer == HF_CODEC_NEED_MORE) {
        assert_true(parser->needed > until);
        return;
    }
    outcome->dialect = request.dialect;
    outcome->operation = request.operation;
    if (outcome->answer == HF_CODEC_BAD) {
        assert_int_equal(request.reason, parser->reason);
        return;
    }
    assert_int_equal(parser->scanned + parser->line_size + parser->needed, 0);
    outcome->reason = request.reason;
    outcome->size = request.size;
    outcome->discard = request.discard;
    if (request.operation != HF_MEMCACHE_REFUSED)
        hf_memcache_testing_describe(&request, outcome->text, sizeof(outcome->text));
}

static inline void hf_memcache_testing_same(const struct hf_memcache_outcome *a,
                                            const struct hf_memcache_outcome *b)
{
    assert_int_equal(a->answer, b->answer);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->dialect, b->dialect);
    assert_int_equal(a->operation, b->operation);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->discard, b->discard);
    assert_string_equal(a->text, b->text);
}

/* The outcome of the first request of a connection, which may not depend on how it arrives. */
static inline const struct hf_memcache_outcome *hf_memcache_testing_parse(struct hf_guard *guard,
                                                                          struct hf_slice input)
{
    static struct hf_memcache_outcome whole, cut;
    struct hf_memcache_parser parser = {0};
    memset(&whole, 0, sizeof(whole));
    hf_memcache_testing_feed(guard, &parser, input, input.size, &whole);
    for (size_t at = 0; at <= input.size; at++) {
        memset(&parser, 0, sizeof(parser));
        memset(&cut, 0, sizeof(cut));
        hf_memcache_testing_feed(guard, &parser, input, at, &cut);
        if (cut.answer == HF_CODEC_NEED_MORE)
            hf_memcache_testing_feed(guard, &parser, input, input.size, &cut);
        hf_memcache_testing_same(&whole, &cut);
    }
    memset(&parser, 0, sizeof(parser));
    memset(&cut, 0, sizeof(cut));
    for (size_t at = 0; at <= input.size && cut.answer == HF_CODEC_NEED_MORE; at++)
        hf_memcache_testing_feed(guard, &parser, input, at, &cut);
    hf_memcache_testing_same(&whole, &cut);
    return &whole;
}
