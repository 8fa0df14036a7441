#include "cmd/ctl_http.h"
#include "base/assert.h"
#include <curl/curl.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t take(char *bytes, size_t unit, size_t size, void *user)
{
    struct hf_bytes *body = user;
    REQUIRE(unit == 1);
    if (size > HF_CTL_ANSWER_MAX - hf_bytes_size(body) || !hf_bytes_reserve(NULL, body, size + 1))
        return 0; /* libcurl stops with CURLE_WRITE_ERROR */
    hf_bytes_append(NULL, body, hf_slice(bytes, size));
    body->bytes[body->end] = '\0';
    return size;
}

/* The header list with type and token; NULL without memory. The caller frees it. */
static struct curl_slist *make_fields(const struct hf_ctl_target *target)
{
    struct curl_slist *fields = curl_slist_append(NULL, "Content-Type: application/json");
    if (!fields || !target->token)
        return fields;
    char *field = NULL;
    if (asprintf(&field, "Authorization: Bearer %s", target->token) < 0) {
        curl_slist_free_all(fields);
        return NULL;
    }
    struct curl_slist *more = curl_slist_append(fields, field);
    OPENSSL_cleanse(field, strlen(field));
    free(field);
    if (!more)
        curl_slist_free_all(fields);
    return more;
}

static CURLcode perform(CURL *curl, const struct hf_ctl_target *target, const char *url,
                        const char *body, struct curl_slist *fields)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HF_CTL_CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)HF_CTL_TOTAL_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    if (target->socket)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, target->socket);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    return curl_easy_perform(curl);
}

int hf_ctl_ask(const struct hf_ctl_target *target, const char *path, const char *body,
               struct hf_ctl_answer *ret_answer, char error[HF_CTL_ERROR_MAX])
{
    REQUIRE(target->base != NULL && path[0] == '/');
    char url[HF_CTL_URL_MAX], why[CURL_ERROR_SIZE] = "";
    struct hf_ctl_answer answer = {0};
    int size = snprintf(url, sizeof(url), "%s%s", target->base, path);
    if (size < 0 || (size_t)size >= sizeof(url)) {
        snprintf(error, HF_CTL_ERROR_MAX, "the address is too long; write http://HOST:PORT");
        return -EIO;
    }
    CURL *curl = curl_easy_init();
    struct curl_slist *fields = make_fields(target);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (curl && fields) {
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
        code = perform(curl, target, url, body, fields);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    }
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    if (code == CURLE_OK) {
        *ret_answer = answer;
        return 0;
    }
    hf_ctl_answer_fini(&answer);
    snprintf(error, HF_CTL_ERROR_MAX,
             "no answer from %s: %s; is 'holdfast proxy' running, and is this its admin: bind? "
             "(--admin URL or -c FILE says where)",
             target->socket ? target->socket : target->base,
             why[0] ? why : curl_easy_strerror(code));
    return -EIO;
}

void hf_ctl_answer_fini(struct hf_ctl_answer *answer)
{
    hf_bytes_clear(NULL, &answer->body);
    *answer = (struct hf_ctl_answer){0};
}
