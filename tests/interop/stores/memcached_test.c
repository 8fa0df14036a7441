/* What the codec reads and writes, beside what a real memcached answers to the same bytes. */
#include "base/test.h"
#include "memcached_model.h"
#include "store_server.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct store_server server;
static bool running;
static int connection = -1;
static struct memcached_model model;
static struct hf_memcache_parser parser;
static char version[32], received[STORE_SERVER_REPLY_MAX], written[STORE_SERVER_REPLY_MAX];
static const struct hf_memcache_limits limits = {.value_size_max = MEMCACHED_MODEL_VALUE_MAX};

static bool ends_with(struct hf_slice text, struct hf_slice end)
{
    return text.size >= end.size &&
           memcmp(text.bytes + text.size - end.size, end.bytes, end.size) == 0;
}

/* The answer to the bytes: what comes before the answer to `mark`. */
static struct hf_slice exchange(struct hf_slice bytes, struct hf_slice mark, struct hf_slice end)
{
    size_t size = 0;
    store_server_send(connection, bytes);
    store_server_send(connection, mark);
    while (!ends_with(hf_slice(received, size), end))
        if (!store_server_receive(connection, received, &size))
            return hf_slice(received, size);
    return hf_slice(received, size - end.size);
}

static struct hf_slice ask(struct hf_slice bytes)
{
    return exchange(bytes, HF_SLICE("mn\r\n"), HF_SLICE("MN\r\n"));
}

static struct hf_slice ask_binary(struct hf_slice bytes)
{
    static const struct hf_slice noop = {
        "\x80\x0a\0\0\0\0\0\0\0\0\0\0\xde\xad\xbe\xef\0\0\0\0\0\0\0\0", 24};
    static const struct hf_slice answer = {
        "\x81\x0a\0\0\0\0\0\0\0\0\0\0\xde\xad\xbe\xef\0\0\0\0\0\0\0\0", 24};
    return exchange(bytes, noop, answer);
}

/* What we would answer to all requests of the bytes. */
static struct hf_slice answer(struct hf_slice bytes)
{
    static struct hf_memcache_request request;
    struct hf_writer writer = hf_writer(written, sizeof(written));
    while (bytes.size > 0) {
        enum hf_codec parsed =
            hf_memcache_parse(&parser, bytes.bytes, bytes.size, &limits, &request);
        assert_int_not_equal(parsed, HF_CODEC_NEED_MORE);
        if (request.operation == HF_MEMCACHE_REFUSED)
            hf_memcache_write_refusal(&writer, &request);
        else
            memcached_model_answer(&model, &request, &writer);
        if (parsed == HF_CODEC_BAD)
            break;
        size_t used = (size_t)request.size + request.discard;
        assert_true(used <= bytes.size);
        bytes = hf_slice(bytes.bytes + used, bytes.size - used);
    }
    assert_true(hf_writer_fits(&writer));
    return hf_slice(written, writer.size);
}

static void reconnect(void)
{
    if (connection >= 0)
        close(connection);
    connection = store_server_connect(&server);
    parser = (struct hf_memcache_parser){0};
}

/* A new connection to an empty store; texts change between versions, ours are those of 1.6. */
static void need_server(void)
{
    if (!running)
        skip();
    reconnect();
    struct hf_slice said = ask(HF_SLICE("flush_all\r\nversion\r\n"));
    if (!hf_slice_starts(said, HF_SLICE("OK\r\nVERSION 1.6.")))
        skip();
    memset(&model, 0, sizeof(model));
    memcpy(version, said.bytes + 12, said.size - 14);
    model.version = hf_slice(version, said.size - 14);
    /* numbers go on where the last test left them */
    ask(HF_SLICE("set number 0 0 1\r\n1\r\n"));
    said = ask(HF_SLICE("gets number\r\n"));
    assert_int_equal(sscanf(said.bytes, "VALUE number 0 1 %lu", &model.cas), 1);
    ask(HF_SLICE("delete number\r\n"));
    reconnect();
}

static void print_bytes(const char *who, struct hf_slice bytes)
{
    print_error("    %s: ", who);
    for (size_t i = 0; i < bytes.size; i++) {
        char byte = bytes.bytes[i];
        print_error(byte >= ' ' && byte < 0x7f ? "%c" : "\\x%02x", (unsigned char)byte);
    }
    print_error("\n");
}

static unsigned differs(size_t row, struct hf_slice theirs, struct hf_slice ours)
{
    if (hf_slice_equal(theirs, ours))
        return 0;
    print_error("row %zu\n", row);
    print_bytes("memcached", theirs);
    print_bytes("ours     ", ours);
    return 1;
}

#define ROW(text)                                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct hf_slice text_rows[] = {
    ROW("get a\r\n"),
    ROW("set a 1 0 3\r\nabc\r\n"),
    ROW("get a\r\nget  a  nosuch a \r\ngets a\r\n"),
    ROW("add a 0 0 1\r\nx\r\nadd b 4294967295 0 0\r\n\r\nget a b\r\n"),
    ROW("replace nosuch 0 0 1\r\nx\r\nreplace b 7 0 2\r\n\r\n\r\ngets b\r\n"),
    ROW("append a 9 0 1\r\nd\r\nprepend a 0 0 1\r\n0\r\ngets a\r\nappend nosuch 0 0 1\r\nx\r\n"),
    ROW("cas a 0 0 1 999999\r\nx\r\ncas nosuch 0 0 1 1\r\nx\r\n"),
    ROW("touch a 100\r\ntouch nosuch 100\r\ngat 100 a nosuch\r\ngats 100 a\r\n"),
    ROW("set n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 20\r\nincr nosuch 1\r\nincr a 1\r\n"),
    ROW("set n 0 0 1\r\n1\r\nincr n 18446744073709551615\r\n"),
    ROW("delete b\r\ndelete b\r\ndelete a 0\r\ndelete a noreply\r\nget a b\r\n"),
    ROW("set q 0 0 1 noreply\r\nx\r\nadd q 0 0 1 noreply\r\ny\r\nincr q 1 noreply\r\nget q\r\n"),
    ROW("touch q 10 noreply\r\ndelete q noreply\r\ndelete q noreply\r\nget q\r\n"),
    ROW("flush_all noreply\r\nflush_all\r\nflush_all 0\r\nverbosity 0\r\nversion\r\n"),
    ROW("verbosity 0 noreply\r\nget noreply\r\n"),
};

static const struct hf_slice meta_rows[] = {
    ROW("mg a v\r\nmg a v q\r\nmg a k Oxy q\r\nmg a k Oxy\r\n"),
    ROW("ms a 3\r\nabc\r\nmg a v\r\nmg a\r\nmg a s v\r\nmg a k f v Oz\r\n"),
    ROW("ms a 3 F7 c Ob k b\r\nabc\r\n"),
    ROW("ms YmI= 2 b k c F5\r\nxy\r\nmg YmI= b k v f\r\nmg YmI= k b v f c t h\r\nmg YmI= h b\r\nmd "
        "YmI= b Ox k\r\n"
        "md YmI= b Ox k\r\nmg YmI= b Ox k\r\n"),
    ROW("ms a 1 ME\r\nx\r\nms new 1 ME c\r\nx\r\nms nosuch 1 MR\r\nx\r\nms new 2 MR c\r\nyy\r\n"),
    ROW("ms new 1 MA c\r\nz\r\nms new 1 MP\r\nz\r\nmg new v c s\r\nms nosuch 1 MA\r\nz\r\n"),
    ROW("ms new 1 C1\r\nz\r\nms nosuch 1 C1\r\nz\r\nms new 1 q\r\nz\r\nms new 1 q ME\r\nz\r\n"),
    ROW("md new C1\r\nmd new q\r\nmd new q\r\nmd new\r\nmd a Oq k\r\nmd a Oq k\r\n"),
    ROW("ma n\r\nma n N0 J13 v\r\nma n v\r\nma n D5 v\r\nma n MD D100 v\r\nma n\r\nma n q\r\n"),
    ROW("ms t 1\r\nx\r\nma t\r\nma t v c Ox k\r\nme nosuch\r\nmg nosuch s v q\r\nmg t "
        "q\r\nmg t q k\r\nmd t v MX u\r\n"),
    ROW("ma n N0 Oy k c v\r\nma m Oy k c\r\nma m q\r\n"),
};

/* Each row is sent as a whole, and each of its requests is answered as memcached does. */
static void check_rows(const struct hf_slice *rows, size_t count)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += differs(i, ask(rows[i]), answer(rows[i]));
    assert_int_equal(wrong, 0);
}

static void test_text(void **state)
{
    need_server();
    check_rows(text_rows, sizeof(text_rows) / sizeof(text_rows[0]));
}

static void test_meta(void **state)
{
    need_server();
    check_rows(meta_rows, sizeof(meta_rows) / sizeof(meta_rows[0]));
}

#define TEN_KEY_BYTES "kkkkkkkkkk"
#define FIFTY_KEY_BYTES TEN_KEY_BYTES TEN_KEY_BYTES TEN_KEY_BYTES TEN_KEY_BYTES TEN_KEY_BYTES
#define LONG_GET                                                                                   \
    "get " FIFTY_KEY_BYTES FIFTY_KEY_BYTES FIFTY_KEY_BYTES FIFTY_KEY_BYTES FIFTY_KEY_BYTES "k\r\n"

/* One a connection, for some of them end ours. What memcached takes and we refuse, or refuses in
 * another way, is in docs/agent-protocols.md. */
static const struct hf_slice refused_rows[] = {
    ROW("\r\n"),
    ROW("foo\r\n"),
    ROW("get\r\n"),
    ROW("gat\r\n"),
    ROW("gat x k\r\n"),
    ROW("touch k\r\n"),
    ROW("touch k x\r\n"),
    ROW("incr k\r\n"),
    ROW("incr k x\r\n"),
    ROW("delete\r\n"),
    ROW("delete k 5\r\n"),
    ROW("verbosity\r\n"),
    ROW("mz k\r\n"),
    ROW("flush_all x\r\n"),
    ROW("mg k z\r\n"),
    ROW("mg k v v\r\n"),
    ROW("mg a b\r\n"),
    ROW("mg k O012345678901234567890123456789012\r\n"),
    ROW("ms k 1 MX\r\na\r\n"),
    ROW("ms k 1 v v\r\na\r\n"),
    ROW("ms k 1 Tx\r\na\r\n"),
    ROW("mg k Tx\r\n"),
    ROW("mg k Nx\r\n"),
    ROW("ma k MX\r\n"),
    ROW("mg\r\n"),
    ROW("ms\r\n"),
    ROW("md\r\n"),
    ROW("ma\r\n"),
    ROW("ms k\r\n"),
    ROW("ms k x\r\n"),
    ROW("ms k -1\r\n"),
    ROW("set k 0 0 x\r\n"),
    ROW("set k 0 0 -1\r\n"),
    ROW("verbosity x\r\n"),
    ROW("mg Zm9 b\r\n"),
    ROW("mg ==== b\r\n"),
    ROW(LONG_GET),
};

static void test_refusals(void **state)
{
    unsigned wrong = 0;
    need_server();
    for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]); i++) {
        wrong += differs(i, ask(refused_rows[i]), answer(refused_rows[i]));
        reconnect();
    }
    assert_int_equal(wrong, 0);
}

/* How long a value lives: the clock may tick between us and memcached. Its dates end in 2038. */
static void test_expiries(void **state)
{
    need_server();
    const int64_t now = time(NULL);
    const int64_t expiries[] = {0,         1000,      2592000,       2592001, 2678400,
                                now - 100, now + 100, now + 2678400, -1,      -2592000};
    for (size_t i = 0; i < sizeof(expiries) / sizeof(expiries[0]); i++) {
        char line[128];
        long left = 0;
        int size = snprintf(line, sizeof(line), "ms k 1 T%ld\r\nx\r\nmg k t\r\n", expiries[i]);
        struct hf_slice said = ask(hf_slice(line, (size_t)size));
        int64_t ours = hf_memcache_seconds_left(expiries[i], now);
        bool lives = sscanf(said.bytes, "HD\r\nHD t%ld\r\n", &left) == 1;
        assert_int_equal(lives, ours > 0);
        if (lives && ours == HF_MEMCACHE_FOREVER)
            assert_int_equal(left, -1);
        else if (lives)
            assert_in_range(left, ours - 5, ours + 5);
    }
}

/* ---- binary ---- */

struct packet {
    uint8_t opcode;
    uint64_t cas;
    struct hf_slice extras;
    const char *key, *value;
};

static void put_number(struct hf_writer *writer, uint64_t number, unsigned size)
{
    while (size-- > 0)
        hf_writer_byte(writer, (char)(number >> (8 * size)));
}

static struct hf_slice encode(const struct packet *packet)
{
    static char bytes[512];
    struct hf_writer writer = hf_writer(bytes, sizeof(bytes));
    struct hf_slice key = hf_slice_text(packet->key), value = hf_slice_text(packet->value);
    put_number(&writer, 0x80, 1);
    put_number(&writer, packet->opcode, 1);
    put_number(&writer, key.size, 2);
    put_number(&writer, packet->extras.size, 1);
    put_number(&writer, 0, 3);
    put_number(&writer, packet->extras.size + key.size + value.size, 4);
    put_number(&writer, 0x01020304, 4);
    put_number(&writer, packet->cas, 8);
    hf_writer_slice(&writer, packet->extras);
    hf_writer_slice(&writer, key);
    hf_writer_slice(&writer, value);
    assert_true(hf_writer_fits(&writer));
    return hf_slice(bytes, writer.size);
}

#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0                                                                                    \
    }
#define STORED                                                                                     \
    {                                                                                              \
        "\0\0\0\7\0\0\0\0", 8                                                                      \
    }
#define EXPIRY                                                                                     \
    {                                                                                              \
        "\0\0\0\x64", 4                                                                            \
    }
#define COUNT(delta, initial, expiry)                                                              \
    {                                                                                              \
        "\0\0\0\0\0\0\0" delta "\0\0\0\0\0\0\0" initial expiry, 20                                 \
    }

static const struct packet packets[] = {
    {0x00, 0, NONE, "a", NULL},      /* get: a miss */
    {0x0c, 0, NONE, "a", NULL},      /* getk */
    {0x09, 0, NONE, "a", NULL},      /* getq */
    {0x0d, 0, NONE, "a", NULL},      /* getkq */
    {0x01, 0, STORED, "a", "value"}, /* set */
    {0x00, 0, NONE, "a", NULL},      /* and the hits */
    {0x0c, 0, NONE, "a", NULL},
    {0x09, 0, NONE, "a", NULL},
    {0x0d, 0, NONE, "a", NULL},
    {0x02, 0, STORED, "a", "x"},  /* add: present */
    {0x12, 0, STORED, "a", "x"},  /* addq */
    {0x02, 0, STORED, "b", NULL}, /* php's placeholder */
    {0x00, 0, NONE, "b", NULL},
    {0x03, 0, STORED, "nosuch", "x"}, /* replace */
    {0x13, 0, STORED, "nosuch", "x"},
    {0x03, 0, STORED, "b", "x"},
    {0x13, 0, STORED, "b", "y"},
    {0x11, 0, STORED, "b", "z"},         /* setq */
    {0x01, 999999999, STORED, "b", "z"}, /* another number */
    {0x01, 1, STORED, "nosuch", "z"},
    {0x0e, 0, NONE, "b", "end"}, /* append, prepend */
    {0x0f, 0, NONE, "b", "start"},
    {0x19, 0, NONE, "b", "."},
    {0x1a, 0, NONE, "b", "."},
    {0x0e, 0, NONE, "nosuch", "x"},
    {0x0f, 0, NONE, "nosuch", "x"},
    {0x19, 0, NONE, "nosuch", "x"},
    {0x00, 0, NONE, "b", NULL},
    {0x1c, 0, EXPIRY, "b", NULL}, /* touch, gat and its like */
    {0x1c, 0, EXPIRY, "nosuch", NULL},
    {0x1d, 0, EXPIRY, "b", NULL},
    {0x1d, 0, EXPIRY, "nosuch", NULL},
    {0x1e, 0, EXPIRY, "b", NULL},
    {0x1e, 0, EXPIRY, "nosuch", NULL},
    {0x23, 0, EXPIRY, "b", NULL},
    {0x23, 0, EXPIRY, "nosuch", NULL},
    {0x24, 0, EXPIRY, "b", NULL},
    {0x24, 0, EXPIRY, "nosuch", NULL},
    {0x05, 0, COUNT("\1", "\5", "\xff\xff\xff\xff"), "n", NULL}, /* incr: nothing is made */
    {0x15, 0, COUNT("\1", "\5", "\xff\xff\xff\xff"), "n", NULL},
    {0x05, 0, COUNT("\1", "\5", "\0\0\0\0"), "n", NULL},
    {0x05, 0, COUNT("\3", "\0", "\0\0\0\0"), "n", NULL},
    {0x15, 0, COUNT("\1", "\0", "\0\0\0\0"), "n", NULL},
    {0x06, 0, COUNT("\2", "\0", "\0\0\0\0"), "n", NULL},
    {0x16, 0, COUNT("\2", "\0", "\0\0\0\0"), "n", NULL},
    {0x00, 0, NONE, "n", NULL},
    {0x05, 0, COUNT("\1", "\0", "\0\0\0\0"), "a", NULL}, /* no number */
    {0x04, 999999999, NONE, "a", NULL},                  /* delete */
    {0x04, 0, NONE, "a", NULL},
    {0x04, 0, NONE, "a", NULL},
    {0x14, 0, NONE, "a", NULL},
    {0x14, 0, NONE, "b", NULL},
    {0x0a, 0, NONE, NULL, NULL}, /* noop, version, verbosity */
    {0x0b, 0, NONE, NULL, NULL},
    {0x1f, 0, NONE, NULL, NULL}, /* nothing that is known */
    {0x08, 0, NONE, NULL, NULL}, /* flush */
    {0x18, 0, NONE, NULL, NULL},
};

static void test_binary(void **state)
{
    unsigned wrong = 0;
    need_server();
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct hf_slice bytes = encode(&packets[i]);
        struct hf_slice ours = answer(bytes);
        wrong += differs(i, ask_binary(bytes), ours);
    }
    assert_int_equal(wrong, 0);
}

static int setup(void **state)
{
    static const char *const arguments[] = {"memcached", "-s", "@",  "-u", "root", "-m",
                                            "16",        "-I", "1m", "-t", "1",    NULL};
    running = store_server_start(&server, arguments);
    return 0;
}

static int teardown(void **state)
{
    if (connection >= 0)
        close(connection);
    if (running)
        store_server_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),     cmocka_unit_test(test_meta),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_expiries),
        cmocka_unit_test(test_binary),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
