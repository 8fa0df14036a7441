#include "affinity/header/header.h"
#include "affinity/path_param/path_param.h"
#include "affinity/query/query.h"
#include "fuzz.h"

/* Input: a name, a zero, a request target. Whatever is found as a key lies within the target,
 * stands behind "NAME=", and ends where its reader says that values end. */

static void check(struct hf_slice target, struct hf_slice name, struct hf_slice key,
                  const char *before, const char *ends)
{
    const char *target_end = target.bytes + target.size, *key_end = key.bytes + key.size;
    REQUIRE(key.size > 0 && key.bytes >= target.bytes && key_end <= target_end);
    REQUIRE((size_t)(key.bytes - target.bytes) >= name.size + 2);
    const char *start = key.bytes - name.size - 1;
    REQUIRE(memcmp(start, name.bytes, name.size) == 0 && key.bytes[-1] == '=');
    REQUIRE(strchr(before, start[-1]) != NULL && start[-1] != '\0');
    REQUIRE(key_end == target_end || (strchr(ends, *key_end) != NULL && *key_end != '\0'));
    for (size_t i = 0; i < key.size; i++)
        REQUIRE(key.bytes[i] == '\0' || strchr(ends, key.bytes[i]) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 0 ? memchr(data, '\0', size) : NULL;
    if (zero == NULL || zero == data || size > UINT16_MAX)
        return 0;
    size_t name_size = (size_t)(zero - data), target_size = size - name_size - 1;
    if (strpbrk((const char *)data, " \"#&/;<=>?\\") != NULL) /* configuration refuses those */
        return 0;
    char *name_bytes = fuzz_copy(data, name_size);
    char *target_bytes = fuzz_copy(zero + 1, target_size);
    struct hf_slice name = hf_slice(name_bytes, name_size), key = {0};
    struct hf_slice target = hf_slice(target_bytes, target_size);
    struct hf_head head = {.base = target_bytes,
                           .path = {.offset = 0, .size = (uint32_t)target_size}};
    if (hf_query_key(&head, name, &key) == HF_KEY_FOUND)
        check(target, name, key, "?&", "&");
    if (hf_path_param_key(&head, name, &key) == HF_KEY_FOUND) {
        check(target, name, key, ";", ";/?");
        REQUIRE(memchr(target.bytes, '?', (size_t)(key.bytes - target.bytes)) == NULL);
    }
    REQUIRE(hf_header_key(&head, name, &key) == HF_KEY_NONE);
    free(name_bytes);
    free(target_bytes);
    return 0;
}
