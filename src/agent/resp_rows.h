/* What the tests of commands share: one connection to a rig, and rows of a line sent and the reply
 * that must come, to the byte. Tests only. Threads: the test's. Layer: agent. */
#pragma once
#include "agent/resp_testing.h"
#include "base/test.h"

struct row {
    const char *line, *reply;
};
#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))
#define OK "+OK\r\n"
#define NIL "$-1\r\n"
#define ZERO ":0\r\n"
#define ONE ":1\r\n"

static struct hf_resp_testing rig;
static struct hf_connection connection;

static inline void start_sized(size_t memory, const char *password)
{
    hf_resp_testing_init(&rig, memory, password);
    hf_resp_testing_open(&rig, &connection);
}

static inline void start(bool slow, const char *password)
{
    start_sized(HF_RESP_TESTING_MEMORY, password);
    rig.slow = slow;
}

static inline void stop(void)
{
    hf_resp_testing_close(&connection);
    hf_resp_testing_fini(&rig);
}

static inline void check_on(struct hf_connection *asked, const char *line, const char *reply)
{
    struct hf_slice got = hf_resp_testing_ask(asked, line);
    if (!hf_slice_equal(got, hf_slice_text(reply)))
        fail_msg("%s: `%.*s` instead of `%s`", line, (int)got.size, got.bytes, reply);
}

static inline void check(const char *line, const char *reply)
{
    check_on(&connection, line, reply);
}

/* All of them on one connection: once with every session at hand, once waiting for each. */
static inline void check_rows(const struct row *rows, size_t count)
{
    for (int slow = 0; slow < 2; slow++) {
        start(slow, NULL);
        for (size_t i = 0; i < count; i++)
            check(rows[i].line, rows[i].reply);
        stop();
    }
}
