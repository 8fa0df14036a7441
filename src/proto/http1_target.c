#include "proto/http1_internal.h"
#include "proto/uri.h"

/* The forms of a request target, RFC 9112 3.2. The line reader has let through visible ASCII
 * without "#" only. */

static const struct {
    struct hf_slice name;
    enum hf_method method;
} methods[] = {
    {{"GET", 3}, HF_METHOD_GET},         {{"POST", 4}, HF_METHOD_POST},
    {{"HEAD", 4}, HF_METHOD_HEAD},       {{"PUT", 3}, HF_METHOD_PUT},
    {{"DELETE", 6}, HF_METHOD_DELETE},   {{"OPTIONS", 7}, HF_METHOD_OPTIONS},
    {{"PATCH", 5}, HF_METHOD_PATCH},     {{"TRACE", 5}, HF_METHOD_TRACE},
    {{"CONNECT", 7}, HF_METHOD_CONNECT},
};

static enum hf_method method_of(struct hf_slice name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (hf_slice_equal(methods[i].name, name))
            return methods[i].method;
    return HF_METHOD_OTHER;
}

/* A backslash in the path is no URI character; some servers read it as "/", others do not. */
static bool path_ok(struct hf_slice path)
{
    const char *query = memchr(path.bytes, '?', path.size);
    size_t size = query != NULL ? (size_t)(query - path.bytes) : path.size;
    return memchr(path.bytes, '\\', size) == NULL;
}

static enum hf_http1_reason origin_form(struct hf_head *head, struct hf_span target)
{
    head->path = target;
    return path_ok(hf_head_span(head, target)) ? HF_HTTP1_OK : HF_HTTP1_BAD_TARGET;
}

/* Size of "http://" or "https://" in any case at the start of the target, else 0. */
static uint32_t scheme_size(struct hf_slice target)
{
    static const struct hf_slice schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (target.size > schemes[i].size &&
            hf_slice_equal_nocase(hf_slice(target.bytes, schemes[i].size), schemes[i]))
            return (uint32_t)schemes[i].size;
    return 0;
}

/* RFC 9112 3.2.2. An absent path is "/" (RFC 9110 4.2.3), for which the last slash of "://" stands;
 * no byte of the target can stand for the one that is missing from "http://host?query", so that is
 * refused. */
static enum hf_http1_reason absolute_form(struct hf_head *head, struct hf_span target)
{
    struct hf_slice text = hf_head_span(head, target);
    uint32_t scheme = scheme_size(text);
    if (scheme == 0)
        return HF_HTTP1_BAD_TARGET;
    uint32_t end = scheme;
    while (end < target.size && text.bytes[end] != '/' && text.bytes[end] != '?')
        end++;
    head->authority = (struct hf_span){target.offset + scheme, end - scheme};
    if (!hf_uri_authority_valid(hf_head_span(head, head->authority)))
        return HF_HTTP1_BAD_TARGET;
    if (end == target.size) {
        head->options_asterisk = head->method == HF_METHOD_OPTIONS;
        head->path = (struct hf_span){target.offset + scheme - 1, 1};
        return HF_HTTP1_OK;
    }
    if (text.bytes[end] == '?')
        return HF_HTTP1_BAD_TARGET;
    return origin_form(head, (struct hf_span){target.offset + end, target.size - end});
}

enum hf_http1_reason hf_http1_settle_target(struct hf_head *head, struct hf_span target)
{
    struct hf_slice text = hf_head_span(head, target);
    head->method = (uint8_t)method_of(hf_head_span(head, head->method_text));
    if (head->method == HF_METHOD_CONNECT) {
        bool has_port = hf_uri_host_only(text).size + 1 < text.size;
        bool valid = has_port && hf_uri_authority_valid(text);
        return valid ? HF_HTTP1_CONNECT_REFUSED : HF_HTTP1_BAD_TARGET;
    }
    if (text.bytes[0] == '/')
        return origin_form(head, target);
    if (text.size == 1 && text.bytes[0] == '*' && head->method == HF_METHOD_OPTIONS) {
        head->options_asterisk = true;
        head->path = target;
        return HF_HTTP1_OK;
    }
    return absolute_form(head, target);
}
