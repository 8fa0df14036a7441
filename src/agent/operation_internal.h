/* What the files of operation.h share. Threads: any. Layer: agent. */
#pragma once
#include "agent/operation.h"

/* hf_operation_next_field of a decoded result; it was found well-formed. */
bool hf_operation_next_encoded(const struct hf_operation_result *result,
                               struct hf_operation_cursor *cursor,
                               struct hf_operation_field *ret_field);
