#include "cmd/shop_remote.h"
#include "base/assert.h"
#include "cmd/shop_page.h"
#include <errno.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hf_shop_remote {
    char host[64];
    int port;
    redisContext *link; /* owned; NULL = to be connected */
    char error[256];
};

int hf_shop_remote_new(const char *address, struct hf_shop_remote **ret_remote)
{
    const char *colon = strrchr(address, ':');
    struct hf_shop_remote *remote = calloc(1, sizeof(*remote));
    uint64_t port = 0;
    if (!remote)
        return -ENOMEM;
    size_t size = colon ? (size_t)(colon - address) : 0;
    bool good = size > 0 && size < sizeof(remote->host) &&
                hf_slice_to_u64(hf_slice_text(colon + 1), &port) && port > 0 && port <= UINT16_MAX;
    if (!good) {
        free(remote);
        return -EINVAL;
    }
    memcpy(remote->host, address, size);
    remote->port = (int)port;
    *ret_remote = remote;
    return 0;
}

static void hang_up(struct hf_shop_remote *remote)
{
    if (remote->link)
        redisFree(remote->link);
    remote->link = NULL;
}

void hf_shop_remote_free(struct hf_shop_remote **remote)
{
    if (*remote)
        hang_up(*remote);
    free(*remote);
    *remote = NULL;
}

static int fail(struct hf_shop_remote *remote, const char *why)
{
    snprintf(remote->error, sizeof(remote->error), "%s:%d: %s", remote->host, remote->port, why);
    return -EIO;
}

const char *hf_shop_remote_error(const struct hf_shop_remote *remote)
{
    return remote->error;
}

static int connect_link(struct hf_shop_remote *remote)
{
    struct timeval patience = {.tv_sec = HF_SHOP_REMOTE_MS / 1000};
    remote->link = redisConnectWithTimeout(remote->host, remote->port, patience);
    if (!remote->link)
        return fail(remote, "no memory");
    int result = remote->link->err ? fail(remote, remote->link->errstr) : 0;
    if (result == 0 && redisSetTimeout(remote->link, patience) != REDIS_OK)
        result = fail(remote, remote->link->errstr);
    if (result < 0)
        hang_up(remote);
    return result;
}

/* One command; a connection that was closed since the last one is made anew, once. *ret_reply is
 * owned by the caller. */
static int ask(struct hf_shop_remote *remote, int count, const char *const words[],
               const size_t sizes[], redisReply **ret_reply)
{
    bool kept = remote->link != NULL;
    for (int tries = kept ? 2 : 1; tries > 0; tries--) {
        int result = remote->link ? 0 : connect_link(remote);
        if (result < 0)
            return result;
        redisReply *reply = redisCommandArgv(remote->link, count, (const char **)words, sizes);
        if (reply) {
            *ret_reply = reply;
            return 0;
        }
        fail(remote, remote->link->errstr);
        hang_up(remote);
    }
    return -EIO;
}

static size_t make_key(struct hf_slice id, char out[HF_SHOP_REMOTE_KEY_SIZE_MAX])
{
    int size = snprintf(out, HF_SHOP_REMOTE_KEY_SIZE_MAX, "sess:%.*s", (int)id.size, id.bytes);
    REQUIRE(size > 0 && size < HF_SHOP_REMOTE_KEY_SIZE_MAX);
    return (size_t)size;
}

/* --- the value: {"user": text, "items": [text, ...]} --- */

static char *encode(const struct hf_shop_session *session)
{
    json_t *items = json_array();
    for (unsigned i = 0; i < session->item_count; i++)
        json_array_append_new(items, hf_shop_text_json(session->items[i]));
    json_t *object =
        json_pack("{s:o, s:o}", "user", hf_shop_text_json(session->user), "items", items);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

static bool decode(const char *bytes, size_t size, struct hf_shop_session *session)
{
    json_t *object = json_loadb(bytes, size, 0, NULL);
    json_t *items = json_object_get(object, "items");
    const char *user = json_string_value(json_object_get(object, "user"));
    bool good = user && json_is_array(items);
    if (good)
        hf_shop_session_login(session, hf_slice_text(user));
    for (size_t i = 0; good && i < json_array_size(items); i++) {
        const char *item = json_string_value(json_array_get(items, i));
        good = item && hf_shop_session_add(session, hf_slice_text(item)) == 0;
    }
    json_decref(object);
    return good;
}

/* --- */

int hf_shop_remote_load(struct hf_shop_remote *remote, struct hf_slice id,
                        struct hf_shop_session *ret_session)
{
    char key[HF_SHOP_REMOTE_KEY_SIZE_MAX];
    struct hf_shop_session session = {.item_count = 0};
    redisReply *reply = NULL;
    if (id.size != HF_SHOP_ID_SIZE)
        return -ENOENT;
    const char *words[] = {"GET", key};
    size_t sizes[] = {3, make_key(id, key)};
    int result = ask(remote, 2, words, sizes, &reply);
    if (result < 0)
        return result;
    memcpy(session.id, id.bytes, HF_SHOP_ID_SIZE);
    if (reply->type == REDIS_REPLY_NIL)
        result = -ENOENT;
    else if (reply->type != REDIS_REPLY_STRING)
        result = fail(remote, reply->type == REDIS_REPLY_ERROR ? reply->str : "not a text");
    else if (!decode(reply->str, reply->len, &session))
        result = fail(remote, "the session is not one of this shop");
    if (result == 0)
        *ret_session = session;
    freeReplyObject(reply);
    return result;
}

int hf_shop_remote_save(struct hf_shop_remote *remote, const struct hf_shop_session *session,
                        bool changed)
{
    char key[HF_SHOP_REMOTE_KEY_SIZE_MAX], life[16];
    redisReply *reply = NULL;
    char *value = changed ? encode(session) : NULL;
    if (changed && !value)
        return fail(remote, "no memory");
    size_t key_size = make_key(hf_slice(session->id, HF_SHOP_ID_SIZE), key);
    int life_size = snprintf(life, sizeof(life), "%d", HF_SHOP_REMOTE_LIFE_S);
    const char *words[] = {changed ? "SETEX" : "EXPIRE", key, life, value};
    size_t sizes[] = {strlen(words[0]), key_size, (size_t)life_size, changed ? strlen(value) : 0};
    int result = ask(remote, changed ? 4 : 3, words, sizes, &reply);
    free(value);
    if (result < 0)
        return result;
    if (reply->type == REDIS_REPLY_ERROR)
        result = fail(remote, reply->str);
    freeReplyObject(reply);
    return result;
}

int hf_shop_remote_ping(struct hf_shop_remote *remote)
{
    const char *words[] = {"PING"};
    const size_t sizes[] = {4};
    redisReply *reply = NULL;
    int result = ask(remote, 1, words, sizes, &reply);
    if (result < 0)
        return result;
    if (reply->type == REDIS_REPLY_ERROR)
        result = fail(remote, reply->str);
    freeReplyObject(reply);
    return result;
}
