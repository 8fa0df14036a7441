/* Feeds a head to the parser in every way it can arrive. For unit tests; asserts by cmocka.
 * Threads: one. Layer: proto. */
#pragma once
#include "base/test.h"
#include "proto/guard.h"
#include "proto/http1.h"

struct hf_http1_feed { /* what to parse as, and the answer to the last message */
    struct hf_guard guard;
    struct hf_http1_limits limits;
    bool as_response;
    enum hf_method request_method;
    enum hf_codec answer;
    struct hf_http1_parser parser;
    struct hf_head head;
    struct hf_slice message;
};

static inline void hf_http1_feed_part(struct hf_http1_feed *feed, size_t size)
{
    const char *bytes = hf_guard_copy(&feed->guard, hf_slice(feed->message.bytes, size));
    if (feed->as_response)
        feed->answer = hf_http1_parse_response(&feed->parser, &feed->head, bytes, size,
                                               feed->request_method, &feed->limits);
    else
        feed->answer =
            hf_http1_parse_request(&feed->parser, &feed->head, bytes, size, &feed->limits);
}

static inline void hf_http1_feed_assert_same(const struct hf_http1_feed *a,
                                             const struct hf_http1_feed *b)
{
    assert_int_equal(a->answer, b->answer);
    assert_int_equal(a->parser.reason, b->parser.reason);
    assert_int_equal(a->parser.scanned, b->parser.scanned);
    if (a->answer != HF_CODEC_DONE)
        return;
    size_t skip = offsetof(struct hf_head, size);
    assert_memory_equal((const char *)&a->head + skip, (const char *)&b->head + skip,
                        offsetof(struct hf_head, fields) - skip);
    for (unsigned i = 0; i < a->head.field_count; i++) {
        const struct hf_field *x = &a->head.fields[i], *y = &b->head.fields[i];
        assert_true(x->name == y->name && x->name_size == y->name_size && x->value == y->value);
        assert_true(x->value_size == y->value_size && x->id == y->id && x->drop == y->drop);
    }
}

static inline void hf_http1_feed_restart(struct hf_http1_feed *feed, struct hf_slice message)
{
    memset(&feed->head, 0xa5, sizeof(feed->head));
    feed->parser = (struct hf_http1_parser){0};
    feed->answer = HF_CODEC_NEED_MORE;
    feed->message = message;
}

/* At once, cut in two at each `step` bytes, and byte by byte: the same answer after the same bytes,
 * and a fault is reported with the byte that shows it. */
static inline void hf_http1_feed_all_ways(struct hf_http1_feed *feed, struct hf_slice message,
                                          size_t step)
{
    static struct hf_http1_feed cut;
    cut = *feed;
    for (size_t at = 0; at <= message.size; at += step) {
        hf_http1_feed_restart(&cut, message);
        hf_http1_feed_part(&cut, at);
        if (cut.answer == HF_CODEC_NEED_MORE)
            hf_http1_feed_part(&cut, message.size);
        if (at > 0)
            hf_http1_feed_assert_same(feed, &cut);
        else
            *feed = cut;
    }
    hf_http1_feed_restart(&cut, message);
    for (size_t at = 1; at <= message.size && cut.answer == HF_CODEC_NEED_MORE; at++) {
        hf_http1_feed_part(&cut, at);
        assert_in_range(cut.parser.scanned, at - (cut.answer == HF_CODEC_BAD), at);
    }
    hf_http1_feed_assert_same(feed, &cut);
    hf_http1_feed_restart(feed, message);
    hf_http1_feed_part(feed, message.size);
}

static inline bool hf_http1_feed_refused(struct hf_http1_feed *feed, struct hf_slice message,
                                         enum hf_http1_reason reason)
{
    hf_http1_feed_all_ways(feed, message, 1);
    if (feed->answer == HF_CODEC_BAD && feed->parser.reason == reason)
        return true;
    print_message("%.*s: answer %d, %s\n", (int)message.size, message.bytes, (int)feed->answer,
                  hf_http1_reason_word((enum hf_http1_reason)feed->parser.reason));
    return false;
}

static inline const struct hf_head *hf_http1_feed_accepted(struct hf_http1_feed *feed,
                                                           const char *message)
{
    hf_http1_feed_all_ways(feed, hf_slice_text(message), 1);
    if (feed->answer != HF_CODEC_DONE)
        print_message("%s: answer %d, %s\n", message, (int)feed->answer,
                      hf_http1_reason_word((enum hf_http1_reason)feed->parser.reason));
    assert_int_equal(feed->answer, HF_CODEC_DONE);
    return &feed->head;
}

/* Whether the field of that name would be forwarded. */
static inline bool hf_http1_feed_forwards(const struct hf_head *head, const char *name)
{
    const struct hf_field *field = hf_head_find_name(head, hf_slice_text(name));
    assert_non_null(field);
    return !field->drop;
}
