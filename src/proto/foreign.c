#include "proto/foreign.h"

static const struct hf_slice starts[] = {
    {"GET ", 4},     {"POST ", 5},  {"HEAD ", 5},    {"PUT ", 4},   {"DELETE ", 7},
    {"OPTIONS ", 8}, {"TRACE ", 6}, {"CONNECT ", 8}, {"PATCH ", 6}, {"PRI ", 4},
};

bool hf_foreign_http(struct hf_slice line)
{
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (hf_slice_starts(line, starts[i]))
            return true;
    struct hf_slice host = hf_slice(line.bytes, line.size < 5 ? line.size : 5);
    if (hf_slice_equal_nocase(host, HF_SLICE("host:")))
        return true;
    return line.size > 0 && memmem(line.bytes, line.size, " HTTP/", 6) != NULL;
}
