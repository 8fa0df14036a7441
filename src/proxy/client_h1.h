/* HTTP/1 towards clients: heads in, one exchange at a time, pipelining, keep-alive, tunnels.
 * Threads: the worker's. Layer: proxy. */
#pragma once
#include "proxy/client.h"
#include <netinet/in.h>

enum {
    HF_CLIENT_H1_MAGIC = 0x43484831,
    HF_LINGER_MS = 2000,          /* a refused client may still read its answer */
    HF_LINGER_BYTES = 256 * 1024, /* and send that much into the void */
    HF_DRAIN_FRESH_MS = 500,      /* a new connection may still bring a request at a drain */
    HF_PIPELINE_BURST = 32,       /* requests of one client in a turn */
};

enum hf_client_phase {
    HF_CLIENT_IDLE, /* between requests */
    HF_CLIENT_HEAD, /* a head is coming */
    HF_CLIENT_BUSY, /* an exchange runs */
    HF_CLIENT_TUNNEL,
    HF_CLIENT_LINGER, /* answered and shut down: reading until the client closes */
    HF_CLIENT_CLOSED,
};

struct hf_client_h1 {
    struct hf_conn conn; /* first: the loop hands it back */
    uint32_t magic;
    uint8_t phase; /* enum hf_client_phase */
    bool had_request;
    struct hf_worker *worker;        /* borrowed */
    struct hf_exchange *exchange;    /* owned; HEAD and BUSY */
    struct hf_upstream_conn *tunnel; /* lent; TUNNEL */
    struct hf_server *tunnel_server; /* counted; TUNNEL: its active count includes us */
    struct hf_list node;             /* worker->client_list */
    struct hf_timer timer;           /* idle, head, linger, tunnel */
    struct hf_http1_parser parser;
    uint32_t lingered; /* bytes */
    uint64_t tunnel_moved_ms;
    struct hf_address peer;
    char peer_ip[INET6_ADDRSTRLEN]; /* text */
    uint8_t peer_ip_size;
};

/* Takes over an accepted socket. */
void hf_client_h1_accept(struct hf_worker *worker, int fd, const struct hf_address *peer);
/* Drain: ends it now if it is idle. force: whatever it does. */
void hf_client_h1_drain(struct hf_client_h1 *client, bool force);
/* Closes it in whatever phase; the memory goes back at the end of the turn. */
void hf_client_h1_close(struct hf_client_h1 *client, bool reset);

/* tunnel.c */
void hf_tunnel_start(struct hf_exchange *x);
void hf_tunnel_run(struct hf_client_h1 *client);
void hf_tunnel_expired(struct hf_client_h1 *client);
/* Gives the server connection and its counts back. */
void hf_tunnel_end(struct hf_client_h1 *client);
