#include "proto/token.h"
#include "fuzz.h"
#include <errno.h>

/* Nothing but what was sealed opens; what was sealed opens to itself; key texts are read strictly.
 */

static const struct hf_token_key keys[] = {{.id = 1, .bytes = {1}}, {.id = 2, .bytes = {2}}};

static struct hf_token_sealer *sealer(void)
{
    static struct hf_token_sealer *one;
    if (one == NULL)
        REQUIRE(hf_token_sealer_new(keys, 2, &one) == 0);
    return one;
}

static void check_text(struct hf_slice text)
{
    struct hf_token token;
    enum hf_token_verdict verdict = hf_token_open(sealer(), HF_SLICE("pool"), text, &token);
    REQUIRE(verdict != HF_TOKEN_VALID && verdict != HF_TOKEN_OLD_KEY);
    REQUIRE(verdict == HF_TOKEN_MALFORMED || text.size == HF_TOKEN_TEXT_SIZE);
}

/* The input is laid over a sealed text: it opens where nothing was changed, and nowhere else. */
static void check_altered(const uint8_t *data, size_t size)
{
    struct hf_token token = {0}, opened;
    char text[HF_TOKEN_TEXT_SIZE], altered[HF_TOKEN_TEXT_SIZE];
    memcpy(&token.client_id, data, size < 8 ? size : 8);
    token.home_id = size > 8 ? data[8] : 0; /* both versions */
    hf_token_seal(sealer(), HF_SLICE("pool"), &token, text);
    for (size_t i = 0; i < sizeof(text); i++)
        altered[i] = (char)(i < size ? text[i] ^ (char)(data[i] & 0x3f) : text[i]);
    bool same = memcmp(text, altered, sizeof(text)) == 0;
    char *copy = fuzz_copy(altered, sizeof(altered));
    enum hf_token_verdict verdict =
        hf_token_open(sealer(), HF_SLICE("pool"), hf_slice(copy, sizeof(altered)), &opened);
    REQUIRE((verdict == HF_TOKEN_VALID) == same);
    REQUIRE(!same || (opened.client_id == token.client_id && opened.home_id == token.home_id));
    free(copy);
}

static void check_key(struct hf_slice text)
{
    uint8_t bytes[HF_TOKEN_KEY_SIZE], again[HF_TOKEN_KEY_SIZE];
    char written[65];
    int error = hf_token_key_parse(text, bytes);
    REQUIRE(error == 0 || error == -EINVAL);
    if (error != 0)
        return;
    REQUIRE(text.size == 64 || text.size == 65);
    hf_token_key_format(bytes, written);
    REQUIRE(hf_slice_equal_nocase(hf_slice(written, 64), hf_slice(text.bytes, 64)));
    REQUIRE(hf_token_key_parse(hf_slice(written, 64), again) == 0);
    REQUIRE(memcmp(bytes, again, sizeof(bytes)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_copy(data, size);
    check_text(hf_slice(bytes, size));
    check_key(hf_slice(bytes, size));
    check_altered(data, size);
    free(bytes);
    return 0;
}
