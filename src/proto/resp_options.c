#include "proto/resp_options.h"
#include "proto/number.h"

enum { SCAN_COUNT_DEFAULT = 10, MS_PER_S = 1000 };

static bool is(struct hf_slice argument, const char *word)
{
    return hf_slice_equal_nocase(argument, hf_slice_text(word));
}

/* The four options that name a time. */
static const struct {
    const char *word;
    uint8_t kind;
    int unit_ms;
} times[] = {
    {"ex", HF_RESP_EXPIRY_IN, MS_PER_S},
    {"px", HF_RESP_EXPIRY_IN, 1},
    {"exat", HF_RESP_EXPIRY_AT, MS_PER_S},
    {"pxat", HF_RESP_EXPIRY_AT, 1},
};

/* A number of that unit as an expiry; what a key is set with must lie ahead. */
static enum hf_resp_error read_expiry(struct hf_slice text, unsigned unit_ms, uint8_t kind,
                                      bool ahead, struct hf_resp_expiry *ret_expiry)
{
    int64_t number;
    if (!hf_number_parse_i64(text, &number))
        return HF_RESP_ERROR_NOT_INTEGER;
    if (ahead && number <= 0)
        return HF_RESP_ERROR_INVALID_EXPIRE;
    if (__builtin_mul_overflow(number, (int64_t)unit_ms, &number))
        return HF_RESP_ERROR_INVALID_EXPIRE;
    if (kind == HF_RESP_EXPIRY_IN && number > HF_RESP_EXPIRY_IN_MAX)
        return HF_RESP_ERROR_INVALID_EXPIRE;
    *ret_expiry = (struct hf_resp_expiry){kind, number};
    return HF_RESP_ERROR_NONE;
}

struct time_option {  /* an option that names a time, once it is found */
    const char *word; /* static; NULL: none yet */
    struct hf_slice number;
    uint8_t kind;
    int unit_ms;
};

/* Whether argument `at` names a time and another argument follows. The same word may come again,
 * and then counts anew; two different ones may not meet. */
static bool read_time(const struct hf_resp_request *request, uint32_t at, struct time_option *time)
{
    if (at + 1 >= request->count)
        return false;
    for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        if (!is(request->arguments[at], times[i].word))
            continue;
        if (time->word != NULL && time->word != times[i].word)
            return false;
        *time = (struct time_option){times[i].word, request->arguments[at + 1], times[i].kind,
                                     times[i].unit_ms};
        return true;
    }
    return false;
}

static enum hf_resp_error settle_time(const struct time_option *time,
                                      struct hf_resp_expiry *ret_expiry)
{
    if (time->word == NULL)
        return HF_RESP_ERROR_NONE;
    return read_expiry(time->number, (unsigned)time->unit_ms, time->kind, true, ret_expiry);
}

enum hf_resp_error hf_resp_options_set(const struct hf_resp_request *request,
                                       struct hf_resp_set_options *ret_options)
{
    struct hf_resp_set_options options = {0};
    struct time_option time = {0};
    for (uint32_t i = 3; i < request->count; i++) {
        struct hf_slice option = request->arguments[i];
        if (is(option, "nx") && !options.if_present)
            options.if_absent = true;
        else if (is(option, "xx") && !options.if_absent)
            options.if_present = true;
        else if (is(option, "get"))
            options.get = true;
        else if (is(option, "keepttl") && time.word == NULL)
            options.keep_expiry = true;
        else if (!options.keep_expiry && read_time(request, i, &time))
            i++;
        else
            return HF_RESP_ERROR_SYNTAX;
    }
    enum hf_resp_error error = settle_time(&time, &options.expiry);
    *ret_options = options;
    return error;
}

enum hf_resp_error hf_resp_options_getex(const struct hf_resp_request *request,
                                         struct hf_resp_expiry *ret_expiry)
{
    struct time_option time = {0};
    bool persist = false;
    for (uint32_t i = 2; i < request->count; i++) {
        if (is(request->arguments[i], "persist") && time.word == NULL)
            persist = true;
        else if (!persist && read_time(request, i, &time))
            i++;
        else
            return HF_RESP_ERROR_SYNTAX;
    }
    *ret_expiry =
        (struct hf_resp_expiry){persist ? HF_RESP_EXPIRY_PERSIST : HF_RESP_EXPIRY_NONE, 0};
    return settle_time(&time, ret_expiry);
}

enum hf_resp_error hf_resp_options_setex(const struct hf_resp_request *request, bool milliseconds,
                                         struct hf_resp_expiry *ret_expiry)
{
    return read_expiry(request->arguments[2], milliseconds ? 1 : MS_PER_S, HF_RESP_EXPIRY_IN, true,
                       ret_expiry);
}

enum hf_resp_error hf_resp_options_expire(const struct hf_resp_request *request,
                                          enum hf_resp_command_id id,
                                          struct hf_resp_expire_options *ret_options,
                                          struct hf_slice *ret_wrong)
{
    bool absolute = id == HF_RESP_COMMAND_EXPIREAT || id == HF_RESP_COMMAND_PEXPIREAT;
    bool milliseconds = id == HF_RESP_COMMAND_PEXPIRE || id == HF_RESP_COMMAND_PEXPIREAT;
    struct hf_resp_expire_options options = {0};
    for (uint32_t i = 3; i < request->count; i++) {
        struct hf_slice option = request->arguments[i];
        if (is(option, "nx"))
            options.if_none = true;
        else if (is(option, "xx"))
            options.if_any = true;
        else if (is(option, "gt"))
            options.if_later = true;
        else if (is(option, "lt"))
            options.if_sooner = true;
        else {
            *ret_wrong = option;
            return HF_RESP_ERROR_UNSUPPORTED_OPTION;
        }
    }
    if (options.if_none && (options.if_any || options.if_later || options.if_sooner))
        return HF_RESP_ERROR_NX_WITH_OTHERS;
    if (options.if_later && options.if_sooner)
        return HF_RESP_ERROR_GT_WITH_LT;
    enum hf_resp_error error =
        read_expiry(request->arguments[2], milliseconds ? 1 : MS_PER_S,
                    absolute ? HF_RESP_EXPIRY_AT : HF_RESP_EXPIRY_IN, false, &options.expiry);
    *ret_options = options;
    return error;
}

static enum hf_resp_error scan_option(struct hf_slice option, struct hf_slice value,
                                      struct hf_resp_scan_options *options)
{
    int64_t count;
    if (is(option, "match")) {
        options->has_match = true;
        options->match = value;
        return HF_RESP_ERROR_NONE;
    }
    if (is(option, "type")) {
        options->has_type = true;
        options->type = value;
        return HF_RESP_ERROR_NONE;
    }
    if (!is(option, "count"))
        return HF_RESP_ERROR_SYNTAX;
    if (!hf_number_parse_i64(value, &count))
        return HF_RESP_ERROR_NOT_INTEGER;
    if (count < 1)
        return HF_RESP_ERROR_SYNTAX;
    options->count = (uint64_t)count;
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_options_scan(const struct hf_resp_request *request,
                                        struct hf_resp_scan_options *ret_options)
{
    *ret_options = (struct hf_resp_scan_options){.count = SCAN_COUNT_DEFAULT};
    if (!hf_slice_to_u64(request->arguments[1], &ret_options->cursor))
        return HF_RESP_ERROR_INVALID_CURSOR;
    for (uint32_t i = 2; i < request->count; i += 2) {
        if (i + 1 == request->count)
            return HF_RESP_ERROR_SYNTAX;
        enum hf_resp_error error =
            scan_option(request->arguments[i], request->arguments[i + 1], ret_options);
        if (error != HF_RESP_ERROR_NONE)
            return error;
    }
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_options_hello(const struct hf_resp_request *request,
                                         struct hf_resp_hello_options *ret_options,
                                         struct hf_slice *ret_wrong)
{
    struct hf_resp_hello_options options = {0};
    int64_t version = 0;
    if (request->count > 1) {
        if (!hf_number_parse_i64(request->arguments[1], &version))
            return HF_RESP_ERROR_BAD_PROTO;
        if (version < 2 || version > 3)
            return HF_RESP_ERROR_NO_PROTO;
    }
    options.version = (int)version;
    for (uint32_t i = 2; i < request->count; i++) {
        const struct hf_slice *option = &request->arguments[i];
        uint32_t left = request->count - i - 1;
        if (is(*option, "auth") && left >= 2) {
            options.has_auth = true;
            options.user = option[1];
            options.password = option[2];
            i += 2;
        } else if (is(*option, "setname") && left >= 1) {
            options.has_name = true;
            options.name = option[1];
            i++;
        } else {
            *ret_wrong = *option;
            return HF_RESP_ERROR_HELLO_SYNTAX;
        }
    }
    *ret_options = options;
    return HF_RESP_ERROR_NONE;
}
