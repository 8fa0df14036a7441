#include "proto/resp_command.h"
#include "base/assert.h"
#include "proto/number.h"

enum {
    ERROR_INSERT_MAX = 128, /* bytes of a command or argument quoted in an error, as Redis does */
    ERROR_QUOTES_MAX = 128, /* bytes of all arguments of an unknown command */
};
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "names are compared eight bytes at once");

#define START HF_RESP_COMMAND_START
#define END HF_RESP_COMMAND_END
#define WRITE HF_RESP_COMMAND_WRITE
#define ADMIN HF_RESP_COMMAND_ADMIN
#define HANDSHAKE HF_RESP_COMMAND_HANDSHAKE
#define BEFORE_AUTH HF_RESP_COMMAND_BEFORE_AUTH
#define TRANSACTION HF_RESP_COMMAND_TRANSACTION
#define COUNTED_KEYS HF_RESP_COMMAND_COUNTED_KEYS
#define SUBCOMMANDS HF_RESP_COMMAND_SUBCOMMANDS

static const struct hf_resp_command commands[HF_RESP_COMMANDS] = {
#define HF_RESP_COMMAND_GROUP(size)
#define HF_RESP_COMMAND_ROW(id, name, arity, flags, first, last, step)                             \
    [HF_RESP_COMMAND_##id] = {{name, sizeof(name) - 1},                                            \
                              HF_RESP_COMMAND_##id,                                                \
                              (flags),                                                             \
                              (arity),                                                             \
                              (first),                                                             \
                              (last),                                                              \
                              (step)},
#include "proto/resp_commands.def"
#undef HF_RESP_COMMAND_ROW
#undef HF_RESP_COMMAND_GROUP
};

static const struct {
    struct hf_slice name;
    uint8_t command;
    int8_t arity;
} subcommands[HF_RESP_SUBCOMMANDS] = {
#define HF_RESP_SUBCOMMAND_ROW(command, id, name, arity)                                           \
    [HF_RESP_##command##_##id] = {{name, sizeof(name) - 1}, HF_RESP_COMMAND_##command, (arity)},
#include "proto/resp_subcommands.def"
#undef HF_RESP_SUBCOMMAND_ROW
};

static const char *const errors[HF_RESP_ERRORS] = {
    [HF_RESP_ERROR_NONE] = "ERR",
#define HF_RESP_ERROR_ROW(id, text) [HF_RESP_ERROR_##id] = text,
#include "proto/resp_errors.def"
#undef HF_RESP_ERROR_ROW
};

static inline uint64_t load(const char *bytes, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, bytes, size);
    return value;
}

/* The first eight bytes as a number, letters made small. What is no letter may collide with another
 * byte, never with a letter: names consist of letters. */
static inline uint64_t folded_start(struct hf_slice name)
{
    const char *bytes = name.bytes;
    size_t size = name.size;
    if (size >= 8)
        return load(bytes, 8) | 0x2020202020202020;
    uint64_t value;
    if (size >= 4)
        value = (load(bytes, 4) | load(bytes + size - 4, 4) << 8 * (size - 4));
    else
        value = load(bytes, 2) | load(bytes + size - 1, 1) << 8 * (size - 1);
    return value | 0x2020202020202020 >> 8 * (8 - size);
}

/* A constant as soon as the compiler sees the name. */
#define BYTE_OF(name, i) ((uint64_t)(name)[sizeof(name) > (i) ? (i) : sizeof(name) - 1] << 8 * (i))
#define START_OF(name)                                                                             \
    (BYTE_OF(name, 0) | BYTE_OF(name, 1) | BYTE_OF(name, 2) | BYTE_OF(name, 3) |                   \
     BYTE_OF(name, 4) | BYTE_OF(name, 5) | BYTE_OF(name, 6) | BYTE_OF(name, 7))

enum hf_resp_command_id hf_resp_command_find(struct hf_slice name)
{
    enum hf_resp_command_id found = HF_RESP_COMMAND_NONE;
    if (name.size < 2)
        return found;
    uint64_t start = folded_start(name);
    switch (name.size) {
#define HF_RESP_COMMAND_GROUP(size)                                                                \
    break;                                                                                         \
    case size:
#define HF_RESP_COMMAND_ROW(id, name, arity, flags, first, last, step)                             \
    if (start == START_OF(name)) {                                                                 \
        found = HF_RESP_COMMAND_##id;                                                              \
        break;                                                                                     \
    }
#include "proto/resp_commands.def"
#undef HF_RESP_COMMAND_ROW
#undef HF_RESP_COMMAND_GROUP
        break;
    default:
        break;
    }
    if (name.size > 8 && found != HF_RESP_COMMAND_NONE &&
        !hf_slice_equal_nocase(name, commands[found].name))
        return HF_RESP_COMMAND_NONE;
    return found;
}

const struct hf_resp_command *hf_resp_command_row(enum hf_resp_command_id id)
{
    REQUIRE(id > HF_RESP_COMMAND_NONE && id < HF_RESP_COMMANDS);
    return &commands[id];
}

static bool arity_fits(int arity, uint32_t count)
{
    return arity >= 0 ? count == (uint32_t)arity : count >= (uint32_t)-arity;
}

static enum hf_resp_error resolve_subcommand(const struct hf_resp_request *request,
                                             struct hf_resp_call *call)
{
    if (request->count == 1)
        return HF_RESP_ERROR_NONE; /* COMMAND alone; the others' arity wants more */
    for (unsigned i = 1; i < HF_RESP_SUBCOMMANDS; i++) {
        if (subcommands[i].command != call->command->id ||
            !hf_slice_equal_nocase(request->arguments[1], subcommands[i].name))
            continue;
        call->subcommand = (uint8_t)i;
        return arity_fits(subcommands[i].arity, request->count) ? HF_RESP_ERROR_NONE
                                                                : HF_RESP_ERROR_WRONG_ARITY;
    }
    return HF_RESP_ERROR_UNKNOWN_SUBCOMMAND;
}

enum hf_resp_error hf_resp_command_resolve(const struct hf_resp_request *request,
                                           struct hf_resp_call *ret_call)
{
    REQUIRE(request->count > 0);
    *ret_call = (struct hf_resp_call){0};
    enum hf_resp_command_id id = hf_resp_command_find(request->arguments[0]);
    if (id == HF_RESP_COMMAND_NONE)
        return HF_RESP_ERROR_UNKNOWN_COMMAND;
    ret_call->command = &commands[id];
    if (!arity_fits(commands[id].arity, request->count))
        return HF_RESP_ERROR_WRONG_ARITY;
    if ((commands[id].flags & SUBCOMMANDS) != 0)
        return resolve_subcommand(request, ret_call);
    return HF_RESP_ERROR_NONE;
}

static enum hf_resp_error counted_keys(const struct hf_resp_request *request,
                                       struct hf_resp_keys *ret_keys)
{
    int64_t count;
    if (!hf_number_parse_i64(request->arguments[2], &count))
        return HF_RESP_ERROR_NOT_INTEGER;
    if (count > (int64_t)request->count - 3)
        return HF_RESP_ERROR_TOO_MANY_KEYS;
    if (count < 0)
        return HF_RESP_ERROR_NEGATIVE_KEYS;
    *ret_keys = (struct hf_resp_keys){3, (uint32_t)count, 1};
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_command_keys(const struct hf_resp_call *call,
                                        const struct hf_resp_request *request,
                                        struct hf_resp_keys *ret_keys)
{
    const struct hf_resp_command *command = call->command;
    *ret_keys = (struct hf_resp_keys){0};
    if ((command->flags & COUNTED_KEYS) != 0)
        return counted_keys(request, ret_keys);
    if (command->first_key == 0)
        return HF_RESP_ERROR_NONE;
    uint32_t first = (uint32_t)command->first_key, step = (uint32_t)command->key_step;
    uint32_t last = command->last_key > 0 ? (uint32_t)command->last_key
                                          : request->count - (uint32_t)-command->last_key;
    *ret_keys = (struct hf_resp_keys){first, (last - first) / step + 1, step};
    return HF_RESP_ERROR_NONE;
}

static void write_text(struct hf_writer *writer, enum hf_resp_error error, struct hf_slice insert)
{
    REQUIRE(error > HF_RESP_ERROR_NONE && error < HF_RESP_ERRORS);
    const char *text = errors[error], *mark = strchr(text, '%');
    hf_writer_byte(writer, '-');
    if (mark == NULL) {
        hf_writer_text(writer, text);
        return;
    }
    hf_writer_bytes(writer, text, (size_t)(mark - text));
    hf_writer_line_text(writer, insert, ERROR_INSERT_MAX);
    hf_writer_text(writer, mark + 1);
}

void hf_resp_write_error_of(struct hf_resp_out *out, enum hf_resp_error error,
                            struct hf_slice insert)
{
    write_text(&out->writer, error, insert);
    hf_writer_text(&out->writer, "\r\n");
}

/* "'a' 'b' ": at most ERROR_QUOTES_MAX bytes of it count, then quoting stops. */
static void write_quotes(struct hf_writer *writer, const struct hf_resp_request *request)
{
    size_t quoted = 0;
    for (uint32_t i = 1; i < request->count && quoted < ERROR_QUOTES_MAX; i++) {
        size_t room = ERROR_QUOTES_MAX - quoted, size = request->arguments[i].size;
        hf_writer_byte(writer, '\'');
        hf_writer_line_text(writer, request->arguments[i], room);
        hf_writer_text(writer, "' ");
        quoted += 3 + (size < room ? size : room);
    }
}

static void write_upper(struct hf_writer *writer, struct hf_slice name)
{
    for (size_t i = 0; i < name.size; i++)
        hf_writer_byte(writer, (char)(name.bytes[i] & ~0x20));
}

/* "client|setname": how Redis names a subcommand. */
static struct hf_slice full_name(const struct hf_resp_call *call, char out[static 32])
{
    struct hf_writer writer = hf_writer(out, 32);
    hf_writer_slice(&writer, call->command->name);
    if (call->subcommand != HF_RESP_SUBCOMMAND_NONE) {
        hf_writer_byte(&writer, '|');
        hf_writer_slice(&writer, subcommands[call->subcommand].name);
    }
    REQUIRE(hf_writer_fits(&writer));
    return hf_slice(out, writer.size);
}

void hf_resp_write_refusal(struct hf_resp_out *out, enum hf_resp_error error,
                           const struct hf_resp_call *call, const struct hf_resp_request *request,
                           struct hf_slice insert)
{
    char name[32];
    if (error == HF_RESP_ERROR_UNKNOWN_COMMAND) {
        write_text(&out->writer, error, request->arguments[0]);
        write_quotes(&out->writer, request);
    } else if (error == HF_RESP_ERROR_UNKNOWN_SUBCOMMAND) {
        write_text(&out->writer, error, request->arguments[1]);
        write_upper(&out->writer, call->command->name);
        hf_writer_text(&out->writer, " HELP.");
    } else {
        bool named =
            error != HF_RESP_ERROR_UNSUPPORTED_OPTION && error != HF_RESP_ERROR_HELLO_SYNTAX;
        write_text(&out->writer, error, named ? full_name(call, name) : insert);
    }
    hf_writer_text(&out->writer, "\r\n");
}
