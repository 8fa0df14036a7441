/* Bytes of a client through the whole front end, onto a real store: twice, with sessions at hand
 * and with each operation waiting. What is answered must be the same, and well-formed replies. */
#include "agent/redis/resp_testing.h"
#include "fuzz.h"

enum { STORE_MEMORY = 4 << 20, ANSWER_MAX = 1 << 20, STEPS_MAX = 200 };

/* Feeds all requests in pieces of `piece` bytes; answers the bytes that came of it. */
static size_t run(struct hf_slice bytes, size_t piece, bool slow, char *answer)
{
    static struct hf_resp_testing rig;
    struct hf_connection connection;
    size_t first = 0, have = 0;
    enum hf_front_step step = HF_FRONT_DONE;
    hf_resp_testing_init(&rig, STORE_MEMORY, NULL);
    hf_resp_testing_open(&rig, &connection);
    rig.slow = slow;
    for (unsigned i = 0; i < STEPS_MAX && step != HF_FRONT_CLOSE && have < bytes.size; i++) {
        size_t used = 0;
        have += bytes.size - have < piece ? bytes.size - have : piece;
        do {
            step = hf_resp_testing_feed(&connection, hf_slice(bytes.bytes + first, have - first),
                                        &used);
            first += step == HF_FRONT_DONE ? used : 0;
            REQUIRE(step != HF_FRONT_DONE || (used > 0 && first <= have));
        } while (step == HF_FRONT_DONE && first < have && rig.size < ANSWER_MAX / 2);
        if (rig.size >= ANSWER_MAX / 2)
            break;
    }
    size_t size = rig.size < ANSWER_MAX ? rig.size : ANSWER_MAX;
    memcpy(answer, rig.out, size);
    hf_resp_testing_close(&connection);
    hf_resp_testing_fini(&rig);
    return size;
}

static void check_replies(struct hf_slice answer)
{
    static const struct hf_resp_reply_limits limits = {ANSWER_MAX, ANSWER_MAX, 1 << 20};
    while (answer.size > 0) {
        struct hf_resp_reply_parser parser = {0};
        size_t used = 0;
        REQUIRE(hf_resp_parse_reply(&parser, answer.bytes, answer.size, &limits, &used) ==
                HF_CODEC_DONE);
        answer = hf_slice(answer.bytes + used, answer.size - used);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char at_hand[ANSWER_MAX], waiting[ANSWER_MAX];
    if (size < 2)
        return 0;
    struct hf_slice bytes = hf_slice((const char *)data + 1, size - 1);
    size_t piece = (size_t)data[0] * 16 + bytes.size / STEPS_MAX + 1;
    size_t first = run(bytes, piece, false, at_hand), second = run(bytes, piece, true, waiting);
    bool info = memmem(at_hand, first, "# Memory", 8) != NULL; /* counts what malloc rounds up to */
    REQUIRE(info || (first == second && memcmp(at_hand, waiting, first) == 0));
    if (first < ANSWER_MAX / 2)
        check_replies(hf_slice(at_hand, first));
    return 0;
}
