#include "proto/http1_internal.h"
#include "proto/scan.h"
#include "proto/uri.h"

enum { WEBSOCKET_KEY_SIZE = 24 }; /* 16 bytes in base64, RFC 6455 4.2.1 */

struct request { /* what one pass over the fields finds */
    const struct hf_field *host, *upgrade, *expect, *websocket_key;
    unsigned host_count, upgrade_count, expect_count, websocket_key_count;
    bool has_framing, has_connection;
};

/* Notes the fields that matter, and marks those for this connection alone as not to be forwarded:
 * RFC 9110 7.6.1, and Expect, which is answered here. */
static void look(struct hf_head *head, struct request *found)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct hf_field *field = &head->fields[i];
        switch (field->id) {
        case HF_FIELD_HOST:
            found->host = field;
            found->host_count++;
            break;
        case HF_FIELD_CONTENT_LENGTH:
        case HF_FIELD_TRANSFER_ENCODING:
            found->has_framing = field->drop = true;
            break;
        case HF_FIELD_CONNECTION:
            found->has_connection = field->drop = true;
            break;
        case HF_FIELD_UPGRADE:
            found->upgrade = field;
            found->upgrade_count++;
            field->drop = true;
            break;
        case HF_FIELD_EXPECT:
            found->expect = field;
            found->expect_count++;
            field->drop = true;
            break;
        case HF_FIELD_SEC_WEBSOCKET_KEY:
            found->websocket_key = field;
            found->websocket_key_count++;
            break;
        case HF_FIELD_KEEP_ALIVE:
        case HF_FIELD_PROXY_CONNECTION:
        case HF_FIELD_TE:
        case HF_FIELD_TRAILER:
        case HF_FIELD_HTTP2_SETTINGS:
            field->drop = true;
            break;
        default:
            break;
        }
    }
}

/* RFC 9112 3.2: one Host, also beside an absolute-form target, whose authority then stands. */
static enum hf_http1_reason settle_host(struct hf_head *head, const struct request *found)
{
    if (found->host_count > 1)
        return HF_HTTP1_DUPLICATE_HOST;
    if (found->host == NULL)
        return head->version_minor == 0 ? HF_HTTP1_OK : HF_HTTP1_NO_HOST;
    struct hf_slice host = hf_field_value(head, found->host);
    if (host.size == 0 && head->version_minor == 0)
        return HF_HTTP1_OK;
    if (!hf_uri_authority_valid(host))
        return HF_HTTP1_BAD_HOST;
    if (head->authority.size == 0)
        head->authority = (struct hf_span){found->host->value, found->host->value_size};
    return HF_HTTP1_OK;
}

static enum hf_http1_reason settle_framing(struct hf_head *head)
{
    struct hf_http1_framing framing = {0};
    hf_http1_read_framing(head, &framing);
    if (framing.has_coding && framing.has_length)
        return HF_HTTP1_CODING_AND_LENGTH;
    if (framing.has_coding && head->version_minor == 0)
        return HF_HTTP1_CODING_IN_HTTP10;
    if (framing.wrong != HF_HTTP1_OK)
        return framing.wrong;
    if (framing.has_coding) {
        if (!framing.coding_is_chunked)
            return framing.coding_is_list ? HF_HTTP1_UNKNOWN_CODING : HF_HTTP1_BAD_CODING;
        head->body = HF_BODY_CHUNKED;
        return HF_HTTP1_OK;
    }
    head->has_content_length = true;
    head->content_length = framing.length;
    head->body = framing.length > 0 ? HF_BODY_LENGTH : HF_BODY_NONE;
    return HF_HTTP1_OK;
}

/* RFC 9110 10.1.1: of HTTP/1.0 it is to be ignored, and without content there is nothing to wait
 * for. */
static enum hf_http1_reason settle_expect(struct hf_head *head, const struct request *found)
{
    struct hf_slice value = hf_field_value(head, found->expect);
    if (found->expect_count > 1 || !hf_slice_equal_nocase(value, HF_SLICE("100-continue")))
        return HF_HTTP1_BAD_EXPECTATION;
    head->expect_continue = head->version_minor > 0 && head->body != HF_BODY_NONE;
    return HF_HTTP1_OK;
}

static bool websocket_key_ok(struct hf_slice key)
{
    if (key.size != WEBSOCKET_KEY_SIZE || key.bytes[22] != '=' || key.bytes[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.bytes[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return true;
}

/* Protocols that this proxy's own side of the connection would have to speak are not offered to the
 * server (RFC 9113 3.1, RFC 2817), nor is a choice of several. */
static bool can_tunnel(struct hf_slice protocol)
{
    static const struct hf_slice ours[] = {{"h2c", 3}, {"h2", 2}, {"http", 4}, {"tls", 3}};
    const char *slash = memchr(protocol.bytes, '/', protocol.size);
    struct hf_slice name =
        slash != NULL ? hf_slice(protocol.bytes, (size_t)(slash - protocol.bytes)) : protocol;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (hf_slice_equal_nocase(name, ours[i]))
            return false;
    if (slash != NULL && !hf_scan_all(slash + 1, protocol.size - name.size - 1, HF_SCAN_TOKEN))
        return false;
    return name.size > 0 && hf_scan_all(name.bytes, name.size, HF_SCAN_TOKEN);
}

/* An upgrade that is not offered on is a plain request, as if Upgrade were not there (RFC
 * 9110 7.8). One with content is among these: content and tunnel would share the connection. */
static enum hf_http1_reason settle_upgrade(struct hf_head *head, const struct request *found)
{
    struct hf_slice protocol = hf_field_value(head, found->upgrade);
    if (found->upgrade_count > 1 || head->version_minor == 0 || head->body != HF_BODY_NONE ||
        !can_tunnel(protocol))
        return HF_HTTP1_OK;
    if (hf_slice_equal_nocase(protocol, HF_SLICE("websocket"))) {
        bool key_ok = found->websocket_key_count == 1 &&
                      websocket_key_ok(hf_field_value(head, found->websocket_key));
        if (!key_ok || head->method != HF_METHOD_GET)
            return HF_HTTP1_BAD_WEBSOCKET;
    }
    head->upgrade = true;
    head->fields[found->upgrade - head->fields].drop = false;
    return HF_HTTP1_OK;
}

enum hf_http1_reason hf_http1_settle_request(struct hf_head *head)
{
    struct request found = {0};
    struct hf_http1_connection connection = {0};
    look(head, &found);
    enum hf_http1_reason reason = settle_host(head, &found);
    if (reason == HF_HTTP1_OK && found.has_framing)
        reason = settle_framing(head);
    if (reason == HF_HTTP1_OK && found.has_connection)
        hf_http1_read_connection(head, &connection);
    if (connection.too_many)
        return HF_HTTP1_CONNECTION_OPTIONS;
    head->keep_alive = !connection.close && (head->version_minor > 0 || connection.keep_alive);
    if (reason == HF_HTTP1_OK && found.expect != NULL)
        reason = settle_expect(head, &found);
    if (reason == HF_HTTP1_OK && found.upgrade != NULL && connection.upgrade)
        reason = settle_upgrade(head, &found);
    return reason;
}
