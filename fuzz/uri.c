#include "proto/uri.h"
#include "fuzz.h"

/* A normal form starts with "/", never grows, holds no dot segment, and is its own normal form. A
 * path parameter lies in the path, behind its name, and none is found twice. */

static void check_segments(const char *path, size_t size)
{
    REQUIRE(size > 0 && path[0] == '/' && memchr(path, ';', size) == NULL);
    for (size_t at = 0; at < size;) {
        size_t end = at + 1;
        while (end < size && path[end] != '/')
            end++;
        struct hf_slice segment = hf_slice(path + at + 1, end - at - 1);
        REQUIRE(!hf_slice_equal(segment, HF_SLICE(".")));
        REQUIRE(!hf_slice_equal(segment, HF_SLICE("..")));
        REQUIRE(segment.size > 0 || end == size);
        at = end;
    }
}

static void check_path(struct hf_slice path)
{
    size_t room = path.size > 0 ? path.size : 1;
    char *once = malloc(room);
    REQUIRE(once != NULL);
    struct hf_slice normal = hf_slice(once, hf_uri_normalise_path(path, once));
    REQUIRE(normal.size <= room);
    check_segments(once, normal.size);
    char *twice = malloc(normal.size);
    REQUIRE(twice != NULL);
    REQUIRE(hf_slice_equal(hf_slice(twice, hf_uri_normalise_path(normal, twice)), normal));
    REQUIRE(hf_uri_path_under(normal, HF_SLICE("/")) && hf_uri_path_under(normal, normal));
    free(once);
    free(twice);
}

static void check_authority(struct hf_slice authority)
{
    struct hf_slice host = hf_uri_host_only(authority);
    REQUIRE(host.size <= authority.size);
    REQUIRE(hf_slice_equal(hf_uri_host_only(host), host));
    if (!hf_uri_authority_valid(authority))
        return;
    REQUIRE(host.size > 0 && hf_uri_authority_valid(host));
    for (size_t i = 0; i < authority.size; i++)
        REQUIRE(authority.bytes[i] > ' ' && memchr("@,/\\?#%\"<>", authority.bytes[i], 10) == NULL);
}

static void check_params(struct hf_slice target)
{
    struct hf_slice value;
    const char *query = target.size > 0 ? memchr(target.bytes, '?', target.size) : NULL;
    const char *end = query != NULL ? query : target.bytes + target.size, *behind = target.bytes;
    size_t at = 0;
    while (hf_uri_next_param(target, HF_SLICE("a"), &at, &value)) {
        REQUIRE(value.bytes >= behind + 3 && memcmp(value.bytes - 3, ";a=", 3) == 0);
        behind = value.bytes + value.size;
        REQUIRE(behind <= end && at == (size_t)(behind - target.bytes));
        REQUIRE(behind == end || *behind == ';' || *behind == '/');
        REQUIRE(value.size == 0 || (memchr(value.bytes, ';', value.size) == NULL &&
                                    memchr(value.bytes, '/', value.size) == NULL));
    }
    REQUIRE(at == target.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_copy(data, size);
    check_path(hf_slice(bytes, size));
    check_authority(hf_slice(bytes, size));
    check_params(hf_slice(bytes, size));
    free(bytes);
    return 0;
}
