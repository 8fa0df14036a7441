/* Routes: references to pools, patterns, and what can never be reached. */
#include "config/loader.h"
#include "proto/uri.h"
#include <ctype.h>
#include <stdlib.h>

static struct hf_pool *find_pool(struct hf_loader *loader, const char *name, unsigned line)
{
    struct hf_config *config = loader->config;
    const char *names[HF_POOLS_MAX] = {NULL};
    for (unsigned i = 0; i < config->pool_count; i++) {
        if (strcmp(config->pools[i].name, name) == 0)
            return &config->pools[i];
        names[i] = config->pools[i].name;
    }
    const char *near = hf_report_nearest(name, names, config->pool_count, sizeof(names[0]));
    if (near != NULL)
        hf_loader_tell(loader, line, "there is no pool '%s': did you mean '%s'?", name, near);
    else if (config->pool_count > 0) /* else their absence was told */
        hf_loader_tell(loader, line, "there is no pool '%s': write the name of one, such as '%s'",
                       name, names[0]);
    return NULL;
}

static bool host_is_good(const char *host)
{
    if (strncmp(host, "*.", 2) == 0)
        host += 2;
    if (host[0] == '[') /* an IPv6 literal keeps its brackets, RFC 3986 3.2.2 */
        return host[strcspn(host, "]")] == ']' && host[strcspn(host, "]") + 1] == '\0';
    size_t size = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    return size > 0 && host[size] == '\0' && host[0] != '.' && host[size - 1] != '.';
}

static char *lower_copy(struct hf_loader *loader, const char *text)
{
    char *copy = hf_loader_copy(loader, text);
    for (char *byte = copy; byte != NULL && *byte != '\0'; byte++)
        *byte = (char)tolower((unsigned char)*byte);
    return copy;
}

static void check_host(struct hf_loader *loader, const struct hf_route_draft *draft)
{
    unsigned line = hf_yaml_line(draft->node, "host");
    const char *colon = strrchr(draft->host, ':');
    if (colon != NULL && draft->host[0] != '[')
        hf_loader_tell(loader, line,
                       "'host' is '%s': write it without scheme and port, such as "
                       "host: shop.example.com",
                       draft->host);
    else if (!host_is_good(draft->host))
        hf_loader_tell(loader, line,
                       "'host' is '%s': write a name, or *. and a name for all below "
                       "it, such as host: \"*.example.com\"",
                       draft->host);
}

static void check_path(struct hf_loader *loader, const struct hf_route_draft *draft)
{
    unsigned line = hf_yaml_line(draft->node, "path");
    char normal[HF_PATH_MAX];
    struct hf_slice path = hf_slice_text(draft->path);
    if (path.bytes[0] != '/') {
        hf_loader_tell(loader, line, "'path' is '%s': write it with a / in front", draft->path);
        return;
    }
    if (strpbrk(path.bytes, "?#* ") != NULL) {
        hf_loader_tell(loader, line,
                       "'path' is '%s': write the start of a path; queries and patterns are not "
                       "matched",
                       draft->path);
        return;
    }
    size_t size = hf_uri_normalise_path(path, normal);
    if (!hf_slice_equal(path, hf_slice(normal, size)))
        hf_loader_tell(loader, line,
                       "'path' is '%s' and would never match, as paths are compared in their "
                       "normal form: write path: %.*s",
                       draft->path, (int)size, normal);
}

/* Whether every host the second pattern matches is matched by the first. */
static bool host_covers(const char *first, const char *second)
{
    if (first == NULL)
        return true;
    if (second == NULL)
        return false;
    if (first[0] != '*')
        return strcmp(first, second) == 0;
    size_t tail = strlen(first + 1), size = strlen(second);
    if (second[0] == '*')
        return size > tail && strcmp(second + (size - tail), first + 1) == 0;
    return size > tail && strcmp(second + (size - tail), first + 1) == 0;
}

static void check_reached(struct hf_loader *loader, unsigned index)
{
    const struct hf_route *route = &loader->config->routes[index];
    for (unsigned i = 0; i < index; i++) {
        const struct hf_route *other = &loader->config->routes[i];
        if (!host_covers(other->host, route->host) ||
            !hf_uri_path_under(hf_slice_text(route->path), hf_slice_text(other->path)))
            continue;
        hf_loader_tell(loader, loader->routes[index].node->line,
                       "the route is never reached, as the one on line %u matches first: move it "
                       "up, or leave it out",
                       loader->routes[i].node->line);
        return;
    }
}

static void make_routes(struct hf_loader *loader)
{
    struct hf_config *config = loader->config;
    config->routes = calloc(loader->route_count, sizeof(*config->routes));
    if (config->routes == NULL) {
        loader->out_of_memory = true;
        return;
    }
    for (unsigned i = 0; i < loader->route_count; i++) {
        const struct hf_route_draft *draft = &loader->routes[i];
        struct hf_route *route = &config->routes[config->route_count++];
        unsigned before = loader->mistakes;
        if (draft->host != NULL)
            check_host(loader, draft);
        if (draft->path != NULL)
            check_path(loader, draft);
        route->host = draft->host ? lower_copy(loader, draft->host) : NULL;
        route->path = hf_loader_copy(loader, draft->path ? draft->path : "/");
        if (draft->pool != NULL)
            route->pool = find_pool(loader, draft->pool, hf_yaml_line(draft->node, "pool"));
        if (loader->mistakes == before && !loader->out_of_memory)
            check_reached(loader, i);
    }
}

/* Without routes the one pool that serves http gets everything. */
static void make_catch_all(struct hf_loader *loader)
{
    struct hf_config *config = loader->config;
    struct hf_pool *only = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < config->pool_count; i++) {
        if (loader->pools[i].serves_tcp)
            continue;
        only = &config->pools[i];
        count++;
    }
    if (count > 1)
        hf_loader_tell(loader, hf_yaml_line(loader->root, "pools"),
                       "%u pools and no routes: write which requests go where, such as routes: "
                       "[{path: /, pool: %s}]",
                       count, only->name[0] ? only->name : "NAME");
    if (count != 1)
        return;
    config->routes = calloc(1, sizeof(*config->routes));
    char *path = hf_loader_copy(loader, "/");
    if (config->routes == NULL || path == NULL) {
        loader->out_of_memory = true;
        free(path);
        return;
    }
    config->routes[0] = (struct hf_route){.path = path, .pool = only};
    config->route_count = 1;
}

void hf_finish_routes(struct hf_loader *loader)
{
    for (unsigned i = 0; i < loader->listener_count; i++) {
        const struct hf_listener_draft *draft = &loader->listeners[i];
        if (draft->protocol != HF_PROTOCOL_TCP || draft->pool == NULL)
            continue;
        const struct hf_pool *pool =
            find_pool(loader, draft->pool, hf_yaml_line(draft->node, "pool"));
        if (pool != NULL)
            loader->pools[pool->index].serves_tcp = true;
    }
    if (loader->route_count > 0)
        make_routes(loader);
    else if (hf_yaml_get(loader->root, "routes") == NULL || loader->mistakes == 0)
        make_catch_all(loader);
}
