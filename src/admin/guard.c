/* Who may ask the admin API for what. */
#include "admin/route.h"
#include "base/assert.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>

/* Each is compared by pointer in tests, so the order is free. */
static const struct hf_admin_refusal
    nowhere = {404, "there is nothing here; see /v1/status, /v1/servers, /metrics"},
    method = {405, "this method is not for this path; the Allow field names those that are"},
    no_host = {400, "the Host field is missing; send the address that you connect to"},
    foreign_host = {403, "the Host field names another machine, as a rebound DNS name would; use "
                         "127.0.0.1 or localhost, or set admin: token_file"},
    no_token = {401,
                "a token is needed; send 'Authorization: Bearer TOKEN' with the content of the "
                "file that admin: token_file names"},
    wrong_token = {401, "the token is wrong; send the content of the file that admin: token_file "
                        "names"},
    foreign_origin = {403, "this request comes from a page of another site; state is changed from "
                           "this server's own page or by a program that sends no Origin"},
    not_json = {415, "the body must be JSON; send 'Content-Type: application/json'"},
    no_length = {411, "the body's length must be known before it comes; send Content-Length"},
    too_large = {413, "the body is over 64 KiB; a state is a few bytes"};

/* An address without its port: "[::1]:80" -> "::1", "localhost:80" -> "localhost". */
static struct hf_slice host_of(struct hf_slice authority)
{
    if (authority.size > 0 && authority.bytes[0] == '[') {
        const char *end = memchr(authority.bytes, ']', authority.size);
        return end ? hf_slice(authority.bytes + 1, (size_t)(end - authority.bytes) - 1) : authority;
    }
    const char *colon = authority.size > 0 ? memchr(authority.bytes, ':', authority.size) : NULL;
    return colon ? hf_slice(authority.bytes, (size_t)(colon - authority.bytes)) : authority;
}

static bool is_loopback(const struct hf_address *address)
{
    if (address->any.sa_family == AF_INET)
        return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static bool same_ip(const struct hf_address *a, const struct hf_address *b)
{
    char a_text[HF_ADDRESS_TEXT_MAX], b_text[HF_ADDRESS_TEXT_MAX];
    size_t a_size = hf_address_format_ip(a, a_text), b_size = hf_address_format_ip(b, b_text);
    return hf_slice_equal(hf_slice(a_text, a_size), hf_slice(b_text, b_size));
}

static const struct hf_admin_refusal *check_host(const struct hf_config *config,
                                                 const struct hf_admin_request *request)
{
    if (config->admin_bind.any.sa_family == AF_UNIX)
        return NULL; /* no browser speaks to one */
    if (request->host.bytes == NULL)
        return &no_host;
    struct hf_slice host = host_of(request->host);
    if (hf_slice_equal_nocase(host, HF_SLICE("localhost")))
        return NULL;
    struct hf_address address;
    if (hf_address_parse_ip(host, &address) != 0)
        return &foreign_host;
    return is_loopback(&address) || same_ip(&address, &config->admin_bind) ? NULL : &foreign_host;
}

/* Digests are compared, so that neither content nor length shows in the time taken. */
static bool same_secret(struct hf_slice a, struct hf_slice b)
{
    unsigned char a_digest[SHA256_DIGEST_LENGTH], b_digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)a.bytes, a.size, a_digest);
    SHA256((const unsigned char *)b.bytes, b.size, b_digest);
    return CRYPTO_memcmp(a_digest, b_digest, sizeof(a_digest)) == 0;
}

static const struct hf_admin_refusal *check_token(const struct hf_config *config,
                                                  const struct hf_admin_request *request)
{
    static const struct hf_slice scheme = HF_SLICE("Bearer ");
    struct hf_slice field = request->authorization;
    if (field.size < scheme.size ||
        !hf_slice_equal_nocase(hf_slice(field.bytes, scheme.size), scheme))
        return &no_token;
    struct hf_slice token =
        hf_slice_trim(hf_slice(field.bytes + scheme.size, field.size - scheme.size));
    return same_secret(token, hf_slice_text(config->admin_token)) ? NULL : &wrong_token;
}

static bool is_json(struct hf_slice content_type)
{
    const char *parameters =
        content_type.size > 0 ? memchr(content_type.bytes, ';', content_type.size) : NULL;
    if (parameters)
        content_type.size = (size_t)(parameters - content_type.bytes);
    return hf_slice_equal_nocase(hf_slice_trim(content_type), HF_SLICE("application/json"));
}

/* "http://HOST" or, behind something that speaks TLS, "https://HOST", with the request's own Host.
 */
static bool is_own_origin(struct hf_slice origin, struct hf_slice host)
{
    static const struct hf_slice schemes[] = {HF_SLICE("http://"), HF_SLICE("https://")};
    for (size_t i = 0; i < 2; i++) {
        size_t size = schemes[i].size;
        if (origin.size > size && hf_slice_equal_nocase(hf_slice(origin.bytes, size), schemes[i]))
            return hf_slice_equal_nocase(hf_slice(origin.bytes + size, origin.size - size), host);
    }
    return false;
}

static const struct hf_admin_refusal *check_change(const struct hf_admin_request *request)
{
    if (request->origin.bytes != NULL && !is_own_origin(request->origin, request->host))
        return &foreign_origin;
    return is_json(request->content_type) ? NULL : &not_json;
}

static const struct hf_admin_refusal *check_size(const struct hf_admin_request *request,
                                                 bool change)
{
    uint64_t size = 0;
    if (request->content_length.bytes != NULL &&
        (!hf_slice_to_u64(request->content_length, &size) || size > HF_ADMIN_BODY_MAX))
        return &too_large;
    bool unknown = request->chunked || (change && request->content_length.bytes == NULL);
    return unknown ? &no_length : NULL;
}

static bool method_fits(enum hf_admin_endpoint endpoint, struct hf_slice word)
{
    if (endpoint == HF_ADMIN_SERVER_STATE)
        return hf_slice_equal(word, HF_SLICE("POST"));
    return hf_slice_equal(word, HF_SLICE("GET")) || hf_slice_equal(word, HF_SLICE("HEAD"));
}

const struct hf_admin_refusal *hf_admin_guard(const struct hf_config *config,
                                              enum hf_admin_endpoint endpoint,
                                              const struct hf_admin_request *request)
{
    REQUIRE(config != NULL && request != NULL && request->method.size > 0);
    if (endpoint == HF_ADMIN_NOWHERE)
        return &nowhere;
    if (!method_fits(endpoint, request->method))
        return &method;
    const struct hf_admin_refusal *refusal = NULL;
    if (config->admin_token == NULL)
        refusal = check_host(config, request);
    else if (endpoint != HF_ADMIN_PAGE)
        refusal = check_token(config, request);
    bool change = endpoint == HF_ADMIN_SERVER_STATE;
    if (!refusal && change)
        refusal = check_change(request);
    return refusal ? refusal : check_size(request, change);
}
