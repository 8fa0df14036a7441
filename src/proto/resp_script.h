/* The few Lua scripts that session libraries send, recognised whatever their quotes and blanks, so
 * that no Lua is needed. Tables: resp_scripts.def (what they do), resp_script_forms.def (their
 * normal form), resp_script_hashes.def (hashes of bodies that libraries send by hash first). Pure.
 * Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"

enum hf_resp_script {
    HF_RESP_SCRIPT_NONE,
#define HF_RESP_SCRIPT_ROW(id, keys, arguments) HF_RESP_SCRIPT_##id,
#include "proto/resp_scripts.def"
#undef HF_RESP_SCRIPT_ROW
    HF_RESP_SCRIPTS
};

enum {
    HF_RESP_SCRIPT_SIZE_MAX = 4096, /* bytes of a body; a longer one is not recognised */
    HF_RESP_SCRIPT_FORM_MAX = 512,  /* bytes of a normal form */
    HF_RESP_SCRIPT_HASH_SIZE = 40,
};

/* What the body of an EVAL or SCRIPT LOAD does; NONE when it is not known. */
enum hf_resp_script hf_resp_script_recognise(struct hf_slice body);
/* The same by the SHA-1 of EVALSHA, 40 hex digits of either case. Bodies that came by SCRIPT LOAD
 * or EVAL with other blanks have other hashes: remembering those is the caller's part. */
enum hf_resp_script hf_resp_script_by_hash(struct hf_slice hash);
/* Whether the script takes as many keys and arguments. */
bool hf_resp_script_fits(enum hf_resp_script script, uint32_t keys, uint32_t arguments);
/* The SHA-1 that EVALSHA will name the body by, as lower-case hex. */
void hf_resp_script_hash(struct hf_slice body, char out[HF_RESP_SCRIPT_HASH_SIZE]);
/* The normal form: comments and needless blanks gone, ' for ", command names in small letters, no
 * semicolons. Answers its size, or 0: too long, or something that is not understood. */
size_t hf_resp_script_normalise(struct hf_slice body, char out[HF_RESP_SCRIPT_FORM_MAX]);
