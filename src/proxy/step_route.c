/* From a complete request head to the server that should answer it. */
#include "base/assert.h"
#include "proto/uri.h"
#include "proxy/client.h"
#include "proxy/forward.h"

struct hf_affinity_request hf_exchange_affinity_request(const struct hf_exchange *x)
{
    return (struct hf_affinity_request){
        .head = &x->request,
        .client = x->client_address,
        .secure = x->secure,
        .now_ms = hf_loop_now_ms(x->worker->loop),
        .wall_s = hf_loop_wall_s(x->worker->loop),
    };
}

/* One pool for everything is the common case: nothing to look up. */
static const struct hf_pool *find_pool(const struct hf_exchange *x)
{
    const struct hf_config *config = x->snapshot->config;
    const struct hf_head *head = &x->request;
    if (config->route_count == 1 && !config->routes[0].host &&
        hf_slice_equal(hf_slice_text(config->routes[0].path), HF_SLICE("/")))
        return config->routes[0].pool;
    struct hf_slice host = hf_uri_host_only(hf_head_span(head, head->authority));
    struct hf_slice target = hf_head_span(head, head->path);
    const char *query = memchr(target.bytes, '?', target.size);
    if (query)
        target.size = (size_t)(query - target.bytes);
    char normal[HF_PATH_MAX];
    if (head->options_asterisk)
        return hf_config_route(config, host, HF_SLICE("/"));
    REQUIRE(target.size <= sizeof(normal));
    size_t size = hf_uri_normalise_path(target, normal);
    return hf_config_route(config, host, hf_slice(normal, size));
}

enum hf_step hf_step_route(struct hf_exchange *x)
{
    const struct hf_head *head = &x->request;
    const struct hf_limits *limits = &x->snapshot->config->limits;
    hf_worker_count(x->worker, HF_PROXY_REQUESTS);
    x->head_only = head->method == HF_METHOD_HEAD;
    hf_forward_believe(x);
    if (limits->request_body > 0 && head->body == HF_BODY_LENGTH &&
        head->content_length > limits->request_body)
        return hf_reply_with(x, 413, "the request content is larger than limits.request_body");
    x->pool = find_pool(x);
    if (!x->pool)
        return hf_reply_with(x, 404, "no route leads from this host and path to a pool");
    return HF_STEP_IDENTIFY;
}

enum hf_step hf_step_identify(struct hf_exchange *x)
{
    struct hf_affinity_request request = hf_exchange_affinity_request(x);
    hf_affinity_identify(&x->snapshot->affinity, x->pool, &request, &x->choice);
    REQUIRE(x->choice.verdict < HF_AFFINITY_VERDICT_COUNT);
    if (x->rechosen) /* counted already */
        return HF_STEP_CHOOSE;
    hf_count(&x->worker->counts.verdicts[x->choice.verdict]);
    hf_retry_note_request(x->snapshot->budgets[x->pool->index], hf_worker_shard(x->worker),
                          request.now_ms);
    return HF_STEP_CHOOSE;
}

/* What the pool wants when the server that holds the session is judged unusable. */
static enum hf_step lose_session(struct hf_exchange *x)
{
    hf_failover_refused(x);
    switch (x->pool->on_loss) {
    case HF_ON_LOSS_ERROR:
        return hf_reply_with(x, 503, "the server that holds your session is down");
    case HF_ON_LOSS_REDIRECT:
        x->reply_location = x->pool->on_loss_location;
        x->reply_pins = true;
        return hf_reply_with(x, x->request.method == HF_METHOD_GET || x->head_only ? 302 : 303,
                             "your session was lost with its server");
    case HF_ON_LOSS_FRESH:
        break;
    }
    return HF_STEP_ACQUIRE;
}

enum hf_step hf_step_choose(struct hf_exchange *x)
{
    if (x->choice.lost && x->choice.server >= 0 && hf_failover_refuses(x, x->choice.server))
        return lose_session(x);
    if (x->choice.server < 0)
        return hf_reply_with(x, 503, "no server of the pool is usable");
    REQUIRE((unsigned)x->choice.server < x->pool->server_count);
    return HF_STEP_ACQUIRE;
}
