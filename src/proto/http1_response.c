#include "proto/http1_internal.h"

struct response {
    const struct hf_field *upgrade;
    unsigned upgrade_count;
    bool has_connection;
};

static void look(struct hf_head *head, struct response *found)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        struct hf_field *field = &head->fields[i];
        switch (field->id) {
        case HF_FIELD_CONNECTION:
            found->has_connection = field->drop = true;
            break;
        case HF_FIELD_UPGRADE:
            found->upgrade = field;
            found->upgrade_count++;
            field->drop = true;
            break;
        case HF_FIELD_CONTENT_LENGTH:
        case HF_FIELD_TRANSFER_ENCODING:
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

/* RFC 9110 6.4.1. */
static bool never_has_content(const struct hf_head *head, enum hf_method request_method)
{
    return request_method == HF_METHOD_HEAD || head->status < 200 || head->status == 204 ||
           head->status == 304 || (request_method == HF_METHOD_CONNECT && head->status < 300);
}

/* RFC 9112 6.3. Answers whether the connection can carry another message after this one. */
static bool settle_body(struct hf_head *head, const struct hf_http1_framing *framing,
                        enum hf_method request_method)
{
    bool length_stands = framing->has_length && !framing->has_coding;
    head->has_content_length = length_stands;
    head->content_length = length_stands ? framing->length : 0;
    head->body = HF_BODY_NONE;
    if (never_has_content(head, request_method)) {
        /* A server that announces content where none is allowed may well send it. */
        bool announced = framing->has_coding || head->content_length > 0;
        bool allowed = request_method == HF_METHOD_HEAD || head->status == 304;
        return !announced || allowed;
    }
    if (framing->has_coding) {
        head->body = HF_BODY_CHUNKED;
        return !framing->has_length;
    }
    if (framing->has_length) {
        head->body = head->content_length > 0 ? HF_BODY_LENGTH : HF_BODY_NONE;
        return true;
    }
    head->body = HF_BODY_UNTIL_CLOSE;
    return false;
}

enum hf_http1_reason hf_http1_settle_response(struct hf_head *head, enum hf_method request_method)
{
    struct response found = {0};
    struct hf_http1_connection connection = {0};
    struct hf_http1_framing framing = {0};
    look(head, &found);
    hf_http1_read_framing(head, &framing);
    if (framing.wrong != HF_HTTP1_OK)
        return framing.wrong;
    if (framing.has_coding && head->version_minor == 0)
        return HF_HTTP1_CODING_IN_HTTP10;
    if (framing.has_coding && !framing.coding_is_chunked)
        return HF_HTTP1_UNKNOWN_CODING;
    if (found.has_connection)
        hf_http1_read_connection(head, &connection);
    if (connection.too_many)
        return HF_HTTP1_CONNECTION_OPTIONS;
    bool reusable = settle_body(head, &framing, request_method);
    head->keep_alive =
        reusable && !connection.close && (head->version_minor > 0 || connection.keep_alive);
    head->upgrade = connection.upgrade && found.upgrade != NULL;
    if (head->status == 101 && head->upgrade && found.upgrade_count == 1)
        head->fields[found.upgrade - head->fields].drop = false;
    return HF_HTTP1_OK;
}
