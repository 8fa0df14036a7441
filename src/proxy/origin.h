/* The server side of an exchange: all that a step may ask of it (HTTP/1: origin_h1.c).
 * Never decides; says what the server did. Threads: the worker's. Layer: proxy. */
#pragma once
#include "proxy/client.h"

enum hf_origin_head { /* what hf_origin_read_head found */
                      HF_ORIGIN_WAIT,
                      HF_ORIGIN_HEAD,   /* x->response is filled, its bytes stay until
                                           hf_origin_head_done */
                      HF_ORIGIN_CLOSED, /* closed or reset before a byte of an answer */
                      HF_ORIGIN_CUT,    /* closed within a head */
                      HF_ORIGIN_BAD,    /* malformed; counted by reason */
                      HF_ORIGIN_FULL,   /* no buffer */
};

/* The event function of a lent connection. */
void hf_origin_ready(struct hf_event *event, unsigned ready);
/* Stages the request head. False: it does not fit. */
bool hf_origin_write_head(struct hf_exchange *x, const struct hf_outgoing *outgoing);
/* As of a client side. */
bool hf_origin_write_content(struct hf_exchange *x, struct hf_slice piece);
bool hf_origin_write_end(struct hf_exchange *x);
enum hf_flow hf_origin_flush(struct hf_exchange *x);
enum hf_origin_head hf_origin_read_head(struct hf_exchange *x);
/* The head was used: drops its bytes, sets up x->down for its content. */
void hf_origin_head_done(struct hf_exchange *x);
enum hf_flow hf_origin_read_content(struct hf_exchange *x, struct hf_slice *ret_piece);
void hf_origin_consume(struct hf_exchange *x);
/* Nothing of this exchange is left on the connection, and the server keeps it open. */
bool hf_origin_reusable(const struct hf_exchange *x);
