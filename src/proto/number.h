/* Numbers as the protocols of stores write them. Pure. Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"

/* Decimal with an optional "-" and nothing else: no "+", no blank, no leading zero, no "-0"; the
 * one spelling that Redis takes for a number. False on anything else, and on overflow. */
bool hf_number_parse_i64(struct hf_slice text, int64_t *ret_number);
