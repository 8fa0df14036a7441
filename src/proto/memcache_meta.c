#include "base/assert.h"
#include "proto/memcache_internal.h"

/* What may follow a flag's letter. */
enum argument {
    NONE,
    NUMBER,  /* decimal, 64 bits */
    SECONDS, /* with an optional "-" */
    TOKEN,   /* anything */
    LETTER,  /* a mode */
};

struct flag {
    char letter;
    uint8_t argument;
};

/* Any command takes any flag, and leaves alone what it has no use for: so does memcached, and there
 * are clients that count on it. Those without an argument ask for something in the answer. */
static const struct flag flags[] = {
    {'b', NONE},   {'c', NONE},   {'f', NONE},    {'h', NONE},    {'k', NONE},    {'l', NONE},
    {'q', NONE},   {'s', NONE},   {'t', NONE},    {'u', NONE},    {'v', NONE},    {'x', NONE},
    {'I', NONE},   {'O', TOKEN},  {'C', NUMBER},  {'D', NUMBER},  {'E', NUMBER},  {'F', NUMBER},
    {'J', NUMBER}, {'M', LETTER}, {'N', SECONDS}, {'R', SECONDS}, {'T', SECONDS},
};

static const struct {
    char letter; /* behind "m" */
    uint8_t operation;
} commands[] = {
    {'g', HF_MEMCACHE_GET},       {'s', HF_MEMCACHE_SET},   {'d', HF_MEMCACHE_DELETE},
    {'a', HF_MEMCACHE_INCREMENT}, {'e', HF_MEMCACHE_DEBUG}, {'n', HF_MEMCACHE_NOOP},
};

static int base64_digit(char byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '+' ? 62 : (byte == '/' ? 63 : -1);
}

/* RFC 4648 4, with padding, and with zero bits where nothing is encoded: one text for one key. */
static bool decode_key(struct hf_memcache_request *request)
{
    struct hf_slice text = request->key_text;
    size_t size = 0;
    if (text.size == 0 || text.size % 4 != 0)
        return false;
    unsigned padding = text.bytes[text.size - 1] != '='   ? 0
                       : text.bytes[text.size - 2] != '=' ? 1
                                                          : 2;
    for (size_t i = 0; i < text.size; i += 4) {
        unsigned missing = i + 4 == text.size ? padding : 0;
        uint32_t bits = 0;
        for (unsigned k = 0; k < 4; k++) {
            int digit = k < 4 - missing ? base64_digit(text.bytes[i + k]) : 0;
            if (digit < 0)
                return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        if ((missing == 1 && (bits & 0xff) != 0) || (missing == 2 && (bits & 0xffff) != 0))
            return false;
        for (unsigned k = 0; k < 3 - missing; k++)
            request->decoded_key[size++] = (char)(bits >> (16 - 8 * k));
    }
    request->key = hf_slice(request->decoded_key, size);
    return true;
}

/* Only ms and ma have modes. */
static enum hf_memcache_reason set_mode(struct hf_memcache_request *request, char mode)
{
    static const struct {
        char letter; /* a capital one */
        uint8_t of, operation;
    } modes[] = {
        {'S', HF_MEMCACHE_SET, HF_MEMCACHE_SET},
        {'E', HF_MEMCACHE_SET, HF_MEMCACHE_ADD},
        {'R', HF_MEMCACHE_SET, HF_MEMCACHE_REPLACE},
        {'A', HF_MEMCACHE_SET, HF_MEMCACHE_APPEND},
        {'P', HF_MEMCACHE_SET, HF_MEMCACHE_PREPEND},
        {'I', HF_MEMCACHE_INCREMENT, HF_MEMCACHE_INCREMENT},
        {'+', HF_MEMCACHE_INCREMENT, HF_MEMCACHE_INCREMENT},
        {'D', HF_MEMCACHE_INCREMENT, HF_MEMCACHE_DECREMENT},
        {'-', HF_MEMCACHE_INCREMENT, HF_MEMCACHE_DECREMENT},
    };
    bool sets = request->operation == HF_MEMCACHE_SET;
    if (!sets && request->operation != HF_MEMCACHE_INCREMENT)
        return HF_MEMCACHE_OK;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        bool same =
            mode == modes[i].letter || (modes[i].letter >= 'A' && mode == (modes[i].letter | 0x20));
        if (same && modes[i].of == request->operation) {
            request->operation = modes[i].operation;
            return HF_MEMCACHE_OK;
        }
    }
    return sets ? HF_MEMCACHE_BAD_SET_MODE : HF_MEMCACHE_BAD_COUNT_MODE;
}

static void set_number(struct hf_memcache_request *request, char letter, uint64_t number)
{
    switch (letter) {
    case 'C':
        request->has_cas = true;
        request->cas = number;
        break;
    case 'D':
        request->delta = number;
        break;
    case 'E':
        request->has_new_cas = true;
        request->new_cas = number;
        break;
    case 'F':
        request->flags = (uint32_t)number;
        break;
    default:
        request->initial = number;
        break;
    }
}

static void set_seconds(struct hf_memcache_request *request, char letter, int64_t seconds)
{
    switch (letter) {
    case 'N':
        request->creates = true;
        request->create_exptime = seconds;
        break;
    case 'R':
        request->has_recache = true;
        request->recache_s = seconds;
        break;
    default:
        request->touch = true;
        request->exptime = seconds;
        break;
    }
}

static void set_plain(struct hf_memcache_request *request, char letter)
{
    request->quiet |= letter == 'q';
    request->wants_value |= letter == 'v';
    request->invalidates |= letter == 'I';
    request->keeps_item |= letter == 'x';
}

/* One flag with what follows its letter. The mode changes the operation, so it is set last. */
static enum hf_memcache_reason read_flag(struct hf_memcache_request *request, struct flag flag,
                                         struct hf_slice argument, char *mode)
{
    uint64_t number;
    int64_t seconds;
    switch ((enum argument)flag.argument) {
    case NONE:
        set_plain(request, flag.letter);
        return argument.size == 0 ? HF_MEMCACHE_OK : HF_MEMCACHE_BAD_FLAG;
    case NUMBER:
        if (!hf_memcache_read_number(argument, flag.letter == 'F' ? UINT32_MAX : UINT64_MAX,
                                     &number))
            return HF_MEMCACHE_BAD_FLAG_VALUE;
        set_number(request, flag.letter, number);
        return HF_MEMCACHE_OK;
    case SECONDS:
        if (!hf_memcache_read_exptime(argument, &seconds))
            return HF_MEMCACHE_BAD_FLAG_VALUE;
        set_seconds(request, flag.letter, seconds);
        return HF_MEMCACHE_OK;
    case TOKEN:
        return argument.size < HF_MEMCACHE_OPAQUE_MAX ? HF_MEMCACHE_OK : HF_MEMCACHE_BAD_OPAQUE;
    case LETTER:
        *mode = argument.size == 1 ? argument.bytes[0] : '\0';
        return argument.size == 1 ? HF_MEMCACHE_OK : HF_MEMCACHE_BAD_FLAG_VALUE;
    }
    return HF_MEMCACHE_BAD_FLAG;
}

static const struct flag *find_flag(char letter)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (flags[i].letter == letter)
            return &flags[i];
    return NULL;
}

/* All flags of the line; *ret_encoded: the key is base64. */
static enum hf_memcache_reason read_flags(struct hf_slice rest, struct hf_memcache_request *request,
                                          bool *ret_encoded)
{
    uint64_t seen = 0; /* a bit a letter: 'A' to 'z' are fewer than 64 */
    char mode = '\0';
    struct hf_slice token;
    while (hf_memcache_next_token(&rest, &token)) {
        const struct flag *flag = find_flag(token.bytes[0]);
        if (flag == NULL)
            return HF_MEMCACHE_BAD_FLAG;
        uint64_t bit = (uint64_t)1 << (flag->letter - 'A');
        if ((seen & bit) != 0)
            return HF_MEMCACHE_DUPLICATE_FLAG;
        seen |= bit;
        struct hf_slice argument = hf_slice(token.bytes + 1, token.size - 1);
        enum hf_memcache_reason wrong = read_flag(request, *flag, argument, &mode);
        if (wrong != HF_MEMCACHE_OK)
            return wrong;
    }
    *ret_encoded = (seen >> ('b' - 'A') & 1) != 0;
    return mode == '\0' ? HF_MEMCACHE_OK : set_mode(request, mode);
}

/* Key and flags; what is wrong here leaves the connection usable. */
static enum hf_memcache_reason read_operands(struct hf_memcache_line *line,
                                             struct hf_memcache_request *request)
{
    bool encoded = false;
    if (!line->clean || request->key_text.size > HF_MEMCACHE_KEY_MAX)
        return HF_MEMCACHE_BAD_KEY;
    request->key = request->key_text;
    request->meta_flags = line->rest;
    enum hf_memcache_reason wrong = read_flags(line->rest, request, &encoded);
    if (wrong != HF_MEMCACHE_OK)
        return wrong;
    return !encoded || decode_key(request) ? HF_MEMCACHE_OK : HF_MEMCACHE_BAD_ENCODING;
}

static enum hf_memcache_reason refuse(struct hf_memcache_request *request,
                                      enum hf_memcache_reason reason)
{
    request->quiet = false;
    return hf_memcache_refuse(request, reason);
}

enum hf_memcache_reason hf_memcache_read_meta(struct hf_memcache_line *line,
                                              struct hf_slice command,
                                              struct hf_memcache_request *request)
{
    size_t i = 0, count = sizeof(commands) / sizeof(commands[0]);
    struct hf_slice size;
    while (i < count && (command.bytes[0] != 'm' || command.bytes[1] != commands[i].letter))
        i++;
    if (i == count)
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    request->dialect = HF_MEMCACHE_META;
    request->operation = commands[i].operation;
    if (commands[i].operation == HF_MEMCACHE_NOOP)
        return HF_MEMCACHE_OK;
    if (!hf_memcache_next_token(&line->rest, &request->key_text))
        return refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    if (commands[i].operation == HF_MEMCACHE_SET) {
        if (!hf_memcache_next_token(&line->rest, &size))
            return HF_MEMCACHE_BAD_SIZE;
        enum hf_memcache_reason wrong = hf_memcache_read_size(line, size);
        if (wrong != HF_MEMCACHE_OK)
            return wrong;
    }
    if (commands[i].operation == HF_MEMCACHE_INCREMENT)
        request->delta = 1;
    enum hf_memcache_reason wrong = read_operands(line, request);
    return wrong == HF_MEMCACHE_OK ? wrong : refuse(request, wrong);
}
