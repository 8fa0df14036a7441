/* Message content on an HTTP/1 connection: taking it out of its framing and putting it into one.
 * Shared by the client and the server side. Threads: the worker's. Layer: proxy. */
#pragma once
#include "proxy/client.h"

enum { HF_CONTENT_RECEIVE_MAX = 32 * 1024 /* bytes a receive; so a staged run always fits */ };

void hf_content_start(struct hf_content *content, enum hf_body body, uint64_t length);
/* The next run of content, received from conn when its input holds none; borrowed until
 * hf_content_consume. MOVED, WAIT, END, GONE (closed too early, broken, no buffer), BAD. */
enum hf_flow hf_content_read(struct hf_content *content, struct hf_conn *conn,
                             struct hf_slice *ret_piece);
/* Drops the run that was handed out. */
void hf_content_consume(struct hf_content *content, struct hf_conn *conn);
/* Stages or sends content, as it is or as one chunk; takes all of it.
 * False: the connection is broken or there is no buffer. */
bool hf_content_write(struct hf_conn *conn, enum hf_body framing, struct hf_slice piece);
bool hf_content_write_end(struct hf_conn *conn, enum hf_body framing);
/* END when nothing staged is left, WAIT, GONE. */
enum hf_flow hf_content_flush(struct hf_conn *conn);
