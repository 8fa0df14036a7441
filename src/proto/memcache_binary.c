#include "base/assert.h"
#include "proto/memcache_internal.h"

/* Offsets in a header. */
enum {
    AT_OPCODE = 1,
    AT_KEY_SIZE = 2,
    AT_EXTRAS_SIZE = 4,
    AT_DATA_TYPE = 5,
    AT_STATUS = 6, /* of a response */
    AT_BODY_SIZE = 8,
    AT_OPAQUE = 12,
    AT_CAS = 16,
};

enum {
    RESPONSE_MAGIC = 0x81,
    NO_CREATION = 0xffffffff, /* the expiry of an INCREMENT that makes nothing */
    STATUS_MISSING = 0x01,
    STATUS_PRESENT = 0x02,
    STATUS_TOO_LARGE = 0x03,
    STATUS_INVALID = 0x04,
    STATUS_NOT_STORED = 0x05,
    STATUS_NOT_NUMERIC = 0x06,
    STATUS_UNKNOWN_COMMAND = 0x81,
    STATUS_NO_MEMORY = 0x82,
    STATUS_DENIED = 0x83,
    STATUS_TEMPORARY = 0x86,
};

enum presence { NO, YES, MAY };
enum trait { QUIET = 1, WITH_KEY = 2, TOUCHES = 4 };

struct opcode {
    uint8_t known, operation, extras, key, value, traits;
};
static const struct opcode opcodes[256] = {
#define HF_MEMCACHE_OPCODE_ROW(code, operation, extras, key, value, traits)                        \
    [code] = {1, HF_MEMCACHE_##operation, extras, key, value, traits},
#include "proto/memcache_opcodes.def"
#undef HF_MEMCACHE_OPCODE_ROW
};

static uint16_t read_u16(const char *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes;
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t read_u32(const char *bytes)
{
    return (uint32_t)read_u16(bytes) << 16 | read_u16(bytes + 2);
}

static uint64_t read_u64(const char *bytes)
{
    return (uint64_t)read_u32(bytes) << 32 | read_u32(bytes + 4);
}

static bool present(uint8_t wanted, bool is)
{
    return wanted == MAY || (wanted == YES) == is;
}

/* FLUSH may come without its extras: then it is for now. */
static bool shape_fits(const struct opcode *opcode, uint32_t key, uint32_t extras, uint32_t value)
{
    bool optional = opcode->operation == HF_MEMCACHE_FLUSH && extras == 0;
    return (extras == opcode->extras || optional) && present(opcode->key, key > 0) &&
           key <= HF_MEMCACHE_KEY_MAX && present(opcode->value, value > 0);
}

enum hf_memcache_reason hf_memcache_read_header(const char *header, uint32_t value_size_max,
                                                struct hf_memcache_request *request,
                                                uint32_t *ret_body)
{
    uint32_t key = read_u16(header + AT_KEY_SIZE), extras = (unsigned char)header[AT_EXTRAS_SIZE];
    uint32_t body = read_u32(header + AT_BODY_SIZE);
    const struct opcode *opcode = &opcodes[(unsigned char)header[AT_OPCODE]];
    request->opcode = (uint8_t)header[AT_OPCODE];
    request->opaque = read_u32(header + AT_OPAQUE);
    if (header[AT_DATA_TYPE] != 0)
        return HF_MEMCACHE_BAD_FRAME;
    if (body > HF_MEMCACHE_DISCARD_MAX)
        return HF_MEMCACHE_TOO_LARGE;
    if (key + extras > body)
        return HF_MEMCACHE_BAD_FRAME;
    *ret_body = body;
    request->discard = body;
    if (!opcode->known)
        return hf_memcache_refuse(request, HF_MEMCACHE_UNKNOWN_COMMAND);
    uint32_t value = body - key - extras;
    if (!shape_fits(opcode, key, extras, value))
        return HF_MEMCACHE_BAD_FRAME;
    if (value > value_size_max)
        return hf_memcache_refuse_large(request, opcode->operation);
    request->discard = 0;
    request->operation = opcode->operation;
    request->quiet = (opcode->traits & QUIET) != 0;
    request->wants_key = (opcode->traits & WITH_KEY) != 0;
    request->touch = (opcode->traits & TOUCHES) != 0;
    request->wants_value = opcode->operation == HF_MEMCACHE_GET;
    request->cas = read_u64(header + AT_CAS);
    request->has_cas = request->cas != 0;
    return HF_MEMCACHE_OK;
}

static void read_extras(const char *extras, uint32_t size, struct hf_memcache_request *request)
{
    if (size == 4)
        request->exptime = read_u32(extras);
    if (size == 8) {
        request->flags = read_u32(extras);
        request->exptime = read_u32(extras + 4);
    }
    if (size == 20) {
        request->delta = read_u64(extras);
        request->initial = read_u64(extras + 8);
        uint32_t exptime = read_u32(extras + 16);
        request->creates = exptime != NO_CREATION;
        request->create_exptime = request->creates ? exptime : 0;
    }
}

size_t hf_memcache_key_end(const char *header)
{
    size_t extras = (unsigned char)header[AT_EXTRAS_SIZE];
    return HF_MEMCACHE_HEADER_SIZE + extras + read_u16(header + AT_KEY_SIZE);
}

void hf_memcache_read_key(const char *packet, struct hf_memcache_request *request)
{
    size_t size = read_u16(packet + AT_KEY_SIZE);
    request->key = hf_slice(packet + hf_memcache_key_end(packet) - size, size);
}

void hf_memcache_read_body(const char *packet, struct hf_memcache_request *request)
{
    uint32_t key = read_u16(packet + AT_KEY_SIZE), extras = (unsigned char)packet[AT_EXTRAS_SIZE];
    const char *body = packet + HF_MEMCACHE_HEADER_SIZE;
    read_extras(body, extras, request);
    hf_memcache_read_key(packet, request);
    request->keys = request->key;
    request->value = hf_slice(body + extras + key, read_u32(packet + AT_BODY_SIZE) - extras - key);
}

/* ---- responses ---- */

struct packet { /* what a response holds besides what it takes from its request */
    uint16_t status;
    struct hf_slice extras, key;
    uint64_t value_size, cas;
};

static void write_u32(char *out, uint32_t number)
{
    out[0] = (char)(number >> 24);
    out[1] = (char)(number >> 16);
    out[2] = (char)(number >> 8);
    out[3] = (char)number;
}

static void write_u64(char *out, uint64_t number)
{
    write_u32(out, (uint32_t)(number >> 32));
    write_u32(out + 4, (uint32_t)number);
}

static void write_packet(struct hf_writer *writer, const struct hf_memcache_request *request,
                         const struct packet *packet)
{
    char header[HF_MEMCACHE_HEADER_SIZE] = {(char)RESPONSE_MAGIC, (char)request->opcode};
    uint64_t body = packet->extras.size + packet->key.size + packet->value_size;
    header[AT_KEY_SIZE] = (char)(packet->key.size >> 8);
    header[AT_KEY_SIZE + 1] = (char)packet->key.size;
    header[AT_EXTRAS_SIZE] = (char)packet->extras.size;
    header[AT_STATUS] = (char)(packet->status >> 8);
    header[AT_STATUS + 1] = (char)packet->status;
    write_u32(header + AT_BODY_SIZE, (uint32_t)body);
    write_u32(header + AT_OPAQUE, request->opaque);
    write_u64(header + AT_CAS, packet->cas);
    hf_writer_bytes(writer, header, sizeof(header));
    hf_writer_slice(writer, packet->extras);
    hf_writer_slice(writer, packet->key);
}

static const char *status_text(uint16_t status)
{
    switch (status) {
    case STATUS_MISSING:
        return "Not found";
    case STATUS_PRESENT:
        return "Data exists for key.";
    case STATUS_TOO_LARGE:
        return "Too large.";
    case STATUS_INVALID:
        return "Invalid arguments";
    case STATUS_NOT_STORED:
        return "Not stored.";
    case STATUS_NOT_NUMERIC:
        return "Non-numeric server-side value for incr or decr";
    case STATUS_UNKNOWN_COMMAND:
        return "Unknown command";
    case STATUS_NO_MEMORY:
        return "Out of memory";
    case STATUS_DENIED:
        return "Not supported.";
    default:
        return "Temporary failure";
    }
}

void hf_memcache_binary_error(struct hf_writer *writer, const struct hf_memcache_request *request,
                              uint16_t status)
{
    struct hf_slice text = hf_slice_text(status_text(status));
    write_packet(writer, request, &(struct packet){.status = status, .value_size = text.size});
    hf_writer_slice(writer, text);
}

static uint16_t status_of(const struct hf_memcache_request *request, enum hf_memcache_status status)
{
    bool extends =
        request->operation == HF_MEMCACHE_APPEND || request->operation == HF_MEMCACHE_PREPEND;
    switch (status) {
    case HF_MEMCACHE_DONE:
        return 0;
    case HF_MEMCACHE_MISSING:
        return extends ? STATUS_NOT_STORED : STATUS_MISSING;
    case HF_MEMCACHE_PRESENT:
        return STATUS_PRESENT;
    case HF_MEMCACHE_NOT_NUMERIC:
        return STATUS_NOT_NUMERIC;
    case HF_MEMCACHE_VALUE_TOO_LARGE:
        return STATUS_TOO_LARGE;
    case HF_MEMCACHE_NO_MEMORY:
        return STATUS_NO_MEMORY;
    case HF_MEMCACHE_DENIED:
        return STATUS_DENIED;
    case HF_MEMCACHE_WRONG_KIND:
    case HF_MEMCACHE_UNSURE:
        break;
    }
    return STATUS_TEMPORARY;
}

/* A miss of GETK tells the key: a client that asked for many has nothing else to go by. */
static void write_failure(struct hf_writer *writer, const struct hf_memcache_request *request,
                          uint16_t status)
{
    bool miss = request->operation == HF_MEMCACHE_GET && status == STATUS_MISSING;
    if (miss && request->quiet)
        return;
    if (miss && request->wants_key)
        write_packet(writer, request, &(struct packet){.status = status, .key = request->key});
    else
        hf_memcache_binary_error(writer, request, status);
}

bool hf_memcache_binary_head(struct hf_writer *writer, const struct hf_memcache_request *request,
                             const struct hf_memcache_result *result)
{
    char number[8];
    struct packet packet = {.cas = result->cas};
    uint16_t status = status_of(request, (enum hf_memcache_status)result->status);
    if (status != 0) {
        write_failure(writer, request, status);
        return false;
    }
    if (request->quiet && request->operation != HF_MEMCACHE_GET)
        return false;
    switch (request->operation) {
    case HF_MEMCACHE_GET:
    case HF_MEMCACHE_TOUCH:
        write_u32(number, result->flags);
        packet.extras = hf_slice(number, 4);
        packet.key = request->wants_key ? request->key : hf_slice(NULL, 0);
        packet.value_size = request->operation == HF_MEMCACHE_GET ? result->value.size : 0;
        break;
    case HF_MEMCACHE_INCREMENT:
    case HF_MEMCACHE_DECREMENT:
        write_u64(number, result->number);
        packet.value_size = sizeof(number);
        break;
    case HF_MEMCACHE_VERSION:
        packet.value_size = result->value.size;
        break;
    default:
        break;
    }
    write_packet(writer, request, &packet);
    if (request->operation == HF_MEMCACHE_INCREMENT || request->operation == HF_MEMCACHE_DECREMENT)
        hf_writer_bytes(writer, number, sizeof(number));
    return request->operation == HF_MEMCACHE_GET || request->operation == HF_MEMCACHE_VERSION;
}

void hf_memcache_binary_stat(struct hf_writer *writer, const struct hf_memcache_request *request,
                             struct hf_slice name, struct hf_slice value)
{
    write_packet(writer, request, &(struct packet){.key = name, .value_size = value.size});
    hf_writer_slice(writer, value);
}
