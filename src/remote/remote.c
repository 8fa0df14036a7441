#include "remote/remote.h"
#include "base/assert.h"
#include "remote/pipe.h"
#include <errno.h>
#include <stdlib.h>

enum { REMOTE_MAGIC = 0x52454d54 };

struct hf_remote {
    uint32_t magic;
    struct hf_pipe pipe;
};

const char *hf_remote_status_word(enum hf_remote_status status)
{
    static const char *const words[] = {
#define HF_REMOTE_STATUS_WORD(name, word) word,
        HF_REMOTE_STATUSES(HF_REMOTE_STATUS_WORD)
#undef HF_REMOTE_STATUS_WORD
    };
    REQUIRE(status < HF_REMOTE_STATUS_COUNT);
    return words[status];
}

int hf_remote_new(struct hf_loop *loop, const struct hf_remote_settings *settings,
                  struct hf_remote **ret_remote)
{
    static const struct hf_pipe_codec *const codecs[HF_STORE_URL_KINDS] = {
        [HF_STORE_URL_REDIS] = &hf_redis_codec,
        [HF_STORE_URL_SENTINEL] = &hf_redis_codec,
        [HF_STORE_URL_MEMCACHED] = &hf_memcached_codec,
    };
    REQUIRE(settings->kind < HF_STORE_URL_KINDS);
    const struct hf_pipe_codec *codec = codecs[settings->kind];
    if (codec == NULL)
        return -ENOTSUP;
    struct hf_remote *remote = calloc(1, sizeof(*remote));
    if (remote == NULL)
        return -ENOMEM;
    remote->magic = REMOTE_MAGIC;
    int result = hf_pipe_init(&remote->pipe, loop, codec, settings);
    if (result < 0) {
        free(remote);
        return result;
    }
    *ret_remote = remote;
    return 0;
}

void hf_remote_free(struct hf_remote **remote)
{
    if (*remote == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(*remote, REMOTE_MAGIC));
    hf_pipe_fini(&(*remote)->pipe);
    (*remote)->magic = 0;
    free(*remote);
    *remote = NULL;
}

void hf_remote_submit(struct hf_remote *remote, struct hf_remote_call *call,
                      const struct hf_remote_request *request)
{
    hf_pipe_submit(&remote->pipe, call, request);
}

bool hf_remote_is_open(const struct hf_remote *remote)
{
    return remote->pipe.breaker != HF_BREAKER_CLOSED;
}

const struct hf_remote_counts *hf_remote_counts(const struct hf_remote *remote)
{
    return &remote->pipe.counts;
}

const char *hf_remote_trouble(const struct hf_remote *remote)
{
    return remote->pipe.trouble;
}
