#include "proxy/forward.h"
#include "affinity/successor.h"
#include "base/assert.h"
#include "proto/cookie.h"

#define BIT(id) (1ull << HF_FIELD_##id)

/* Fields by which a peer tells of its client: from anyone but a trusted proxy they are lies. */
static const uint64_t forwarding_fields =
    BIT(FORWARDED) | BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_HOST) |
    BIT(X_FORWARDED_PORT) | BIT(X_FORWARDED_SERVER) | BIT(X_REAL_IP);

_Static_assert(HF_FIELD_COUNT <= 64, "field ids are bits of a uint64_t");
_Static_assert(HF_PREFIXED_COOKIES_MAX + 4 <= HF_ADDED_FIELDS_MAX,
               "an answer has room for Upgrade, Date, Set-Cookie and Cache-Control of ours too");

static void add(struct hf_outgoing *outgoing, struct hf_slice name, struct hf_slice value)
{
    REQUIRE(outgoing->added_count < HF_ADDED_FIELDS_MAX);
    outgoing->added[outgoing->added_count].name = name;
    outgoing->added[outgoing->added_count].value = value;
    outgoing->added_count++;
}

/* What was appended to scratch since `from`. */
static struct hf_slice since(const struct hf_buffer *scratch, uint32_t from)
{
    return hf_slice(scratch->bytes + from, scratch->end - from);
}

/* Appends the values of all fields of that id, joined. */
static bool join(const struct hf_head *head, enum hf_field_id id, struct hf_slice separator,
                 struct hf_buffer *scratch)
{
    uint32_t from = scratch->end;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (head->fields[i].id != id || head->fields[i].value_size == 0)
            continue;
        if (scratch->end > from && !hf_buffer_append(scratch, separator))
            return false;
        if (!hf_buffer_append(scratch, hf_field_value(head, &head->fields[i])))
            return false;
    }
    return true;
}

/* What is to be changed in the Cookie fields of a request. */
struct cookie_edit {
    struct hf_slice own;      /* pairs of this name go; empty = none are there */
    struct hf_slice prefixed; /* pairs of this name lose their prefix; empty = none has one */
    unsigned fields;
};

static struct cookie_edit plan_cookies(const struct hf_exchange *x)
{
    const struct hf_head *head = &x->request;
    struct cookie_edit edit = {.own = hf_affinity_own_cookie(x->pool),
                               .prefixed = hf_affinity_prefix_cookie(x->pool)};
    for (unsigned i = 0; i < head->field_count; i++)
        edit.fields += head->fields[i].id == HF_FIELD_COOKIE;
    if (edit.fields == 0)
        return edit;
    struct hf_cookie_found found = {0};
    if (edit.own.size > 0)
        hf_cookie_find(head, edit.own, &found);
    if (found.count == 0)
        edit.own.size = 0;
    struct hf_cookie_cursor cursor = {0};
    struct hf_slice value, label, rest;
    bool has_prefix = false;
    while (edit.prefixed.size > 0 && !has_prefix &&
           hf_cookie_next(head, edit.prefixed, &cursor, &value))
        has_prefix = hf_cookie_prefix(value, HF_COOKIE_PREFIX_SEPARATOR, &label, &rest);
    if (!has_prefix)
        edit.prefixed.size = 0;
    return edit;
}

/* Writes the edited value of one Cookie field to `out`, which has room for all of it. */
static size_t edit_cookie(const struct cookie_edit *edit, struct hf_slice value, char *out)
{
    size_t size = value.size;
    if (edit->own.size > 0)
        size = hf_cookie_remove(value, edit->own, out);
    else if (size > 0)
        memcpy(out, value.bytes, size);
    if (edit->prefixed.size > 0)
        size = hf_cookie_cut_prefix(out, size, edit->prefixed, HF_COOKIE_PREFIX_SEPARATOR);
    return size;
}

/* The application never sees our cookie, nor a name in front of its own; several Cookie fields
 * become one (RFC 9113 8.2.3 does the same, so that every server reads them alike). */
static bool forward_cookies(const struct hf_exchange *x, struct hf_buffer *scratch,
                            struct hf_outgoing *outgoing)
{
    const struct hf_head *head = &x->request;
    struct cookie_edit edit = plan_cookies(x);
    if (edit.fields == 0 || (edit.fields == 1 && edit.own.size == 0 && edit.prefixed.size == 0))
        return true;

    outgoing->skip |= BIT(COOKIE);
    uint32_t from = scratch->end;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (head->fields[i].id != HF_FIELD_COOKIE)
            continue;
        struct hf_slice value = hf_field_value(head, &head->fields[i]);
        if (hf_buffer_room(scratch) < value.size + 2)
            return false;
        uint32_t before = scratch->end;
        if (before > from)
            hf_buffer_append(scratch, HF_SLICE("; "));
        size_t kept = edit_cookie(&edit, value, scratch->bytes + scratch->end);
        scratch->end = kept > 0 ? scratch->end + (uint32_t)kept : before;
    }
    if (scratch->end > from)
        add(outgoing, HF_SLICE("Cookie"), since(scratch, from));
    return true;
}

static bool forward_for(const struct hf_exchange *x, struct hf_buffer *scratch,
                        struct hf_outgoing *outgoing)
{
    const struct hf_head *head = &x->request;
    if (!x->peer_trusted) {
        outgoing->skip |= forwarding_fields;
        add(outgoing, HF_SLICE("X-Forwarded-For"), x->peer_ip);
        add(outgoing, HF_SLICE("X-Forwarded-Proto"), HF_SLICE("http"));
        if (head->authority.size > 0)
            add(outgoing, HF_SLICE("X-Forwarded-Host"), hf_head_span(head, head->authority));
        return true;
    }
    outgoing->skip |= BIT(X_FORWARDED_FOR);
    uint32_t from = scratch->end;
    if (!join(head, HF_FIELD_X_FORWARDED_FOR, HF_SLICE(", "), scratch) ||
        (scratch->end > from && !hf_buffer_append(scratch, HF_SLICE(", "))) ||
        !hf_buffer_append(scratch, x->peer_ip))
        return false;
    add(outgoing, HF_SLICE("X-Forwarded-For"), since(scratch, from));
    if (!hf_head_find(head, HF_FIELD_X_FORWARDED_PROTO))
        add(outgoing, HF_SLICE("X-Forwarded-Proto"), HF_SLICE("http"));
    if (head->authority.size > 0 && !hf_head_find(head, HF_FIELD_X_FORWARDED_HOST))
        add(outgoing, HF_SLICE("X-Forwarded-Host"), hf_head_span(head, head->authority));
    return true;
}

/* Tells the application that the session is not here: it can then ask for a log-in with good words
 * instead of showing an empty cart. Or that it has moved, and its agent will have it. */
static bool forward_loss(const struct hf_exchange *x, struct hf_buffer *scratch,
                         struct hf_outgoing *outgoing)
{
    bool stand_in = x->choice.owner >= 0 && x->target != &x->pool->servers[x->choice.owner];
    if (!x->choice.lost && !stand_in)
        return true;
    uint32_t from = scratch->end;
    if (x->choice.lost) {
        bool follows =
            hf_successor_follows(x->pool, &x->choice, (int)(x->target - x->pool->servers));
        if (!hf_buffer_append(scratch,
                              follows ? HF_SLICE("moved; cause=") : HF_SLICE("lost; cause=")) ||
            !hf_buffer_append(scratch, hf_slice_text(hf_failover_cause_word(x))))
            return false;
    } else if (!hf_buffer_append(scratch, HF_SLICE("stand-in; cause=failure"))) {
        return false;
    }
    add(outgoing, HF_SLICE("Holdfast-Session"), since(scratch, from));
    return true;
}

bool hf_forward_request(const struct hf_exchange *x, struct hf_buffer *scratch,
                        struct hf_outgoing *outgoing)
{
    REQUIRE(x->target != NULL);
    const struct hf_head *head = &x->request;
    *outgoing = (struct hf_outgoing){
        .head = head,
        .skip = BIT(HOST) | BIT(HOLDFAST_SESSION) | BIT(UPGRADE),
        .body = (enum hf_body)head->body,
        .content_length = head->content_length,
        .announce_length = head->has_content_length,
        .upgrade = head->upgrade,
    };
    /* HTTP/1.0 clients may leave Host out; to the server it is always 1.1, which needs one. */
    struct hf_slice authority = hf_head_span(head, head->authority);
    add(outgoing, HF_SLICE("Host"),
        authority.size > 0 ? authority : hf_slice_text(x->target->address_text));
    if (head->upgrade) {
        const struct hf_field *upgrade = hf_head_find(head, HF_FIELD_UPGRADE);
        REQUIRE(upgrade != NULL);
        add(outgoing, HF_SLICE("Upgrade"), hf_field_value(head, upgrade));
    }
    return forward_cookies(x, scratch, outgoing) && forward_for(x, scratch, outgoing) &&
           forward_loss(x, scratch, outgoing);
}

/* Appends Cache-Control directives that do not contradict `private`. */
static bool keep_directives(struct hf_slice value, struct hf_buffer *scratch)
{
    while (value.size > 0) {
        const char *comma = memchr(value.bytes, ',', value.size);
        size_t size = comma ? (size_t)(comma - value.bytes) : value.size;
        struct hf_slice directive = hf_slice_trim(hf_slice(value.bytes, size));
        value.bytes += size + (comma != NULL);
        value.size -= size + (comma != NULL);
        struct hf_slice name = directive;
        const char *equals = memchr(name.bytes, '=', name.size);
        if (equals)
            name.size = (size_t)(equals - name.bytes);
        if (directive.size == 0 || hf_slice_equal_nocase(name, HF_SLICE("public")) ||
            hf_slice_equal_nocase(name, HF_SLICE("private")) ||
            hf_slice_equal_nocase(name, HF_SLICE("s-maxage")))
            continue;
        if (!hf_buffer_append(scratch, HF_SLICE(", ")) || !hf_buffer_append(scratch, directive))
            return false;
    }
    return true;
}

/* A shared cache must not store one client's pin for others (RFC 9111 5.2.2.7). */
static bool make_private(const struct hf_exchange *x, struct hf_buffer *scratch,
                         struct hf_outgoing *outgoing)
{
    const struct hf_head *head = &x->response;
    outgoing->skip |= BIT(CACHE_CONTROL);
    uint32_t from = scratch->end;
    if (!hf_buffer_append(scratch, HF_SLICE("private")))
        return false;
    for (unsigned i = 0; i < head->field_count; i++)
        if (head->fields[i].id == HF_FIELD_CACHE_CONTROL &&
            !keep_directives(hf_field_value(head, &head->fields[i]), scratch))
            return false;
    add(outgoing, HF_SLICE("Cache-Control"), since(scratch, from));
    return true;
}

static bool add_prefixed(const struct hf_exchange *x, struct hf_slice field, size_t at,
                         struct hf_buffer *scratch, struct hf_outgoing *outgoing)
{
    static const char separator = HF_COOKIE_PREFIX_SEPARATOR;
    uint32_t from = scratch->end;
    if (!hf_buffer_append(scratch, hf_slice(field.bytes, at)) ||
        !hf_buffer_append(scratch, hf_slice_text(x->target->server->name)) ||
        !hf_buffer_append(scratch, hf_slice(&separator, 1)) ||
        !hf_buffer_append(scratch, hf_slice(field.bytes + at, field.size - at)))
        return false;
    add(outgoing, HF_SLICE("Set-Cookie"), since(scratch, from));
    return true;
}

/* The application's own cookie gets the name of the server that set it; all else of the field stays
 * as it is. False: too many, or they do not fit. */
static bool prefix_cookies(struct hf_exchange *x, struct hf_buffer *scratch,
                           struct hf_outgoing *outgoing)
{
    struct hf_head *head = &x->response;
    struct hf_slice name = hf_affinity_prefix_cookie(x->pool);
    unsigned count = 0;
    for (unsigned i = 0; name.size > 0 && i < head->field_count; i++) {
        struct hf_field *field = &head->fields[i];
        if (field->id != HF_FIELD_SET_COOKIE || field->drop)
            continue;
        struct hf_slice value = hf_field_value(head, field);
        size_t at = hf_cookie_set_prefix_at(value, name);
        if (at == 0)
            continue;
        if (++count > HF_PREFIXED_COOKIES_MAX || !add_prefixed(x, value, at, scratch, outgoing))
            return false;
        field->drop = true; /* written anew */
    }
    x->prefixed = count > 0;
    return true;
}

bool hf_forward_response(struct hf_exchange *x, struct hf_slice set_cookie,
                         struct hf_buffer *scratch, struct hf_outgoing *outgoing)
{
    const struct hf_head *head = &x->response;
    bool switching = head->status == 101;
    *outgoing = (struct hf_outgoing){
        .head = head,
        .skip = BIT(UPGRADE),
        .status = head->status,
        .body = (enum hf_body)head->body,
        .content_length = head->content_length,
        .announce_length = head->has_content_length && head->body == HF_BODY_NONE,
        .upgrade = switching,
        .close = !x->up.ended && head->status >= 200,
    };
    /* Length is not known before the end: chunks tell a whole answer from a broken one. */
    if (outgoing->body == HF_BODY_UNTIL_CLOSE)
        outgoing->body = HF_BODY_CHUNKED;
    const struct hf_field *upgrade = hf_head_find(head, HF_FIELD_UPGRADE);
    if (switching && upgrade)
        add(outgoing, HF_SLICE("Upgrade"), hf_field_value(head, upgrade));
    if (head->status >= 200 && !hf_head_find(head, HF_FIELD_DATE))
        add(outgoing, HF_SLICE("Date"), hf_worker_date(x->worker));
    if (scratch && !prefix_cookies(x, scratch, outgoing))
        return false;
    if (set_cookie.size == 0)
        return true;
    add(outgoing, HF_SLICE("Set-Cookie"), set_cookie);
    return switching || make_private(x, scratch, outgoing); /* nobody stores a 101 */
}

/* The last address of X-Forwarded-For that is not a trusted proxy's own: each trusted proxy
 * appended the peer it saw, what stands left of that was said by someone nobody vouches for. */
static void believe_forwarded(struct hf_exchange *x)
{
    const struct hf_head *head = &x->request;
    for (unsigned i = head->field_count; i-- > 0;) {
        if (head->fields[i].id != HF_FIELD_X_FORWARDED_FOR)
            continue;
        struct hf_slice rest = hf_field_value(head, &head->fields[i]);
        while (rest.size > 0) {
            const char *comma = memrchr(rest.bytes, ',', rest.size);
            size_t at = comma ? (size_t)(comma - rest.bytes) + 1 : 0;
            struct hf_slice text = hf_slice_trim(hf_slice(rest.bytes + at, rest.size - at));
            rest.size = comma ? at - 1 : 0;
            struct hf_address address;
            if (hf_address_parse_ip(text, &address) < 0)
                return;
            x->forwarded_address = address;
            x->client_address = &x->forwarded_address;
            x->client_ip = text;
            if (!hf_config_trusts(x->snapshot->config, &address))
                return;
        }
    }
}

void hf_forward_believe(struct hf_exchange *x)
{
    REQUIRE(x->peer != NULL);
    x->client_address = x->peer;
    x->client_ip = x->peer_ip;
    x->peer_trusted =
        x->snapshot->config->trusted_count > 0 && hf_config_trusts(x->snapshot->config, x->peer);
    if (!x->peer_trusted)
        return;
    believe_forwarded(x);
    const struct hf_field *proto = hf_head_find(&x->request, HF_FIELD_X_FORWARDED_PROTO);
    x->secure =
        proto && hf_slice_equal_nocase(hf_field_value(&x->request, proto), HF_SLICE("https"));
}
