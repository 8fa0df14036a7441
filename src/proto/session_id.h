/* The id of a session as the application's session store knows it, read from the cookie that the
 * client brings. What stands beside the id in the cookie (a signature, a route, an encoding) is
 * taken off, nothing is verified: who forges a cookie gets another order of servers, and the
 * application refuses it as ever. Pure; never sees a key of the store, whose prefix the agent takes
 * off itself. Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>

/* One row: enum, word in the configuration. What a value looks like, and its id:
 *   PLAIN          ID
 *   EXPRESS        s:ID.SIGNATURE, as cookie-signature writes it: up to the last dot
 *   RACK           ID, of which stores know "2::" and the SHA-256 in hex (Rack's private id)
 *   BASE64         base64 of ID or ID.ROUTE, in either alphabet, with padding or not (Spring)
 *   ROUTE_SUFFIX   ID.ROUTE: up to the first dot, as there may be several routes */
#define HF_SESSION_FORMATS(ROW)                                                                    \
    ROW(PLAIN, "plain")                                                                            \
    ROW(EXPRESS, "express")                                                                        \
    ROW(RACK, "rack")                                                                              \
    ROW(BASE64, "base64")                                                                          \
    ROW(ROUTE_SUFFIX, "route_suffix")

enum hf_session_format {
#define HF_SESSION_FORMAT_ENUM(id, word) HF_SESSION_##id,
    HF_SESSION_FORMATS(HF_SESSION_FORMAT_ENUM)
#undef HF_SESSION_FORMAT_ENUM
        HF_SESSION_FORMAT_COUNT
};

enum { HF_SESSION_ID_MAX = 1024 }; /* bytes of a cookie's value; a longer one has no id */

struct hf_session_id {
    size_t size; /* 1..HF_SESSION_ID_MAX */
    char bytes[HF_SESSION_ID_MAX];
};

/* value: of the cookie, as sent. Quotes around it and percent-encoding (RFC 3986 2.1) are undone
 * first; a "%" without two hex digits stands for itself. False, *ret_id undefined: it has not that
 * form, or is too long. */
bool hf_session_id_read(enum hf_session_format format, struct hf_slice value,
                        struct hf_session_id *ret_id);
