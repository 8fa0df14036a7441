#include "proto/cookie.h"
#include "base/assert.h"
#include "proto/http1.h"
#include "proto/scan.h"

/* One piece of a Cookie field between semicolons. Blanks around a name are no part of it for most
 * applications, so they are none here: what the application would take for our cookie is counted
 * and cut out. False when the piece is no pair of that name. */
static bool pair_value(struct hf_slice piece, struct hf_slice name, struct hf_slice *ret_value)
{
    size_t at = 0;
    while (at < piece.size && (piece.bytes[at] == ' ' || piece.bytes[at] == '\t'))
        at++;
    if (piece.size - at <= name.size || memcmp(piece.bytes + at, name.bytes, name.size) != 0)
        return false;
    at += name.size;
    while (at < piece.size && (piece.bytes[at] == ' ' || piece.bytes[at] == '\t'))
        at++;
    if (at == piece.size || piece.bytes[at] != '=')
        return false;
    *ret_value = hf_slice(piece.bytes + at + 1, piece.size - at - 1);
    return true;
}

static size_t piece_end(struct hf_slice value, size_t from)
{
    const char *end = memchr(value.bytes + from, ';', value.size - from);
    return end != NULL ? (size_t)(end - value.bytes) : value.size;
}

static void find_in(struct hf_slice field, struct hf_slice name, struct hf_cookie_found *found)
{
    size_t end;
    for (size_t at = 0; at < field.size; at = end + 1) {
        struct hf_slice value;
        end = piece_end(field, at);
        if (!pair_value(hf_slice(field.bytes + at, end - at), name, &value))
            continue;
        if (found->count++ == 0)
            found->value = hf_slice_trim(value);
    }
}

void hf_cookie_find(const struct hf_head *head, struct hf_slice name,
                    struct hf_cookie_found *ret_found)
{
    REQUIRE(name.size > 0);
    *ret_found = (struct hf_cookie_found){0};
    for (unsigned i = 0; i < head->field_count; i++)
        if (head->fields[i].id == HF_FIELD_COOKIE)
            find_in(hf_field_value(head, &head->fields[i]), name, ret_found);
}

bool hf_cookie_next(const struct hf_head *head, struct hf_slice name,
                    struct hf_cookie_cursor *cursor, struct hf_slice *ret_value)
{
    REQUIRE(name.size > 0);
    for (; cursor->field < head->field_count; cursor->field++, cursor->at = 0) {
        if (head->fields[cursor->field].id != HF_FIELD_COOKIE)
            continue;
        struct hf_slice field = hf_field_value(head, &head->fields[cursor->field]);
        while (cursor->at < field.size) {
            size_t from = cursor->at, end = piece_end(field, from);
            cursor->at = end + 1;
            struct hf_slice value;
            if (!pair_value(hf_slice(field.bytes + from, end - from), name, &value))
                continue;
            *ret_value = hf_slice_trim(value);
            return true;
        }
    }
    return false;
}

static bool has_prefix(struct hf_slice name, struct hf_slice prefix)
{
    return name.size >= prefix.size &&
           hf_slice_equal_nocase(hf_slice(name.bytes, prefix.size), prefix);
}

/* Whether an attribute ends the cookie at once: how applications delete one (RFC 6265bis 5.6). */
static bool ends_cookie(struct hf_slice attribute)
{
    static const char max_age[] = "max-age=", expires[] = "expires=", epoch[] = "1970";
    attribute = hf_slice_trim(attribute);
    if (has_prefix(attribute, HF_SLICE(max_age)))
        return attribute.size == sizeof(max_age) - 1 ||
               attribute.bytes[sizeof(max_age) - 1] == '0' ||
               attribute.bytes[sizeof(max_age) - 1] == '-';
    return has_prefix(attribute, HF_SLICE(expires)) &&
           memmem(attribute.bytes, attribute.size, epoch, sizeof(epoch) - 1) != NULL;
}

static void find_set(struct hf_slice field, struct hf_slice name, struct hf_cookie_found *found)
{
    struct hf_slice value;
    size_t end = piece_end(field, 0);
    if (!pair_value(hf_slice(field.bytes, end), name, &value) || hf_slice_trim(value).size == 0)
        return;
    for (size_t at = end + 1; at < field.size; at = end + 1) {
        end = piece_end(field, at);
        if (ends_cookie(hf_slice(field.bytes + at, end - at)))
            return;
    }
    found->count++;
    found->value = hf_slice_trim(value);
}

void hf_cookie_find_set(const struct hf_head *head, struct hf_slice name,
                        struct hf_cookie_found *ret_found)
{
    REQUIRE(name.size > 0);
    *ret_found = (struct hf_cookie_found){0};
    for (unsigned i = 0; i < head->field_count; i++)
        if (head->fields[i].id == HF_FIELD_SET_COOKIE)
            find_set(hf_field_value(head, &head->fields[i]), name, ret_found);
}

/* Appends a run of kept pieces, separator in front; at the very start of the output there is
 * nothing to separate. */
static size_t append_run(struct hf_slice run, char *out, size_t size)
{
    if (size == 0 && run.size > 0 && run.bytes[0] == ';') {
        size_t blank = 1;
        while (blank < run.size && (run.bytes[blank] == ' ' || run.bytes[blank] == '\t'))
            blank++;
        run = hf_slice(run.bytes + blank, run.size - blank);
    }
    if (run.size > 0)
        memcpy(out + size, run.bytes, run.size);
    return size + run.size;
}

static bool holds_pairs(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != ';' && bytes[i] != ' ' && bytes[i] != '\t')
            return true;
    return false;
}

size_t hf_cookie_remove(struct hf_slice value, struct hf_slice name, char *out)
{
    REQUIRE(name.size > 0);
    size_t size = 0, run = 0, end;
    for (size_t at = 0; at < value.size; at = end + 1) {
        struct hf_slice unused;
        end = piece_end(value, at);
        if (!pair_value(hf_slice(value.bytes + at, end - at), name, &unused))
            continue;
        size_t before = at > 0 ? at - 1 : 0; /* its separator goes with it */
        size = append_run(hf_slice(value.bytes + run, before - run), out, size);
        run = end;
    }
    if (run == 0 && value.size > 0)
        memcpy(out, value.bytes, value.size);
    if (run == 0)
        return value.size;
    size = append_run(hf_slice(value.bytes + run, value.size - run), out, size);
    return holds_pairs(out, size) ? size : 0;
}

/* The first byte behind blanks and an opening quote. */
static size_t inner_at(struct hf_slice value)
{
    size_t at = 0;
    while (at < value.size && (value.bytes[at] == ' ' || value.bytes[at] == '\t'))
        at++;
    return at < value.size && value.bytes[at] == '"' ? at + 1 : at;
}

static bool is_label(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

bool hf_cookie_prefix(struct hf_slice value, char separator, struct hf_slice *ret_label,
                      struct hf_slice *ret_rest)
{
    REQUIRE(!is_label(separator));
    size_t from = inner_at(value), at = from;
    while (at < value.size && is_label(value.bytes[at]))
        at++;
    if (at == from || at == value.size || value.bytes[at] != separator)
        return false;
    *ret_label = hf_slice(value.bytes + from, at - from);
    *ret_rest = hf_slice(value.bytes + at + 1, value.size - at - 1);
    return true;
}

size_t hf_cookie_cut_prefix(char *field, size_t size, struct hf_slice name, char separator)
{
    REQUIRE(name.size > 0);
    size_t kept = 0, copied = 0, end; /* field[0..kept) is done and was made of [0..copied) */
    for (size_t at = 0; at < size; at = end + 1) {
        struct hf_slice value, label, rest;
        end = piece_end(hf_slice(field, size), at);
        if (!pair_value(hf_slice(field + at, end - at), name, &value) ||
            !hf_cookie_prefix(value, separator, &label, &rest))
            continue;
        size_t run = (size_t)(label.bytes - field) - copied;
        memmove(field + kept, field + copied, run);
        kept += run;
        copied = (size_t)(rest.bytes - field);
    }
    memmove(field + kept, field + copied, size - copied);
    return kept + size - copied;
}

size_t hf_cookie_set_prefix_at(struct hf_slice field, struct hf_slice name)
{
    REQUIRE(name.size > 0);
    struct hf_slice value;
    if (field.size == 0 || !pair_value(hf_slice(field.bytes, piece_end(field, 0)), name, &value))
        return 0;
    size_t at = inner_at(value);
    bool quoted = at > 0 && value.bytes[at - 1] == '"';
    if (at == value.size || (quoted && value.bytes[at] == '"'))
        return 0;
    return (size_t)(value.bytes - field.bytes) + at;
}

static bool is_attribute_text(struct hf_slice text)
{
    return hf_scan_all(text.bytes, text.size, HF_SCAN_VALUE) &&
           (text.size == 0 || memchr(text.bytes, ';', text.size) == NULL);
}

static bool is_domain(struct hf_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!hf_scan_is(text.bytes[i], HF_SCAN_PLAIN) && text.bytes[i] != '.')
            return false;
    return true;
}

const char *hf_cookie_attributes_check(const struct hf_cookie_attributes *attributes)
{
    struct hf_slice name = attributes->name, path = attributes->path, domain = attributes->domain;
    bool at_root = hf_slice_equal(path, HF_SLICE("/"));
    if (name.size == 0 || !hf_scan_all(name.bytes, name.size, HF_SCAN_TOKEN))
        return "the name may hold letters, digits and !#$%&'*+-.^_`|~ only";
    if (path.size == 0 || path.bytes[0] != '/' || !is_attribute_text(path))
        return "the path must start with / and hold no ; or control character";
    if (!is_domain(domain))
        return "the domain must be a host name";
    if (has_prefix(name, HF_SLICE("__Host-")) &&
        (!attributes->secure || !at_root || domain.size > 0))
        return "a __Host- cookie needs secure, path / and no domain";
    if (has_prefix(name, HF_SLICE("__Secure-")) && !attributes->secure)
        return "a __Secure- cookie needs secure";
    if (attributes->partitioned && !attributes->secure)
        return "a partitioned cookie needs secure";
    if (attributes->same_site == HF_SAME_SITE_NONE && !attributes->secure)
        return "same_site none needs secure";
    return NULL;
}

static void write_named(struct hf_http1_writer *writer, struct hf_slice label, struct hf_slice text)
{
    hf_http1_write(writer, label);
    hf_http1_write(writer, text);
}

static struct hf_slice same_site_text(enum hf_same_site same_site)
{
    switch (same_site) {
    case HF_SAME_SITE_LAX:
        return HF_SLICE("; SameSite=Lax");
    case HF_SAME_SITE_STRICT:
        return HF_SLICE("; SameSite=Strict");
    case HF_SAME_SITE_NONE:
        return HF_SLICE("; SameSite=None");
    case HF_SAME_SITE_UNSET:
        break;
    }
    return HF_SLICE("");
}

size_t hf_cookie_write(const struct hf_cookie_attributes *attributes, struct hf_slice value,
                       char *out, size_t room)
{
    REQUIRE(hf_scan_all(value.bytes, value.size, HF_SCAN_COOKIE));
    struct hf_http1_writer writer = {.out = out, .room = room};
    write_named(&writer, attributes->name, HF_SLICE("="));
    hf_http1_write(&writer, value);
    write_named(&writer, HF_SLICE("; Path="), attributes->path);
    if (attributes->domain.size > 0)
        write_named(&writer, HF_SLICE("; Domain="), attributes->domain);
    if (attributes->max_age_s > 0) {
        hf_http1_write(&writer, HF_SLICE("; Max-Age="));
        hf_http1_write_u64(&writer, attributes->max_age_s);
    }
    if (attributes->secure)
        hf_http1_write(&writer, HF_SLICE("; Secure"));
    if (attributes->http_only)
        hf_http1_write(&writer, HF_SLICE("; HttpOnly"));
    hf_http1_write(&writer, same_site_text(attributes->same_site));
    if (attributes->partitioned)
        hf_http1_write(&writer, HF_SLICE("; Partitioned"));
    return writer.size <= room ? writer.size : 0;
}
