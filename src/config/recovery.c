/* What a configuration promises about failures, in words. Pure. */
#include "base/assert.h"
#include "config/schema.h"
#include "model/config.h"
#include <stdio.h>
#include <stdlib.h>

/* A server that hangs right after it answered a check is asked again one interval later, or that
 * and the jitter. Checks time out before the next one (the loader sees to it), so check number
 * `fall` starts at most fall such intervals after the last good one, and fails after its timeout.
 */
uint64_t hf_config_detection_ms(const struct hf_pool *pool)
{
    const struct hf_health_check *health = &pool->health;
    if (health->kind == HF_CHECK_NONE)
        return 0;
    REQUIRE(health->fall > 0 && health->timeout_ms <= health->interval_ms);
    uint64_t interval_ms = health->interval_ms;
    uint64_t jitter_ms = (interval_ms * HF_CHECK_JITTER_PERCENT + 99) / 100; /* rounded up */
    return (interval_ms + jitter_ms) * health->fall + health->timeout_ms;
}

struct term {
    char text[HF_TYPE_TEXT_MAX];
};

static struct term time_term(uint64_t ms)
{
    struct term term;
    hf_type_format_time(ms, term.text);
    return term;
}

static void write_refused(FILE *out, const struct hf_pool *pool)
{
    bool retried = pool->retry.attempts > 0 && (pool->retry.on & HF_RETRY_CONNECT) != 0;
    fprintf(out, "  connection refused (process gone, machine up)\n");
    if (retried)
        fprintf(out,
                "    detection 0 (the refusal itself) + look-up 0 (the next server, same request)"
                " = no wait but one more connect\n");
    else
        fprintf(out, "    not retried: an error to the client until a check finds out\n");
}

static void write_reset(FILE *out, const struct hf_pool *pool)
{
    bool retried = pool->retry.attempts > 0 && (pool->retry.on & HF_RETRY_RESET) != 0;
    fprintf(out, "  connection reset before the answer (process killed in mid-request)\n");
    if (retried)
        fprintf(out,
                "    idempotent request: detection 0 + back-off at most %s + look-up 0, sent again "
                "within the retry budget of %u%%; any other: 502, as it may have had an effect\n",
                time_term(pool->retry.backoff_ms).text, pool->retry.budget_percent);
    else
        fprintf(out, "    not retried: 502 to the client\n");
}

static void write_hang(FILE *out, const struct hf_config *config, const struct hf_pool *pool)
{
    const struct hf_health_check *health = &pool->health;
    uint64_t detection = hf_config_detection_ms(pool);
    fprintf(out,
            "  no answer at all (process hangs, machine or network gone)\n"
            "    each request until it is detected: at most %s to connect, %s for the answer\n",
            time_term(config->timeouts.connect).text,
            time_term(config->timeouts.response_head).text);
    if (health->kind == HF_CHECK_NONE) {
        fprintf(out, "    active check: off, so only live traffic finds out\n");
        return;
    }
    fprintf(out,
            "    detection: active %s check, %u x (interval %s + jitter %d%%) + timeout %s = %s\n"
            "    propagation: under 1ms (all threads share the verdict; other proxies check for "
            "themselves)\n"
            "    look-up: 0 (requests from then on go to the next server at once)\n"
            "    worst case: %s; a request that already waits goes on to wait for its own limit\n",
            health->kind == HF_CHECK_HTTP ? "HTTP" : "TCP", health->fall,
            time_term(health->interval_ms).text, HF_CHECK_JITTER_PERCENT,
            time_term(health->timeout_ms).text, time_term(detection).text,
            time_term(detection).text);
    if (health->kind == HF_CHECK_TCP)
        fprintf(out, "    a process that hangs while its kernel still accepts connections passes a "
                     "TCP check: use health: {http: PATH} to find it\n");
}

static void write_passive(FILE *out, const struct hf_config *config, const struct hf_pool *pool)
{
    const struct hf_passive *passive = &pool->passive;
    if (passive->failures == 0) {
        fprintf(out, "  live traffic: not watched (passive: off)\n");
        return;
    }
    fprintf(out,
            "  live traffic: %u failed requests within %s take the server out for %s (at most %u%% "
            "of the pool, never the last); a hang shows there no sooner than %s\n",
            passive->failures, time_term(passive->window_ms).text,
            time_term(passive->eject_ms).text, passive->ejected_percent_max,
            time_term(config->timeouts.response_head).text);
    if (passive->failed_percent_min > 0)
        fprintf(out, "    if they are %u%% of its requests at least\n",
                passive->failed_percent_min);
    fprintf(out, "    then %u requests try it: all answered well, it is back; one not, it is out\n",
            passive->probes);
}

static void write_limits(FILE *out, const struct hf_pool *pool)
{
    const struct hf_breaker *breaker = &pool->breaker;
    if (breaker->connections == 0)
        return;
    fprintf(out,
            "  too many requests for one server: %u at once; %u more wait, at most %s, then 503; "
            "beyond them 503 at once\n",
            breaker->connections, breaker->pending, time_term(breaker->pending_timeout_ms).text);
}

static void write_return(FILE *out, const struct hf_pool *pool)
{
    const struct hf_health_check *health = &pool->health;
    if (health->kind != HF_CHECK_NONE)
        fprintf(out, "  when it is well again: %u good checks in a row bring it back\n",
                health->rise);
    if (pool->slow_start_ms > 0)
        fprintf(out, "    its share of new clients grows for %s (slow_start)\n",
                time_term(pool->slow_start_ms).text);
}

static bool is_sticky(const struct hf_pool *pool)
{
    enum hf_hash hash = HF_HASH_MOD;
    return pool->affinity_count > 0 || hf_balance_is_hash(pool->balance, &hash);
}

static void write_on_loss(FILE *out, const struct hf_pool *pool)
{
    static const char *const after_words[] = {
        [HF_FAILBACK_STAY] = "stay there",
        [HF_FAILBACK_RETURN] = "return when it is back, to a session that is gone by then",
        [HF_FAILBACK_TEMPORARY] = "are back with it when it returns",
    };
    if (pool->on_loss == HF_ON_LOSS_FRESH)
        fprintf(out, "its clients start afresh on another server and %s (on_loss: fresh)\n",
                after_words[pool->failback]);
    else if (pool->on_loss == HF_ON_LOSS_ERROR)
        fprintf(out, "its clients get an error (on_loss: error)\n");
    else
        fprintf(out, "its clients are redirected to %s (on_loss)\n", pool->on_loss_location);
}

/* An agent whose process is gone breaks its connections, which its peers see at once. A silent one
 * may still be serving until the lease is over that it got from them, and their clocks may differ;
 * it runs from its last sign, beside the proxy's own detection. docs/failure.md promises this. */
enum { AGENT_DRIFT_PERCENT = 10 };

static void write_follow(FILE *out, const struct hf_pool *pool)
{
    static const char *const after_words[] = {
        [HF_FAILBACK_STAY] = "stay there",
        [HF_FAILBACK_RETURN] = "return with it when their server is back",
        [HF_FAILBACK_TEMPORARY] = "are back with it when their server is",
    };
    uint64_t detection = hf_config_detection_ms(pool);
    unsigned lease_ms = hf_rank_lease_ms(pool->agents->rank.count);
    uint64_t silent = lease_ms * (100 + AGENT_DRIFT_PERCENT) / 100;
    fprintf(out,
            "  its sessions: the agents keep copies; clients go on with their session on another "
            "server and %s\n"
            "    the agent's part, if its agent fails with it: 0 when its connections break "
            "(process killed); lease %s + drift %d%% = %s when it is silent (hang, machine or "
            "network gone)\n",
            after_words[pool->failback], time_term(lease_ms).text, AGENT_DRIFT_PERCENT,
            time_term(silent).text);
    if (pool->health.kind != HF_CHECK_NONE)
        fprintf(out,
                "    worst case with its session: the longer of %s and %s = %s, and one fetch\n",
                time_term(detection).text, time_term(silent).text,
                time_term(detection > silent ? detection : silent).text);
    if (pool->session.name == NULL)
        fprintf(out, "    without 'session' a failover is a fetch from another agent each time: "
                     "write session: {cookie: NAME}\n");
}

static void write_sessions(FILE *out, const struct hf_pool *pool)
{
    unsigned agents = pool->agents != NULL ? pool->agents->rank.count : 0;
    if (!is_sticky(pool)) {
        fprintf(out, "  sessions: none are kept here (no affinity)\n");
        return;
    }
    if (agents > 0)
        write_follow(out, pool);
    if (agents == pool->server_count)
        return;
    if (agents > 0)
        fprintf(out,
                "    %u of %u servers have no agent: what such a server held is gone with it; ",
                pool->server_count - agents, pool->server_count);
    else
        fprintf(out, "  its sessions: what the server held in memory is gone with it; ");
    write_on_loss(out, pool);
}

char *hf_config_recovery_text(const struct hf_config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    for (unsigned i = 0; i < config->pool_count; i++) {
        const struct hf_pool *pool = &config->pools[i];
        fprintf(out, "pool %s, %u server%s: when one fails, at worst\n", pool->name,
                pool->server_count, pool->server_count == 1 ? "" : "s");
        if (pool->server_count == 1)
            fprintf(out, "  there is no other server to go to: requests fail until it is back\n");
        write_refused(out, pool);
        write_reset(out, pool);
        write_hang(out, config, pool);
        write_passive(out, config, pool);
        write_limits(out, pool);
        write_sessions(out, pool);
        write_return(out, pool);
    }
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (!failed)
        return text;
    free(text);
    return NULL;
}
