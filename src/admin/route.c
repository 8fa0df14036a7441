#include "admin/route.h"

static const struct {
    struct hf_slice path;
    enum hf_admin_endpoint endpoint;
} fixed_paths[] = {
    {HF_SLICE("/"), HF_ADMIN_PAGE},
    {HF_SLICE("/metrics"), HF_ADMIN_METRICS},
    {HF_SLICE("/v1/status"), HF_ADMIN_STATUS},
    {HF_SLICE("/v1/servers"), HF_ADMIN_SERVERS},
};

/* The next part of a path up to a slash, and the rest behind it. */
static struct hf_slice next_part(struct hf_slice *rest)
{
    const char *slash = rest->size > 0 ? memchr(rest->bytes, '/', rest->size) : NULL;
    size_t size = slash ? (size_t)(slash - rest->bytes) : rest->size;
    struct hf_slice part = hf_slice(rest->bytes, size);
    size_t skipped = slash ? size + 1 : size;
    *rest = hf_slice(rest->bytes + skipped, rest->size - skipped);
    return part;
}

struct hf_admin_route hf_admin_route(struct hf_slice path)
{
    static const struct hf_slice prefix = HF_SLICE("/v1/servers/");
    struct hf_admin_route route = {.endpoint = HF_ADMIN_NOWHERE};
    for (size_t i = 0; i < sizeof(fixed_paths) / sizeof(fixed_paths[0]); i++)
        if (hf_slice_equal(path, fixed_paths[i].path))
            route.endpoint = fixed_paths[i].endpoint;
    if (!hf_slice_starts(path, prefix))
        return route;
    struct hf_slice rest = hf_slice(path.bytes + prefix.size, path.size - prefix.size);
    route.pool = next_part(&rest);
    route.server = next_part(&rest);
    if (route.pool.size == 0 || route.server.size == 0)
        return (struct hf_admin_route){.endpoint = HF_ADMIN_NOWHERE};
    bool whole = path.bytes[path.size - 1] != '/';
    if (rest.size == 0 && whole)
        route.endpoint = HF_ADMIN_SERVER;
    else if (hf_slice_equal(rest, HF_SLICE("state")))
        route.endpoint = HF_ADMIN_SERVER_STATE;
    return route;
}

const char *hf_admin_methods(enum hf_admin_endpoint endpoint)
{
    return endpoint == HF_ADMIN_SERVER_STATE ? "POST" : "GET, HEAD";
}
