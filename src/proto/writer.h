/* A bounded writer for what codecs send: it keeps counting past the end, so one check at the finish
 * is enough. Never allocates, never writes past `room`. Pure. Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"

struct hf_writer {
    char *out;         /* borrowed: at least `room` bytes */
    size_t size, room; /* size > room afterwards = it did not fit, and nothing is usable */
};

enum { HF_WRITER_DIGITS_MAX = 20 }; /* of a 64-bit number, with a sign */

static inline struct hf_writer hf_writer(char *out, size_t room)
{
    return (struct hf_writer){.out = out, .room = room};
}

static inline bool hf_writer_fits(const struct hf_writer *writer)
{
    return writer->size <= writer->room;
}

static inline void hf_writer_bytes(struct hf_writer *writer, const char *bytes, size_t size)
{
    if (size > 0 && writer->size <= writer->room && size <= writer->room - writer->size)
        memcpy(writer->out + writer->size, bytes, size);
    writer->size += size;
}

static inline void hf_writer_slice(struct hf_writer *writer, struct hf_slice bytes)
{
    hf_writer_bytes(writer, bytes.bytes, bytes.size);
}

static inline void hf_writer_byte(struct hf_writer *writer, char byte)
{
    hf_writer_bytes(writer, &byte, 1);
}

/* Text up to its NUL. */
void hf_writer_text(struct hf_writer *writer, const char *text);
/* Decimal, without leading zeros. */
void hf_writer_u64(struct hf_writer *writer, uint64_t number);
void hf_writer_i64(struct hf_writer *writer, int64_t number);
/* The text with each CR, LF and NUL made a blank, so that no peer can write lines of ours; cut at
 * size_max bytes. */
void hf_writer_line_text(struct hf_writer *writer, struct hf_slice text, size_t size_max);
