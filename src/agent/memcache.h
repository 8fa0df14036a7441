/* The memcached front end: what a connection of a memcached client is to the agent. It parses
 * (proto/memcache.h), has the operations done (sessions.h, through front.h) and answers; all three
 * dialects, and a connection decides for text and meta, or binary, with its first byte.
 *
 * Never: touches a socket or a store, keeps anything of a session. Beside a connection's state it
 * has one table for all connections, of recache tokens (memcache_tokens.h).
 * Source: memcached 1.6 doc/protocol.txt; docs/agent-protocols.md says where it differs and why.
 * Threads: the agent's loop thread. Layer: agent. */
#pragma once
#include "agent/front.h"

enum {
    /* An empty value that is added for ever is a placeholder: php-memcached makes one to take an
     * id, and leaves it behind when it takes another one. It lives this long. */
    HF_MEMCACHE_PLACEHOLDER_MS = 60 * 60 * 1000,
    HF_MEMCACHE_UNKNOWN_VALUE_MAX = 512, /* bytes of a value before the client is known */
};

/* What "version" says: clients take features from it, and one reads it up to the line's end. */
#define HF_MEMCACHE_VERSION_TEXT "1.6.38"

extern const struct hf_front hf_memcache_front;
