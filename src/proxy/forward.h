/* Which fields of a message go on, and which are added: requests to servers, responses to clients.
 * Sources: RFC 9110 7.6 (intermediaries), RFC 7239 8 (who may be believed), RFC 9111 5.2.
 * Threads: the worker's. Layer: proxy. */
#pragma once
#include "proxy/exchange.h"

enum { HF_PREFIXED_COOKIES_MAX = 8 /* Set-Cookie fields of the prefixed name in one answer */ };

/* Fills *outgoing for x->request to x->target. `scratch` (borrowed, empty) takes rewritten values
 * and must stay until the head was written. False: they do not fit. */
bool hf_forward_request(const struct hf_exchange *x, struct hf_buffer *scratch,
                        struct hf_outgoing *outgoing);
/* Fills *outgoing for x->response; set_cookie: the pin's field value, empty = none. scratch: as
 * above; NULL only for an interim answer or when there is nothing to write anew: no pin, and no
 * prefixed cookie in the pool. Of a prefixed cookie the fields of x->response are marked as dropped
 * and added anew, x->prefixed tells that there was one. False: they do not fit, or are more than
 * HF_PREFIXED_COOKIES_MAX. */
bool hf_forward_response(struct hf_exchange *x, struct hf_slice set_cookie,
                         struct hf_buffer *scratch, struct hf_outgoing *outgoing);
/* Settles the client the proxy believes in: the peer, or what a trusted peer says of it. */
void hf_forward_believe(struct hf_exchange *x);
