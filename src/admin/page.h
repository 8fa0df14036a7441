/* The page of GET /, made from web/status.html at build time. Threads: any. Layer: admin. */
#pragma once
#include <stddef.h>

extern const unsigned char hf_admin_page[];
extern const size_t hf_admin_page_size;
