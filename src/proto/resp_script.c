#include "proto/resp_script.h"
#include "base/assert.h"
#include "proto/writer.h"
#include <openssl/evp.h>

static const struct {
    uint8_t id;
    struct hf_slice form;
} forms[] = {
#define HF_RESP_SCRIPT_FORM_ROW(id, form) {HF_RESP_SCRIPT_##id, {form, sizeof(form) - 1}},
#include "proto/resp_script_forms.def"
#undef HF_RESP_SCRIPT_FORM_ROW
};

static const struct {
    uint8_t id;
    struct hf_slice hash, body;
} hashes[] = {
#define HF_RESP_SCRIPT_HASH_ROW(id, hash, body)                                                    \
    {HF_RESP_SCRIPT_##id, {hash, sizeof(hash) - 1}, {body, sizeof(body) - 1}},
#include "proto/resp_script_hashes.def"
#undef HF_RESP_SCRIPT_HASH_ROW
};

static const struct {
    uint8_t keys, arguments;
} needs[HF_RESP_SCRIPTS] = {
#define HF_RESP_SCRIPT_ROW(id, keys, arguments) [HF_RESP_SCRIPT_##id] = {keys, arguments},
#include "proto/resp_scripts.def"
#undef HF_RESP_SCRIPT_ROW
};

struct normaliser {
    struct hf_slice body;
    size_t at;
    struct hf_writer writer;
    bool gap;       /* something was left out before `at`: blanks, a comment, */
    bool semicolon; /* and a semicolon */
};

static bool is_word(char byte)
{
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') || byte == '_';
}

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Two of these without a blank between them are another thing than with one: "==", "--", "[[". */
static bool is_glue(char byte)
{
    return byte != '\0' && strchr("=~<>-.[", byte) != NULL;
}

static void put(struct normaliser *state, char byte)
{
    struct hf_writer *writer = &state->writer;
    bool behind = state->gap && writer->size > 0 && hf_writer_fits(writer);
    char last = behind ? writer->out[writer->size - 1] : '\0';
    if (behind && state->semicolon && byte == '(') /* without it, a call of what came before */
        hf_writer_byte(writer, ';');
    else if (behind && ((is_word(last) && is_word(byte)) || (is_glue(last) && is_glue(byte))))
        hf_writer_byte(writer, ' ');
    state->gap = state->semicolon = false;
    hf_writer_byte(writer, byte);
}

static bool ends_with(const struct hf_writer *writer, struct hf_slice end)
{
    return hf_writer_fits(writer) && writer->size >= end.size &&
           memcmp(writer->out + writer->size - end.size, end.bytes, end.size) == 0;
}

/* A quoted string, which must be plain: no escape, no line end. Names of commands are the same in
 * either case, other strings are not. */
static bool take_string(struct normaliser *state)
{
    char quote = state->body.bytes[state->at++];
    bool command = ends_with(&state->writer, HF_SLICE("redis.call("));
    put(state, '\'');
    while (state->at < state->body.size) {
        char byte = state->body.bytes[state->at++];
        if (byte == quote) {
            put(state, '\'');
            return true;
        }
        if (byte == '\\' || byte == '\n' || byte == '\r' || byte == '\'' || byte == '"')
            return false;
        bool upper = command && byte >= 'A' && byte <= 'Z';
        hf_writer_byte(&state->writer, upper ? (char)(byte | 0x20) : byte);
    }
    return false;
}

/* "-- ..." up to the line's end; a long comment is not understood. */
static bool skip_comment(struct normaliser *state)
{
    struct hf_slice body = state->body;
    if (state->at + 2 < body.size && body.bytes[state->at + 2] == '[')
        return false;
    const char *end = memchr(body.bytes + state->at, '\n', body.size - state->at);
    state->at = end != NULL ? (size_t)(end - body.bytes) : body.size;
    state->gap = true;
    return true;
}

size_t hf_resp_script_normalise(struct hf_slice body, char out[HF_RESP_SCRIPT_FORM_MAX])
{
    struct normaliser state = {.body = body, .writer = hf_writer(out, HF_RESP_SCRIPT_FORM_MAX)};
    if (body.size > HF_RESP_SCRIPT_SIZE_MAX)
        return 0;
    while (state.at < body.size && hf_writer_fits(&state.writer)) {
        char byte = body.bytes[state.at];
        bool understood = true;
        if (is_blank(byte) || byte == ';') {
            state.gap = true;
            state.semicolon |= byte == ';';
            state.at++;
        } else if (byte == '\'' || byte == '"') {
            understood = take_string(&state);
        } else if (byte == '-' && state.at + 1 < body.size && body.bytes[state.at + 1] == '-') {
            understood = skip_comment(&state);
        } else {
            put(&state, byte);
            state.at++;
        }
        if (!understood)
            return 0;
    }
    return hf_writer_fits(&state.writer) ? state.writer.size : 0;
}

enum hf_resp_script hf_resp_script_recognise(struct hf_slice body)
{
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
        if (hf_slice_equal(body, hashes[i].body))
            return (enum hf_resp_script)hashes[i].id;
    char out[HF_RESP_SCRIPT_FORM_MAX];
    struct hf_slice form = hf_slice(out, hf_resp_script_normalise(body, out));
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (hf_slice_equal(form, forms[i].form))
            return (enum hf_resp_script)forms[i].id;
    return HF_RESP_SCRIPT_NONE;
}

enum hf_resp_script hf_resp_script_by_hash(struct hf_slice hash)
{
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
        if (hf_slice_equal_nocase(hash, hashes[i].hash))
            return (enum hf_resp_script)hashes[i].id;
    return HF_RESP_SCRIPT_NONE;
}

bool hf_resp_script_fits(enum hf_resp_script script, uint32_t keys, uint32_t arguments)
{
    REQUIRE(script > HF_RESP_SCRIPT_NONE && script < HF_RESP_SCRIPTS);
    bool keys_fit = needs[script].keys == 0 ? keys > 0 : keys == needs[script].keys;
    return keys_fit && arguments == needs[script].arguments;
}

/* rule zero: the library allocates inside, for this is asked once a script and not per request. */
void hf_resp_script_hash(struct hf_slice body, char out[HF_RESP_SCRIPT_HASH_SIZE])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int done = EVP_Digest(body.bytes, body.size, hash, &size, EVP_sha1(), NULL);
    REQUIRE(done == 1 && 2 * size == HF_RESP_SCRIPT_HASH_SIZE);
    for (unsigned i = 0; i < size; i++) {
        out[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
}
