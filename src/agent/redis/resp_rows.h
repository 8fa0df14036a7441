/* What the tests of commands share: one connection to a rig, and rows of a line sent and the reply
 * that must come, to the byte. Tests only. Threads: the test's. Layer: agent. */
#pragma once
#include "agent/redis/resp_testing.h"
#include "base/test.h"

struct row {
    const char *line, *reply;
};
#define CHECK_ROWS(rows) hf_resp_rows_check_all(rows, sizeof(rows) / sizeof((rows)[0]))
#define OK "+OK\r\n"
#define NIL "$-1\r\n"
#define ZERO ":0\r\n"
#define ONE ":1\r\n"

static struct hf_resp_testing rig;
static struct hf_connection connection;

static inline void hf_resp_rows_start_sized(size_t memory, const char *password)
{
    hf_resp_testing_init(&rig, memory, password);
    hf_resp_testing_open(&rig, &connection);
}

static inline void hf_resp_rows_start(bool slow, const char *password)
{
    hf_resp_rows_start_sized(HF_RESP_TESTING_MEMORY, password);
    rig.slow = slow;
}

static inline void hf_resp_rows_stop(void)
{
    hf_resp_testing_close(&connection);
    hf_resp_testing_fini(&rig);
}

static inline void hf_resp_rows_check_on(struct hf_connection *asked, const char *line,
                                         const char *reply)
{
    struct hf_slice got = hf_resp_testing_ask(asked, line);
    if (!hf_slice_equal(got, hf_slice_text(reply)))
        fail_msg("%s: `%.*s` instead of `%s`", line, (int)got.size, got.bytes, reply);
}

static inline void hf_resp_rows_check(const char *line, const char *reply)
{
    hf_resp_rows_check_on(&connection, line, reply);
}

/* All of them on one connection: once with every session at hand, once waiting for each. */
static inline void hf_resp_rows_check_all(const struct row *rows, size_t count)
{
    for (int slow = 0; slow < 2; slow++) {
        hf_resp_rows_start(slow, NULL);
        for (size_t i = 0; i < count; i++)
            hf_resp_rows_check(rows[i].line, rows[i].reply);
        hf_resp_rows_stop();
    }
}
