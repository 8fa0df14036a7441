#include "proto/store_url.h"

struct scheme {
    struct hf_slice text;
    uint8_t kind, hosts_max;
};

static const struct scheme schemes[] = {
    {{"redis://", 8}, HF_STORE_URL_REDIS, 1},
    {{"redis+sentinel://", 17}, HF_STORE_URL_SENTINEL, HF_STORE_URL_HOSTS_MAX},
    {{"redis+cluster://", 16}, HF_STORE_URL_CLUSTER, HF_STORE_URL_HOSTS_MAX},
    {{"memcached://", 12}, HF_STORE_URL_MEMCACHED, 1},
};

/* Up to `byte`, which is dropped, or all of it. True: it was there. */
static bool split(struct hf_slice *rest, char byte, struct hf_slice *ret_head)
{
    const char *found = rest->size > 0 ? memchr(rest->bytes, byte, rest->size) : NULL;
    size_t size = found ? (size_t)(found - rest->bytes) : rest->size;
    *ret_head = hf_slice(rest->bytes, size);
    size_t dropped = found ? size + 1 : size;
    *rest = hf_slice(rest->bytes + dropped, rest->size - dropped);
    return found != NULL;
}

static const char *read_database(struct hf_slice text, struct hf_store_url *url)
{
    uint64_t number;
    if (text.size == 0)
        return NULL;
    if (!hf_slice_to_u64(text, &number) || number > HF_STORE_URL_DATABASE_MAX)
        return "has a database that is no number";
    url->database = (uint32_t)number;
    return NULL;
}

static const char *read_socket(struct hf_slice rest, struct hf_store_url *url)
{
    struct hf_slice path;
    bool more = split(&rest, '?', &path);
    if (path.size < 2)
        return "names neither an address nor the path of a socket";
    url->path = path;
    if (!more)
        return NULL;
    if (url->kind != HF_STORE_URL_REDIS || !hf_slice_starts(rest, HF_SLICE("db=")))
        return "has something behind the path that is not understood";
    return read_database(hf_slice(rest.bytes + 3, rest.size - 3), url);
}

static const char *read_hosts(struct hf_slice list, unsigned hosts_max, struct hf_store_url *url)
{
    bool more = true;
    while (more) {
        struct hf_slice host;
        more = split(&list, ',', &host);
        if (url->host_count == hosts_max)
            return hosts_max == 1 ? "names more than one address" : "names too many addresses";
        if (host.size == 0 || memchr(host.bytes, ':', host.size) == NULL)
            return "has an address without a port";
        url->hosts[url->host_count++] = host;
    }
    return NULL;
}

/* What stands behind the addresses. */
static const char *read_path(struct hf_slice path, struct hf_store_url *url)
{
    struct hf_slice database = {0};
    switch ((enum hf_store_url_kind)url->kind) {
    case HF_STORE_URL_REDIS:
        return read_database(path, url);
    case HF_STORE_URL_SENTINEL:
        if (split(&path, '/', &url->master))
            database = path;
        return url->master.size == 0 ? "names no master" : read_database(database, url);
    case HF_STORE_URL_CLUSTER:
    case HF_STORE_URL_MEMCACHED:
    case HF_STORE_URL_KINDS:
        break;
    }
    return path.size > 0 ? "has something behind the address that is not understood" : NULL;
}

static const char *read_rest(struct hf_slice rest, unsigned hosts_max, struct hf_store_url *url)
{
    struct hf_slice authority, user;
    if (rest.size > 0 && rest.bytes[0] == '/' && hosts_max == 1)
        return read_socket(rest, url);
    split(&rest, '/', &authority);
    struct hf_slice hosts = authority;
    if (split(&hosts, '@', &user)) {
        if (url->kind == HF_STORE_URL_MEMCACHED)
            return "has a user, and memcached knows none";
        if (memchr(user.bytes, ':', user.size) != NULL)
            return "has a password in it, which must stand in a file (password_file)";
        url->user = user;
    } else {
        hosts = authority;
    }
    const char *wrong = read_hosts(hosts, hosts_max, url);
    return wrong ? wrong : read_path(rest, url);
}

const char *hf_store_url_parse(struct hf_slice text, struct hf_store_url *ret_url)
{
    *ret_url = (struct hf_store_url){0};
    for (size_t i = 0; i < text.size; i++)
        if (text.bytes[i] <= ' ' || text.bytes[i] == 0x7f)
            return "has a blank in it";
    for (unsigned i = 0; i < HF_STORE_URL_KINDS; i++) {
        struct hf_slice scheme = schemes[i].text;
        if (!hf_slice_starts(text, scheme))
            continue;
        ret_url->kind = schemes[i].kind;
        struct hf_slice rest = hf_slice(text.bytes + scheme.size, text.size - scheme.size);
        return read_rest(rest, schemes[i].hosts_max, ret_url);
    }
    return "begins with none of redis://, redis+sentinel://, redis+cluster:// and memcached://";
}
