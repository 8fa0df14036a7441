/* How each command is carried out. */
#include "agent/redis/resp_client.h"
#include "base/assert.h"

#define ONCE(id, prepare, answer)                                                                  \
    [HF_RESP_COMMAND_##id] = {hf_resp_go_once, hf_resp_prepare_##prepare, hf_resp_answer_##answer}
#define EACH(id, prepare)                                                                          \
    [HF_RESP_COMMAND_##id] = {hf_resp_go_each, hf_resp_prepare_##prepare, hf_resp_answer_count}
#define GO(id, go) [HF_RESP_COMMAND_##id] = {hf_resp_go_##go, NULL, NULL}

static const struct hf_resp_row rows[HF_RESP_COMMANDS] = {
    ONCE(GET, get, value),
    ONCE(SET, set, set),
    ONCE(SETEX, setex, set),
    ONCE(PSETEX, setex, set),
    ONCE(SETNX, setnx, setnx),
    ONCE(GETEX, getex, value),
    ONCE(GETDEL, getdel, value),
    ONCE(TTL, look, ttl),
    ONCE(PTTL, look, pttl),
    ONCE(TYPE, look, type),
    ONCE(EXPIRE, expire, done),
    ONCE(PEXPIRE, expire, done),
    ONCE(EXPIREAT, expire, done),
    ONCE(PEXPIREAT, expire, done),
    ONCE(PERSIST, persist, done),
    EACH(DEL, delete),
    EACH(UNLINK, delete),
    EACH(EXISTS, look),
    EACH(TOUCH, look),
    GO(MGET, mget),
    GO(RENAME, rename),
    GO(RENAMENX, rename),
    ONCE(HGET, hget, hget),
    ONCE(HMGET, hget, hmget),
    ONCE(HGETALL, hall, hgetall),
    ONCE(HKEYS, hall, hkeys),
    ONCE(HVALS, hall, hvals),
    ONCE(HLEN, look, hlen),
    ONCE(HEXISTS, hget, hexists),
    ONCE(HSET, hset, hset),
    ONCE(HMSET, hset, hmset),
    ONCE(HSETNX, hsetnx, hset),
    ONCE(HDEL, hdel, hdel),
    ONCE(HINCRBY, hincrby, hincrby),
    GO(MULTI, multi),
    GO(EXEC, exec),
    GO(DISCARD, discard),
    GO(WATCH, watch),
    GO(UNWATCH, unwatch),
    GO(EVAL, eval),
    GO(EVALSHA, eval),
    GO(SCRIPT, script),
    GO(SCAN, scan),
    GO(KEYS, keys),
    GO(DBSIZE, dbsize),
    GO(FLUSHDB, flush),
    GO(FLUSHALL, flush),
    GO(TIME, time),
    GO(CONFIG, config),
    GO(COMMAND, command),
    GO(INFO, info),
    GO(PING, ping),
    GO(ECHO, echo),
    GO(AUTH, auth),
    GO(HELLO, hello),
    GO(CLIENT, client),
    GO(SELECT, select),
    GO(QUIT, quit),
    GO(RESET, reset),
};

const struct hf_resp_row *hf_resp_row_of(enum hf_resp_command_id id)
{
    REQUIRE(id > HF_RESP_COMMAND_NONE && id < HF_RESP_COMMANDS && rows[id].go != NULL);
    return &rows[id];
}
