/* Recognises a peer that speaks another protocol than the port: a browser made to send HTTP to a
 * store on loopback could smuggle commands in a body. Such a connection is closed, not answered.
 * Pure. Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"

/* Whether a first line, or its first bytes, is of HTTP: a method and a blank, a Host field, or a
 * version anywhere in it. */
bool hf_foreign_http(struct hf_slice line);
