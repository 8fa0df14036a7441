#include "proto/token.h"
#include "base/assert.h"
#include "base/rng.h"
#include "proto/scan.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,      /* the client is at home */
    VERSION_AWAY = 2, /* with home_id, for which times and epoch are narrower */
    NONCE_SIZE = 12,
    FIELDS_SIZE = 36,
    TAG_SIZE = 16,
    NONCE_AT = 2,
    FIELDS_AT = NONCE_AT + NONCE_SIZE,
    TAG_AT = FIELDS_AT + FIELDS_SIZE,
    RAW_SIZE = TAG_AT + TAG_SIZE,
    NO_KEY = 0xff,
    HF_TOKEN_SEALER_MAGIC = 0x70c6e41d,
};
_Static_assert(RAW_SIZE % 3 == 0 && RAW_SIZE / 3 * 4 == HF_TOKEN_TEXT_SIZE,
               "the text has no trailing bits, so each token has one spelling");

/* Key schedules are computed once; every use sets a nonce alone, which allocates nothing. */
struct hf_token_sealer {
    uint32_t magic;
    unsigned count;
    uint8_t seal_id;
    uint8_t key_of_id[256];  /* index of the key, or NO_KEY */
    int8_t letter_bits[256]; /* six bits of a base64url letter (RFC 4648 5); -1: it is none */
    EVP_CIPHER_CTX *seal;    /* owned; of keys[0] */
    EVP_CIPHER_CTX *open[HF_TOKEN_KEYS_MAX]; /* owned */
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(const uint8_t raw[RAW_SIZE], char out[HF_TOKEN_TEXT_SIZE])
{
    for (size_t from = 0, to = 0; from < RAW_SIZE; from += 3, to += 4) {
        uint32_t bits = (uint32_t)raw[from] << 16 | (uint32_t)raw[from + 1] << 8 | raw[from + 2];
        for (unsigned i = 0; i < 4; i++)
            out[to + i] = alphabet[bits >> (18 - 6 * i) & 63];
    }
}

static void list_letters(int8_t bits[256])
{
    memset(bits, -1, 256);
    for (unsigned i = 0; i < 64; i++)
        bits[(uint8_t)alphabet[i]] = (int8_t)i;
}

/* By a table, without branches: the letters of a token are random, so that half of the branches
 * would be predicted wrongly. A token is no secret of whoever sends it. */
static bool decode(const int8_t bits_of[256], const char *text, uint8_t ret_raw[RAW_SIZE])
{
    int wrong = 0;
    for (size_t from = 0, to = 0; from < HF_TOKEN_TEXT_SIZE; from += 4, to += 3) {
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            int six = bits_of[(uint8_t)text[from + i]];
            wrong |= six;
            bits = bits << 6 | ((uint32_t)six & 63);
        }
        ret_raw[to] = (uint8_t)(bits >> 16);
        ret_raw[to + 1] = (uint8_t)(bits >> 8);
        ret_raw[to + 2] = (uint8_t)bits;
    }
    return wrong >= 0;
}

static uint64_t at_most(uint64_t number, uint64_t most)
{
    return number < most ? number : most;
}

static void put_number(uint8_t *at, uint64_t number, unsigned size)
{
    for (unsigned i = size; i > 0; i--, number >>= 8)
        at[i - 1] = (uint8_t)number;
}

static uint64_t get_number(const uint8_t *at, unsigned size)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < size; i++)
        number = number << 8 | at[i];
    return number;
}

static void pack(const struct hf_token *token, uint8_t fields[FIELDS_SIZE])
{
    put_number(fields, token->server_id, 8);
    put_number(fields + 8, token->client_id, 8);
    if (token->home_id != 0) {
        put_number(fields + 16, token->home_id, 8);
        put_number(fields + 24, at_most(token->issued_s, HF_TOKEN_AWAY_TIME_MAX), 5);
        put_number(fields + 29, at_most(token->seen_s, HF_TOKEN_AWAY_TIME_MAX), 5);
        put_number(fields + 34, at_most(token->epoch, HF_TOKEN_AWAY_EPOCH_MAX), 2);
        return;
    }
    put_number(fields + 16, token->issued_s, 8);
    put_number(fields + 24, token->seen_s, 8);
    put_number(fields + 32, token->epoch, 4);
}

static void unpack(uint8_t version, const uint8_t fields[FIELDS_SIZE], struct hf_token *token)
{
    token->server_id = get_number(fields, 8);
    token->client_id = get_number(fields + 8, 8);
    if (version == VERSION_AWAY) {
        token->home_id = get_number(fields + 16, 8);
        token->issued_s = get_number(fields + 24, 5);
        token->seen_s = get_number(fields + 29, 5);
        token->epoch = (uint32_t)get_number(fields + 34, 2);
        return;
    }
    token->home_id = 0;
    token->issued_s = get_number(fields + 16, 8);
    token->seen_s = get_number(fields + 24, 8);
    token->epoch = (uint32_t)get_number(fields + 32, 4);
}

static EVP_CIPHER_CTX *prepare(const uint8_t *key, int sealing)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (cipher != NULL &&
        EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, NULL, sealing) == 1)
        return cipher;
    EVP_CIPHER_CTX_free(cipher);
    return NULL;
}

static bool keys_valid(const struct hf_token_key *keys, unsigned count)
{
    bool seen[256] = {false};
    if (count == 0 || count > HF_TOKEN_KEYS_MAX)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (keys[i].id == 0 || seen[keys[i].id])
            return false;
        seen[keys[i].id] = true;
    }
    return true;
}

int hf_token_sealer_new(const struct hf_token_key *keys, unsigned count,
                        struct hf_token_sealer **ret_sealer)
{
    if (!keys_valid(keys, count))
        return -EINVAL;
    struct hf_token_sealer *sealer = calloc(1, sizeof(*sealer));
    if (sealer == NULL)
        return -ENOMEM;
    sealer->magic = HF_TOKEN_SEALER_MAGIC;
    sealer->seal_id = keys[0].id;
    memset(sealer->key_of_id, NO_KEY, sizeof(sealer->key_of_id));
    list_letters(sealer->letter_bits);
    sealer->seal = prepare(keys[0].bytes, 1);
    bool ready = sealer->seal != NULL;
    for (unsigned i = 0; i < count && ready; i++) {
        sealer->open[i] = prepare(keys[i].bytes, 0);
        sealer->key_of_id[keys[i].id] = (uint8_t)i;
        ready = sealer->open[i] != NULL;
        sealer->count = i + 1;
    }
    if (!ready) {
        hf_token_sealer_free(&sealer);
        return -ENOMEM;
    }
    *ret_sealer = sealer;
    return 0;
}

/* OpenSSL wipes the key schedules. */
void hf_token_sealer_free(struct hf_token_sealer **sealer)
{
    if (*sealer == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(*sealer, HF_TOKEN_SEALER_MAGIC));
    EVP_CIPHER_CTX_free((*sealer)->seal);
    for (unsigned i = 0; i < (*sealer)->count; i++)
        EVP_CIPHER_CTX_free((*sealer)->open[i]);
    OPENSSL_cleanse(*sealer, sizeof(**sealer));
    free(*sealer);
    *sealer = NULL;
}

/* Sets the nonce and takes in what the tag covers beside the fields. */
static void begin(EVP_CIPHER_CTX *cipher, const uint8_t raw[RAW_SIZE], struct hf_slice scope)
{
    int size = 0;
    REQUIRE(scope.size <= HF_TOKEN_SCOPE_MAX);
    REQUIRE(EVP_CipherInit_ex(cipher, NULL, NULL, NULL, raw + NONCE_AT, -1) == 1);
    REQUIRE(EVP_CipherUpdate(cipher, NULL, &size, raw, NONCE_AT) == 1);
    if (scope.size > 0)
        REQUIRE(EVP_CipherUpdate(cipher, NULL, &size, (const uint8_t *)scope.bytes,
                                 (int)scope.size) == 1);
}

void hf_token_seal(struct hf_token_sealer *sealer, struct hf_slice scope,
                   const struct hf_token *token, char out[HF_TOKEN_TEXT_SIZE])
{
    REQUIRE(HF_MAGIC_OK(sealer, HF_TOKEN_SEALER_MAGIC));
    uint8_t raw[RAW_SIZE] = {token->home_id != 0 ? VERSION_AWAY : VERSION, sealer->seal_id};
    uint8_t fields[FIELDS_SIZE];
    int size = 0;
    hf_random_bytes(raw + NONCE_AT, NONCE_SIZE);
    pack(token, fields);
    begin(sealer->seal, raw, scope);
    REQUIRE(EVP_CipherUpdate(sealer->seal, raw + FIELDS_AT, &size, fields, FIELDS_SIZE) == 1);
    REQUIRE(size == FIELDS_SIZE);
    REQUIRE(EVP_CipherFinal_ex(sealer->seal, raw + TAG_AT, &size) == 1 && size == 0);
    REQUIRE(EVP_CIPHER_CTX_ctrl(sealer->seal, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, raw + TAG_AT) == 1);
    encode(raw, out);
}

/* False when the tag does not fit; what was decrypted until then is wiped. */
static bool open_fields(EVP_CIPHER_CTX *cipher, struct hf_slice scope, uint8_t raw[RAW_SIZE],
                        struct hf_token *ret_token)
{
    uint8_t fields[FIELDS_SIZE];
    int size = 0;
    begin(cipher, raw, scope);
    REQUIRE(EVP_CipherUpdate(cipher, fields, &size, raw + FIELDS_AT, FIELDS_SIZE) == 1);
    REQUIRE(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, raw + TAG_AT) == 1);
    bool genuine = EVP_CipherFinal_ex(cipher, fields + size, &size) > 0;
    if (genuine)
        unpack(raw[0], fields, ret_token);
    OPENSSL_cleanse(fields, sizeof(fields));
    return genuine;
}

enum hf_token_verdict hf_token_open(struct hf_token_sealer *sealer, struct hf_slice scope,
                                    struct hf_slice text, struct hf_token *ret_token)
{
    uint8_t raw[RAW_SIZE];
    REQUIRE(HF_MAGIC_OK(sealer, HF_TOKEN_SEALER_MAGIC));
    if (text.size != HF_TOKEN_TEXT_SIZE || !decode(sealer->letter_bits, text.bytes, raw) ||
        (raw[0] != VERSION && raw[0] != VERSION_AWAY))
        return HF_TOKEN_MALFORMED;
    unsigned key = sealer->key_of_id[raw[1]];
    if (key == NO_KEY)
        return HF_TOKEN_UNKNOWN_KEY;
    if (!open_fields(sealer->open[key], scope, raw, ret_token))
        return HF_TOKEN_FORGED;
    return key == 0 ? HF_TOKEN_VALID : HF_TOKEN_OLD_KEY;
}

int hf_token_key_parse(struct hf_slice text, uint8_t ret_bytes[HF_TOKEN_KEY_SIZE])
{
    enum { DIGITS = 2 * HF_TOKEN_KEY_SIZE };
    uint8_t bytes[HF_TOKEN_KEY_SIZE];
    bool newline = text.size == DIGITS + 1 && text.bytes[DIGITS] == '\n';
    if (text.size != DIGITS && !newline)
        return -EINVAL;
    int wrong = 0;
    for (size_t i = 0; i < HF_TOKEN_KEY_SIZE; i++) {
        int high = hf_scan_hex_digit(text.bytes[2 * i]),
            low = hf_scan_hex_digit(text.bytes[2 * i + 1]);
        wrong |= high | low;
        bytes[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    if (wrong >= 0)
        memcpy(ret_bytes, bytes, sizeof(bytes));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return wrong >= 0 ? 0 : -EINVAL;
}

void hf_token_key_format(const uint8_t bytes[HF_TOKEN_KEY_SIZE], char out[65])
{
    for (size_t i = 0; i < HF_TOKEN_KEY_SIZE; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[64] = '\0';
}
