#include "upstream/pool.h"

#include "base/assert.h"
#include "base/slab.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { HF_UPSTREAM_POOL_MAGIC = 0x55504f31 };

struct hf_upstream_pool {
    uint32_t magic;
    bool ending;                    /* freed: goes with its last connection */
    struct hf_loop *loop;           /* borrowed */
    struct hf_buffer_pool *buffers; /* borrowed */
    struct hf_slab conns;
    struct hf_list idle; /* all idle ones by age_node, oldest first */
    unsigned idle_count;
    struct hf_timer sweep;
    struct {
        struct hf_list idle; /* by node, newest first */
        unsigned idle_count;
    } servers[HF_SERVERS_MAX]; /* by slot: an idle connection holds its server, so no slot is used
                                  again while it has one */
};

static struct hf_upstream_conn *of_event(struct hf_event *event)
{
    struct hf_conn *conn = hf_container_of(event, struct hf_conn, event);
    return hf_container_of(conn, struct hf_upstream_conn, conn);
}

static bool is_idle(const struct hf_upstream_conn *conn)
{
    return conn->busy_ready == NULL;
}

static void take_out(struct hf_upstream_pool *pool, struct hf_upstream_conn *conn)
{
    unsigned slot = conn->server->slot;
    REQUIRE(is_idle(conn) && pool->idle_count > 0 && pool->servers[slot].idle_count > 0);
    hf_list_remove(&conn->node);
    hf_list_remove(&conn->age_node);
    pool->servers[slot].idle_count--;
    pool->idle_count--;
}

/* The connection is in no list. */
static void shut(struct hf_upstream_conn *conn, bool reset)
{
    REQUIRE(hf_list_empty(&conn->node) && conn->conn.event.fd >= 0);
    /* relaxed: a gauge */
    atomic_fetch_sub_explicit(&conn->server->connections, 1, memory_order_relaxed);
    if (reset)
        hf_conn_reset(&conn->conn);
    else
        hf_conn_close(&conn->conn);
}

static void shut_idle(struct hf_upstream_conn *conn)
{
    take_out(conn->pool, conn);
    shut(conn, false);
}

static void free_when_empty(struct hf_upstream_pool *pool)
{
    if (!pool->ending || pool->conns.live_count > 0)
        return;
    hf_slab_fini(&pool->conns);
    pool->magic = 0;
    free(pool);
}

static void on_closed(struct hf_event *event)
{
    struct hf_upstream_conn *conn = of_event(event);
    struct hf_upstream_pool *pool = conn->pool;
    hf_server_unref(&conn->server);
    hf_slab_release(&pool->conns, &conn);
    free_when_empty(pool);
}

static void on_ready(struct hf_event *event, unsigned ready)
{
    struct hf_upstream_conn *conn = of_event(event);
    if (!is_idle(conn)) {
        conn->busy_ready(event, ready);
        return;
    }
    hf_conn_note_ready(&conn->conn, ready);
    /* Writable alone is the last request leaving the socket's buffer. */
    if (ready & (HF_READABLE | HF_PEER_CLOSED | HF_BROKEN))
        shut_idle(conn);
}

static struct hf_upstream_conn *oldest(const struct hf_upstream_pool *pool)
{
    if (hf_list_empty(&pool->idle))
        return NULL;
    return hf_container_of(pool->idle.next, struct hf_upstream_conn, age_node);
}

static void arm_sweep(struct hf_upstream_pool *pool)
{
    const struct hf_upstream_conn *conn = oldest(pool);
    if (conn != NULL)
        hf_timer_set(hf_loop_timers(pool->loop), &pool->sweep,
                     conn->idle_since_ms + HF_KEEP_IDLE_MS);
}

static void on_sweep(struct hf_timer *timer)
{
    struct hf_upstream_pool *pool = hf_container_of(timer, struct hf_upstream_pool, sweep);
    uint64_t now_ms = hf_loop_now_ms(pool->loop);
    struct hf_upstream_conn *conn = oldest(pool);
    while (conn != NULL && now_ms >= conn->idle_since_ms + HF_KEEP_IDLE_MS) {
        shut_idle(conn);
        conn = oldest(pool);
    }
    arm_sweep(pool);
}

int hf_upstream_pool_new(struct hf_loop *loop, struct hf_buffer_pool *buffers, size_t conns_max,
                         struct hf_upstream_pool **ret_pool)
{
    REQUIRE(loop != NULL && buffers != NULL && ret_pool != NULL);
    struct hf_upstream_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return -ENOMEM;
    pool->magic = HF_UPSTREAM_POOL_MAGIC;
    pool->loop = loop;
    pool->buffers = buffers;
    pool->sweep.expired = on_sweep;
    hf_slab_init(&pool->conns, "upstream connections", sizeof(struct hf_upstream_conn), conns_max);
    hf_list_init(&pool->idle);
    for (unsigned i = 0; i < HF_SERVERS_MAX; i++)
        hf_list_init(&pool->servers[i].idle);
    *ret_pool = pool;
    return 0;
}

void hf_upstream_pool_free(struct hf_upstream_pool **pool_pointer)
{
    struct hf_upstream_pool *pool = *pool_pointer;
    if (pool == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(pool, HF_UPSTREAM_POOL_MAGIC) && !pool->ending);
    *pool_pointer = NULL;
    hf_upstream_close_idle(pool, NULL);
    hf_timer_cancel(hf_loop_timers(pool->loop), &pool->sweep);
    pool->ending = true;
    free_when_empty(pool);
}

struct hf_upstream_conn *hf_upstream_take(struct hf_upstream_pool *pool,
                                          const struct hf_pool_server *target, hf_ready_fn ready,
                                          void *user)
{
    REQUIRE(HF_MAGIC_OK(pool, HF_UPSTREAM_POOL_MAGIC) && ready != NULL);
    struct hf_list *idle = &pool->servers[target->server->slot].idle;
    while (!hf_list_empty(idle)) {
        struct hf_upstream_conn *conn = hf_container_of(idle->next, struct hf_upstream_conn, node);
        REQUIRE(conn->server == target->server);
        if (!hf_address_equal(&conn->address, &target->address)) {
            shut_idle(conn);
            continue;
        }
        take_out(pool, conn);
        conn->busy_ready = ready;
        conn->user = user;
        conn->uses++;
        hf_count(&conn->server->shards[conn->shard].counts[HF_SERVER_REUSES]);
        return conn;
    }
    return NULL;
}

int hf_upstream_connect(struct hf_upstream_pool *pool, const struct hf_pool_server *target,
                        unsigned shard, hf_ready_fn ready, void *user,
                        struct hf_upstream_conn **ret_conn)
{
    REQUIRE(HF_MAGIC_OK(pool, HF_UPSTREAM_POOL_MAGIC) && !pool->ending && ready != NULL);
    REQUIRE(shard < target->server->shard_count);
    struct hf_upstream_conn *conn = hf_slab_acquire(&pool->conns);
    if (conn == NULL)
        return -ENOBUFS;
    *conn = (struct hf_upstream_conn){.pool = pool,
                                      .address = target->address,
                                      .user = user,
                                      .busy_ready = ready,
                                      .uses = 1,
                                      .shard = shard};
    int result = hf_connect_start(&target->address);
    if (result < 0)
        goto out;
    int fd = result;
    result = hf_conn_open(&conn->conn, pool->loop, pool->buffers, fd, on_ready, on_closed);
    if (result < 0) {
        close(fd);
        goto out;
    }
    hf_list_init(&conn->node);
    hf_list_init(&conn->age_node);
    conn->server = hf_server_ref(target->server);
    /* relaxed: a gauge */
    atomic_fetch_add_explicit(&conn->server->connections, 1, memory_order_relaxed);
    hf_count(&conn->server->shards[shard].counts[HF_SERVER_CONNECTS]);
    *ret_conn = conn;
    return 0;
out:
    hf_slab_release(&pool->conns, &conn);
    return result;
}

bool hf_upstream_alive(const struct hf_upstream_conn *conn)
{
    if (conn->conn.peer_closed || conn->conn.broken || conn->conn.in != NULL)
        return false;
    char byte;
    ssize_t got = recv(conn->conn.event.fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Nothing is under way in either direction, and the next edge will tell when that changes. */
static bool reusable(struct hf_upstream_conn *conn)
{
    struct hf_conn *stream = &conn->conn;
    if (stream->in != NULL || stream->out != NULL || stream->peer_closed || stream->broken ||
        stream->read_ended || stream->write_ended)
        return false;
    if (!stream->can_read)
        return true;
    if (!hf_upstream_alive(conn))
        return false;
    stream->can_read = false; /* the edge is used up: the look found nothing */
    return true;
}

void hf_upstream_keep(struct hf_upstream_pool *pool, struct hf_upstream_conn **conn_pointer)
{
    struct hf_upstream_conn *conn = *conn_pointer;
    REQUIRE(HF_MAGIC_OK(pool, HF_UPSTREAM_POOL_MAGIC) && conn->pool == pool && !is_idle(conn));
    unsigned slot = conn->server->slot;
    if (pool->servers[slot].idle_count >= HF_KEEP_PER_SERVER_MAX || !reusable(conn)) {
        hf_upstream_close(pool, conn_pointer, false);
        return;
    }
    *conn_pointer = NULL;
    conn->busy_ready = NULL;
    conn->user = NULL;
    conn->idle_since_ms = hf_loop_now_ms(pool->loop);
    hf_list_push_front(&pool->servers[slot].idle, &conn->node);
    hf_list_push_back(&pool->idle, &conn->age_node);
    pool->servers[slot].idle_count++;
    pool->idle_count++;
    if (!hf_timer_armed(&pool->sweep))
        arm_sweep(pool);
}

void hf_upstream_close(struct hf_upstream_pool *pool, struct hf_upstream_conn **conn_pointer,
                       bool reset)
{
    struct hf_upstream_conn *conn = *conn_pointer;
    REQUIRE(HF_MAGIC_OK(pool, HF_UPSTREAM_POOL_MAGIC) && conn->pool == pool && !is_idle(conn));
    *conn_pointer = NULL;
    shut(conn, reset);
}

void hf_upstream_close_idle(struct hf_upstream_pool *pool, const struct hf_server *server)
{
    REQUIRE(HF_MAGIC_OK(pool, HF_UPSTREAM_POOL_MAGIC));
    HF_LIST_EACH(&pool->idle, node)
    {
        struct hf_upstream_conn *conn = hf_container_of(node, struct hf_upstream_conn, age_node);
        if (server == NULL || conn->server == server)
            shut_idle(conn);
    }
}

unsigned hf_upstream_idle_count(const struct hf_upstream_pool *pool)
{
    REQUIRE(HF_MAGIC_OK(pool, HF_UPSTREAM_POOL_MAGIC));
    return pool->idle_count;
}
