/* For tests: agents that are nothing but links, all on one loop, and a peer played by hand over a
 * blocking socket. A node's frames carry their number, so that loss, order and content are judged.
 * Threads: one. Layer: fabric. */
#pragma once
#include "base/test.h"
#include "fabric/links/link.h"

enum {
    HF_LINKS_NODE_COUNT = 5,
    HF_LINKS_NODE_DEADLINE_MS = 10000,
    HF_LINKS_NODE_BEAT_MS = 50, /* a frame to each peer, so that links are not silent */
    HF_LINKS_NODE_FRAME_MIN = HF_WIRE_HEAD_SIZE + 8,
};

struct hf_links_node {
    struct hf_links *links; /* NULL: not running */
    unsigned ups[HF_LINKS_NODE_COUNT], downs[HF_LINKS_NODE_COUNT], gones[HF_LINKS_NODE_COUNT];
    uint64_t expected[HF_LINKS_NODE_COUNT]; /* number of the next frame from the peer */
    uint64_t sent[HF_LINKS_NODE_COUNT];     /* pulled since the link began */
    uint64_t waiting[HF_LINKS_NODE_COUNT];  /* frames to be pulled */
    size_t frame_size;                      /* of what is pulled */
    bool refuses;                           /* answers `receive` with false */
    bool quiet;                             /* sends no beats */
};

struct hf_links_nodes {
    struct hf_loop *loop;
    struct hf_rank rank;
    struct hf_address addresses[HF_LINKS_NODE_COUNT];
    struct hf_links_node nodes[HF_LINKS_NODE_COUNT];
    struct hf_timer beat, give_up;
    bool late;
};
extern struct hf_links_nodes hf_links_nodes; /* of the running test */

/* 127.0.0.1 with a port that was free just now. */
void hf_links_node_draw_address(struct hf_address *address);

int hf_links_node_set_up(void **state);
int hf_links_node_tear_down(void **state);
/* Settings of the number, on free ports of 127.0.0.1, with the key that all share. */
struct hf_links_settings hf_links_node_settings(unsigned number);
void hf_links_node_start_with(unsigned number, const struct hf_links_settings *settings);
void hf_links_node_start(unsigned number);
void hf_links_node_stop(unsigned number);
/* Turns the loop until `done` holds; fails the test when that takes too long. */
typedef bool (*hf_links_node_done_fn)(void);
void hf_links_node_until(hf_links_node_done_fn done);
/* Turns for that long. */
void hf_links_node_for(unsigned duration_ms);
void hf_links_node_send(unsigned from, unsigned to, uint64_t frames);
uint64_t hf_links_node_counted(unsigned number, enum hf_link_count row);

/* The peer played by hand: a connection to or from node 0, as node `number`. */
int hf_links_node_connect(unsigned to);
int hf_links_node_listen(unsigned number);
/* Accepts within the deadline while the loop turns. */
int hf_links_node_accept(int listening);
/* Reads one frame while the loop turns; its type, or 0 at the end of the stream. */
unsigned hf_links_node_read(int fd, struct hf_wire_message *ret_message);
void hf_links_node_write(int fd, const struct hf_wire_message *message);
struct hf_wire_message hf_links_node_hello(unsigned number, uint64_t incarnation);
/* HELLO and PROOF as the higher node does; false when the link was not granted. */
bool hf_links_node_shake(int fd, unsigned number, uint64_t incarnation);
