/* Whole conversations with a real store behind. Each is held four times: in one piece and byte by
 * byte, with calls that are done at once and with calls that have to wait. */
#include "agent/memcache/memcache_fake.h"
#include "agent/memcache/memcache_tokens.h"
#include "base/test.h"
#include "proto/memcache.h"

static struct hf_connection connection;

struct exchange {
    const char *sent, *answer;
};

static void begin(bool waits)
{
    hf_memcache_fake_open(&connection);
    connection.waits = waits;
}

static void end(void)
{
    hf_memcache_fake_close(&connection);
}

static void print_bytes(const char *who, struct hf_slice bytes)
{
    print_error("%s: ", who);
    for (size_t i = 0; i < bytes.size && i < 400; i++) {
        char byte = bytes.bytes[i];
        print_error(byte >= ' ' && byte < 0x7f ? "%c" : "\\x%02x", (unsigned char)byte);
    }
    print_error("\n");
}

static void assert_bytes(struct hf_slice sent, struct hf_slice expected)
{
    struct hf_slice got = hf_slice(connection.out, connection.out_size);
    connection.out_size = 0;
    if (hf_slice_equal(got, expected))
        return;
    print_bytes("sent", sent);
    print_bytes("got", got);
    print_bytes("not", expected);
    fail();
}

static void feed(struct hf_slice sent, bool in_pieces)
{
    if (!in_pieces) {
        hf_memcache_fake_feed(&connection, sent);
        return;
    }
    for (size_t i = 0; i < sent.size && !connection.closed; i++)
        hf_memcache_fake_feed(&connection, hf_slice(sent.bytes + i, 1));
}

static void say(const char *sent, const char *answer)
{
    feed(hf_slice_text(sent), false);
    assert_bytes(hf_slice_text(sent), hf_slice_text(answer));
}

static void converse(const struct exchange *rows, size_t count)
{
    for (unsigned way = 0; way < 4; way++) {
        begin(way & 1);
        for (size_t i = 0; i < count; i++) {
            feed(hf_slice_text(rows[i].sent), way & 2);
            assert_bytes(hf_slice_text(rows[i].sent), hf_slice_text(rows[i].answer));
        }
        end();
    }
}

#define CONVERSE(rows) converse(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_storage(void **state)
{
    static const struct exchange rows[] = {
        {"get k\r\n", "END\r\n"},
        {"set k 5 0 3\r\nabc\r\n", "STORED\r\n"},
        {"get k\r\n", "VALUE k 5 3\r\nabc\r\nEND\r\n"},
        {"add k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
        {"replace k 6 0 2\r\nde\r\n", "STORED\r\n"},
        {"append k 0 0 1\r\nf\r\nprepend k 0 0 1\r\nc\r\n", "STORED\r\nSTORED\r\n"},
        {"get k\r\n", "VALUE k 6 4\r\ncdef\r\nEND\r\n"},
        {"delete k\r\ndelete k\r\n", "DELETED\r\nNOT_FOUND\r\n"},
        {"replace k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
        {"append k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
        {"cas k 0 0 1 1\r\nx\r\n", "NOT_FOUND\r\n"},
        {"set k 0 0 0\r\n\r\nget k\r\n", "STORED\r\nVALUE k 0 0\r\n\r\nEND\r\n"},
        {"set k 0 0 1 noreply\r\nx\r\nget k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n"},
        {"delete k noreply\r\ndelete k noreply\r\nget k\r\n", "END\r\n"},
    };
    CONVERSE(rows);
}

static void test_many_keys(void **state)
{
    static const struct exchange rows[] = {
        {"set a 1 0 1\r\n1\r\nset c 3 0 1\r\n3\r\n", "STORED\r\nSTORED\r\n"},
        {"get a b c a\r\nget b b\r\n",
         "VALUE a 1 1\r\n1\r\nVALUE c 3 1\r\n3\r\nVALUE a 1 1\r\n1\r\nEND\r\nEND\r\n"},
        {"gat 100 a b c\r\nmg c t\r\n",
         "VALUE a 1 1\r\n1\r\nVALUE c 3 1\r\n3\r\nEND\r\nHD t100\r\n"},
    };
    CONVERSE(rows);
}

static void test_counting(void **state)
{
    static const struct exchange rows[] = {
        {"incr n 1\r\n", "NOT_FOUND\r\n"},
        {"set n 3 100 2\r\n10\r\n", "STORED\r\n"},
        {"incr n 5\r\ndecr n 20\r\n", "15\r\n0\r\n"},
        {"incr n 18446744073709551615\r\nincr n 2\r\n", "18446744073709551615\r\n1\r\n"},
        {"mg n f t v\r\n", "VA 1 f3 t100\r\n1\r\n"},
        {"set n 0 0 1\r\nx\r\nincr n 1\r\n",
         "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
        {"ma m\r\nma m N60 J13 v\r\nmg m t\r\n", "NF\r\nVA 2\r\n13\r\nHD t60\r\n"},
        {"ma m MD D3 T90 v\r\nmg m t\r\n", "VA 2\r\n10\r\nHD t90\r\n"},
    };
    CONVERSE(rows);
}

static void test_expiries(void **state)
{
    static const struct exchange rows[] = {
        {"touch k 9\r\n", "NOT_FOUND\r\n"},
        {"set k 0 -1 1\r\nx\r\nget k\r\n", "STORED\r\nEND\r\n"},
        {"set k 0 2592000 1\r\nx\r\nmg k t\r\n", "STORED\r\nHD t2592000\r\n"},
        {"set k 0 2592001 1\r\nx\r\nget k\r\n", "STORED\r\nEND\r\n"},
        /* dates: the wall clock of these tests says 1700000000 */
        {"set k 0 1700000060 1\r\nx\r\nmg k t\r\n", "STORED\r\nHD t60\r\n"},
        {"touch k 1699999999\r\nget k\r\n", "TOUCHED\r\nEND\r\n"},
        {"set k 0 9223372036854775807 1\r\nx\r\nget k\r\n",
         "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n"},
        {"touch k 0\r\nmg k t\r\n", "TOUCHED\r\nHD t-1\r\n"},
        {"gat -1 k\r\nget k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\nEND\r\n"},
    };
    CONVERSE(rows);
}

/* php-memcached: an ADD that takes an id, and one that asks whether it is taken. */
static void test_placeholders(void **state)
{
    static const struct exchange rows[] = {
        {"add k 0 0 0\r\n\r\nmg k t\r\n", "STORED\r\nHD t3600\r\n"},
        {"add k 0 2678400 0\r\n\r\n", "NOT_STORED\r\n"},
        {"add j 0 2678400 0\r\n\r\nget j\r\n", "STORED\r\nEND\r\n"},
        {"add i 0 0 1\r\nx\r\nmg i t\r\n", "STORED\r\nHD t-1\r\n"},
        {"set k 0 0 0\r\n\r\nmg k t\r\n", "STORED\r\nHD t-1\r\n"},
    };
    CONVERSE(rows);
}

static void test_meta(void **state)
{
    static const struct exchange rows[] = {
        {"mg k v f\r\nmn\r\n", "EN\r\nMN\r\n"},
        {"ms k 3 F7 T90 ME\r\nabc\r\nms k 3 ME\r\nabc\r\n", "HD\r\nNS\r\n"},
        {"mg k s f t k h l O12\r\n", "HD s3 f7 t90 kk h0 l0 O12\r\n"},
        {"mg k v k q\r\nmg x v q\r\nmn\r\n", "VA 3 kk\r\nabc\r\nMN\r\n"},
        {"mg k T30 t v\r\n", "VA 3 t30\r\nabc\r\n"},
        {"ms k 1 MA\r\nd\r\nms k 1 MP\r\n_\r\nmg k v\r\n", "HD\r\nHD\r\nVA 5\r\n_abcd\r\n"},
        {"ms j 1 MA N60\r\nb\r\nmg j t v\r\n", "HD\r\nVA 1 t60\r\nb\r\n"},
        {"ms i 1 MR\r\nb\r\nms i 1 C5\r\nb\r\n", "NS\r\nNF\r\n"},
        {"md k x\r\nmg k s t f\r\n", "HD\r\nHD s0 t30 f0\r\n"},
        {"md k I\r\nmg k\r\nmd k\r\nmd none x\r\n", "HD\r\nEN\r\nNF\r\nNF\r\n"},
        {"ms a2V5 2 b\r\nok\r\nget key\r\n", "HD\r\nVALUE key 0 2\r\nok\r\nEND\r\n"},
        {"me none\r\n", "EN\r\n"},
    };
    CONVERSE(rows);
}

static void test_recaching(void **state)
{
    static const struct exchange rows[] = {
        {"mg k s v N30 t\r\n", "VA 0 s0 t30 W\r\n\r\n"},
        {"mg k s v N30 t\r\nmg k\r\n", "VA 0 s0 t30 Z\r\n\r\nHD Z\r\n"},
        {"ms k 1 T90\r\nx\r\nmg k v N30\r\n", "HD\r\nVA 1\r\nx\r\n"},
        {"mg k v R90\r\nmg k v R100\r\nmg k v R100\r\n",
         "VA 1\r\nx\r\nVA 1 W\r\nx\r\nVA 1 Z\r\nx\r\n"},
        {"mg k T95 R100\r\n", "HD W\r\n"},
        {"ms k 1 T0\r\ny\r\nmg k R100\r\n", "HD\r\nHD\r\n"},
    };
    CONVERSE(rows);
}

static void test_connection_commands(void **state)
{
    static const struct exchange rows[] = {
        {"version\r\n", "VERSION " HF_MEMCACHE_VERSION_TEXT "\r\n"},
        {"verbosity 1\r\nverbosity 1 noreply\r\n", "OK\r\n"},
        {"flush_all\r\nflush_all 10\r\nflush_all noreply\r\n",
         "CLIENT_ERROR switched off here\r\nCLIENT_ERROR switched off here\r\n"},
        {"stats items\r\nstats sizes\r\n", "END\r\nSTAT sizes_status disabled\r\nEND\r\n"},
        {"stats reset\r\nstats x\r\n", "RESET\r\nERROR\r\n"},
        {"set k 0 0 1\r\nx\r\nnonsense\r\n", "STORED\r\nERROR\r\n"},
    };
    CONVERSE(rows);
    begin(false);
    say("quit\r\n", "");
    assert_true(connection.closed);
    end();
}

static void test_statistics(void **state)
{
    begin(false);
    say("set k 0 0 1\r\nx\r\nget k\r\nget j\r\n", "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\nEND\r\n");
    feed(HF_SLICE("stats\r\nstats items\r\nstats settings\r\nstats slabs\r\n"), false);
    assert_true(connection.out_size < HF_MEMCACHE_FAKE_OUTPUT);
    connection.out[connection.out_size] = '\0';
    static const char *const wanted[] = {
        "STAT pid ",
        "STAT version 1.6.",
        "STAT curr_items 1\r\n",
        "STAT cmd_get 2\r\n",
        "STAT get_hits 1\r\n",
        "STAT get_misses 1\r\n",
        "STAT cmd_set 1\r\n",
        "STAT items:1:number 1\r\n",
        "STAT item_size_max 65536\r\n",
        "STAT limit_maxbytes 16777216\r\n",
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (strstr(connection.out, wanted[i]) == NULL)
            fail_msg("no %s in %s", wanted[i], connection.out);
    end();
}

/* ---- what goes wrong ---- */

static void fail_with(enum hf_operation_status status, const char *sent, const char *answer)
{
    connection.failure = (uint8_t)status;
    say(sent, answer);
    connection.failure = HF_OPERATION_OK;
}

#define UNSURE "SERVER_ERROR the session's owner is not known for sure just now\r\n"
#define NO_MEMORY "SERVER_ERROR out of memory storing object\r\n"

static void test_failures(void **state)
{
    for (unsigned waits = 0; waits < 2; waits++) {
        begin(waits);
        fail_with(HF_OPERATION_UNSURE, "get k\r\n", UNSURE);
        fail_with(HF_OPERATION_UNSURE, "get k j i\r\n", UNSURE); /* one error, and no END */
        fail_with(HF_OPERATION_UNSURE, "mg k v q\r\n", UNSURE);
        fail_with(HF_OPERATION_UNSURE, "set k 0 0 1\r\nx\r\n", UNSURE);
        fail_with(HF_OPERATION_UNSURE, "set k 0 0 1 noreply\r\nx\r\n", "");
        fail_with(HF_OPERATION_EXISTS, "mg k N30\r\n", UNSURE);
        fail_with(HF_OPERATION_FULL, "set k 0 0 1\r\nx\r\n", NO_MEMORY);
        fail_with(HF_OPERATION_TOO_MANY, "add k 0 0 1\r\nx\r\n", NO_MEMORY);
        fail_with(HF_OPERATION_TOO_LARGE, "append k 0 0 1\r\nx\r\n",
                  "SERVER_ERROR object too large for cache\r\n");
        fail_with(HF_OPERATION_WRONG_TYPE, "get k\r\n",
                  "SERVER_ERROR the key holds a hash, which Redis clients alone can read\r\n");
        fail_with(HF_OPERATION_DROPPED, "set k 0 0 1\r\nx\r\n", "STORED\r\n");
        fail_with(HF_OPERATION_DROPPED, "add k 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
        fail_with(HF_OPERATION_DROPPED, "cas k 0 0 1 5\r\nx\r\n", "NOT_FOUND\r\n");
        fail_with(HF_OPERATION_DROPPED, "incr k 1\r\n", "NOT_FOUND\r\n");
        fail_with(HF_OPERATION_DENIED, "get k\r\n", "CLIENT_ERROR switched off here\r\n");
        say("get k\r\n", "END\r\n");
        end();
    }
}

/* A session that has ended: late writes of it come to nothing, and are not told so. */
static void test_after_the_end(void **state)
{
    begin(false);
    say("set once:7 0 0 1\r\nx\r\ndelete once:7\r\n", "STORED\r\nDELETED\r\n");
    say("set once:7 0 0 1\r\ny\r\nget once:7\r\n", "STORED\r\nEND\r\n");
    say("add once:7 0 0 1\r\ny\r\nreplace once:7 0 0 1\r\ny\r\n", "NOT_STORED\r\nNOT_STORED\r\n");
    say("mg once:7 N30\r\n", "EN\r\n");
    say("ma once:7 N30\r\n", "NF\r\n");
    end();
}

static void test_too_large(void **state)
{
    static char large[70 * 1024];
    memset(large, 'a', sizeof(large));
    static const char *const lines[] = {"set k 0 0 71680\r\n", "set k 0 0 71680 noreply\r\n",
                                        "ms k 71680\r\n", "add k 0 0 71680\r\n"};
    for (unsigned i = 0; i < 8; i++) {
        begin(i & 4);
        say("set k 0 0 1\r\nx\r\n", "STORED\r\n");
        feed(hf_slice_text(lines[i % 4]), false);
        feed(hf_slice(large, 30000), false);
        feed(hf_slice(large, sizeof(large) - 30000), false);
        bool adds = i % 4 == 3;
        feed(HF_SLICE("\r\nget k\r\n"), false);
        assert_bytes(hf_slice_text(lines[i % 4]),
                     i % 4 == 1 ? HF_SLICE("END\r\n")
                     : adds     ? HF_SLICE("SERVER_ERROR object too large for cache\r\n"
                                               "VALUE k 0 1\r\nx\r\nEND\r\n")
                                : HF_SLICE("SERVER_ERROR object too large for cache\r\nEND\r\n"));
        end();
    }
}

static void test_foreign_clients(void **state)
{
    begin(false);
    say("GET / HTTP/1.1\r\n", "");
    assert_true(connection.closed);
    hf_memcache_fake_reconnect(&connection);
    say("set k 0 0 1\r\nxyz\r\n", "CLIENT_ERROR bad data chunk\r\n");
    assert_true(connection.closed);
    end();
}

static void test_password(void **state)
{
    begin(false);
    connection.password = HF_SLICE("se cret");
    hf_memcache_fake_reconnect(&connection);
    say("set x 0 0 9\r\nuser none\r\n", "CLIENT_ERROR authentication failure\r\n");
    say("set x 0 0 4\r\nuser\r\n", "CLIENT_ERROR authentication failure\r\n");
    say("set x 0 0 12\r\nuser se cret\r\nget x\r\n", "STORED\r\nEND\r\n");
    hf_memcache_fake_reconnect(&connection);
    say("get k\r\n", "CLIENT_ERROR unauthenticated\r\n");
    assert_true(connection.closed);
    hf_memcache_fake_reconnect(&connection);
    say("set x 0 0 600\r\n", "CLIENT_ERROR unauthenticated\r\n");
    assert_true(connection.closed);
    hf_memcache_fake_reconnect(&connection);
    for (unsigned i = 1; i < HF_CONNECTION_AUTH_FAILURES_MAX; i++) {
        assert_false(connection.closed);
        feed(HF_SLICE("set x 0 0 3\r\na b\r\n"), false);
    }
    assert_true(connection.closed);
    assert_int_equal(connection.calls, 1); /* the get */
    end();
}

/* ---- binary ---- */

/* A packet: opcode, extras, key, value; lengths below 256. */
static void ask_cas(uint8_t opcode, struct hf_slice extras, struct hf_slice key,
                    struct hf_slice value, uint8_t cas)
{
    char packet[24 + 255] = {(char)0x80, (char)opcode, 0, (char)key.size, (char)extras.size};
    size_t body = extras.size + key.size + value.size;
    struct hf_writer writer = hf_writer(packet + 24, 255);
    packet[11] = (char)body;
    packet[12] = 'o';
    packet[23] = (char)cas;
    hf_writer_slice(&writer, extras);
    hf_writer_slice(&writer, key);
    hf_writer_slice(&writer, value);
    feed(hf_slice(packet, 24 + body), false);
}

/* Status, extras, key and value of the next answer; its CAS number. */
static uint64_t answered(uint16_t status, struct hf_slice extras, struct hf_slice key,
                         struct hf_slice value)
{
    const unsigned char *header = (const unsigned char *)connection.out;
    uint64_t cas = 0;
    assert_true(connection.out_size >= 24);
    size_t size = 24 + (size_t)(header[10] << 8 | header[11]);
    struct hf_slice body = hf_slice(connection.out + 24, size - 24);
    assert_int_equal(header[0], 0x81);
    assert_int_equal(header[12], 'o');
    assert_int_equal(header[6] << 8 | header[7], status);
    assert_int_equal(body.size, extras.size + key.size + value.size);
    assert_memory_equal(body.bytes, extras.bytes, extras.size);
    assert_memory_equal(body.bytes + extras.size, key.bytes, key.size);
    assert_memory_equal(body.bytes + extras.size + key.size, value.bytes, value.size);
    for (unsigned i = 16; i < 24; i++)
        cas = cas << 8 | header[i];
    assert_true(connection.out_size >= size);
    connection.out_size -= size;
    memmove(connection.out, connection.out + size, connection.out_size);
    return cas;
}

#define NONE HF_SLICE("")
#define ZERO8 HF_SLICE("\0\0\0\0\0\0\0\0")
#define ASK(opcode, extras, key, value)                                                            \
    ask_cas(opcode, HF_SLICE(extras), HF_SLICE(key), HF_SLICE(value), 0)

static void binary_storage(void)
{
    ASK(0x00, "", "k", "");
    answered(1, NONE, NONE, HF_SLICE("Not found"));
    ASK(0x0c, "", "a b", "");
    answered(1, NONE, HF_SLICE("a b"), NONE);
    ASK(0x01, "\0\0\0\5\0\0\0\0", "k", "abc");
    uint64_t cas = answered(0, NONE, NONE, NONE);
    assert_true(cas > 0 && cas < 200);
    ASK(0x0c, "", "k", "");
    assert_int_equal(answered(0, HF_SLICE("\0\0\0\5"), HF_SLICE("k"), HF_SLICE("abc")), cas);
    ask_cas(0x01, ZERO8, HF_SLICE("k"), HF_SLICE("x"), (uint8_t)cas + 50);
    answered(2, NONE, NONE, HF_SLICE("Data exists for key."));
    ask_cas(0x02, ZERO8, HF_SLICE("none"), HF_SLICE("x"), (uint8_t)cas);
    answered(1, NONE, NONE, HF_SLICE("Not found"));
    ask_cas(0x03, ZERO8, HF_SLICE("k"), HF_SLICE("x"), (uint8_t)cas);
    assert_true(answered(0, NONE, NONE, NONE) > cas);
    ASK(0x1c, "\0\0\0\x64", "k", "");
    answered(0, HF_SLICE("\0\0\0\0"), NONE, NONE);
    ASK(0x23, "\0\0\0\x64", "k", "");
    answered(0, HF_SLICE("\0\0\0\0"), HF_SLICE("k"), HF_SLICE("x"));
    ASK(0x0e, "", "none", "x");
    answered(5, NONE, NONE, HF_SLICE("Not stored."));
}

static void binary_rest(void)
{
    ASK(0x05, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\5\xff\xff\xff\xff", "n", "");
    answered(1, NONE, NONE, HF_SLICE("Not found"));
    ASK(0x05, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\5\0\0\0\x64", "n", "");
    answered(0, NONE, NONE, HF_SLICE("\0\0\0\0\0\0\0\5"));
    ASK(0x06, "\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\5\0\0\0\x64", "n", "");
    answered(0, NONE, NONE, HF_SLICE("\0\0\0\0\0\0\0\3"));
    ASK(0x08, "", "", "");
    answered(0x83, NONE, NONE, HF_SLICE("Not supported."));
    ASK(0x10, "", "reset", "");
    answered(0, NONE, NONE, NONE);
    ASK(0x10, "", "none", "");
    answered(1, NONE, NONE, HF_SLICE("Not found"));
    ASK(0x0b, "", "", "");
    answered(0, NONE, NONE, HF_SLICE(HF_MEMCACHE_VERSION_TEXT));
    connection.failure = HF_OPERATION_UNSURE;
    ASK(0x09, "", "k", ""); /* quiet, and yet an error is no miss */
    answered(0x86, NONE, NONE, HF_SLICE("Temporary failure"));
    connection.failure = HF_OPERATION_OK;
    ASK(0x11, "\0\0\0\0\0\0\0\0", "q", "1");
    ASK(0x09, "", "none", "");
    ASK(0x14, "", "q", "");
    assert_int_equal(connection.out_size, 0);
    ASK(0x14, "", "q", "");
    answered(1, NONE, NONE, HF_SLICE("Not found"));
    ASK(0x07, "", "", "");
    answered(0, NONE, NONE, NONE);
    assert_int_equal(connection.out_size, 0);
    assert_true(connection.closed);
}

static void test_binary(void **state)
{
    for (unsigned waits = 0; waits < 2; waits++) {
        begin(waits);
        binary_storage();
        binary_rest();
        end();
    }
}

static void test_binary_password(void **state)
{
    begin(false);
    connection.password = HF_SLICE("secret");
    hf_memcache_fake_reconnect(&connection);
    ASK(0x00, "", "k", "");
    answered(0x83, NONE, NONE, HF_SLICE("Not supported."));
    assert_true(connection.closed);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage),         cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_counting),        cmocka_unit_test(test_expiries),
        cmocka_unit_test(test_placeholders),    cmocka_unit_test(test_meta),
        cmocka_unit_test(test_recaching),       cmocka_unit_test(test_connection_commands),
        cmocka_unit_test(test_statistics),      cmocka_unit_test(test_failures),
        cmocka_unit_test(test_after_the_end),   cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_foreign_clients), cmocka_unit_test(test_password),
        cmocka_unit_test(test_binary),          cmocka_unit_test(test_binary_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
