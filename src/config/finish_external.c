/* From `external` of an agent's file to where its store is. */
#include "config/loader.h"
#include <stdlib.h>

static void check_fronts(struct hf_loader *loader, unsigned line, uint8_t kind)
{
    const struct hf_agent_draft *draft = &loader->agent;
    bool memcached = kind == HF_STORE_URL_MEMCACHED;
    if (memcached && draft->external_password_file != NULL)
        hf_loader_tell(loader, line,
                       "memcached asks for no password: leave 'password_file' of "
                       "'external' out");
    if (memcached && draft->redis.size > 0)
        hf_loader_tell(loader, line,
                       "an agent before a memcached serves memcached alone: leave 'redis' out, or "
                       "name a redis:// store");
    if (!memcached && draft->memcached.size > 0)
        hf_loader_tell(loader, line,
                       "an agent before a Redis serves Redis alone, for there is no place for "
                       "memcached's flags: leave 'memcached' out, or name a memcached:// store");
}

static void read_addresses(struct hf_loader *loader, unsigned line, const struct hf_store_url *url,
                           struct hf_agent_external *external)
{
    if (url->host_count == 0) {
        char text[HF_ADDRESS_TEXT_MAX] = "unix:";
        size_t room = sizeof(text) - sizeof("unix:");
        size_t size = url->path.size < room ? url->path.size : room;
        memcpy(text + sizeof("unix:") - 1, url->path.bytes, size);
        struct hf_slice address = hf_slice(text, sizeof("unix:") - 1 + size);
        if (size < url->path.size || hf_address_parse(address, &external->addresses[0]) != 0)
            hf_loader_tell(loader, line, "'url' names a socket whose path is too long");
        external->address_count = 1;
    }
    for (unsigned i = 0; i < url->host_count; i++) {
        struct hf_slice host = url->hosts[i];
        struct hf_address *address = &external->addresses[external->address_count++];
        if (hf_address_parse(host, address) != 0 || hf_slice_starts(host, HF_SLICE("*")) ||
            hf_slice_starts(host, HF_SLICE("unix:")))
            hf_loader_tell(loader, line,
                           "'url' has '%.*s': write a numeric address and a port, [ADDRESS]:PORT "
                           "for IPv6: names are not looked up",
                           (int)host.size, host.bytes);
        else if (hf_loader_lacks_port(address))
            hf_loader_tell(loader, line, "'url' has port 0 in '%.*s': write the store's",
                           (int)host.size, host.bytes);
    }
}

static void check_self(struct hf_loader *loader, unsigned line,
                       const struct hf_agent_external *external)
{
    const struct hf_agent_draft *draft = &loader->agent;
    for (unsigned i = 0; i < external->address_count; i++)
        if (external->addresses[i].size > 0 &&
            (hf_address_equal(&external->addresses[i], &draft->redis) ||
             hf_address_equal(&external->addresses[i], &draft->memcached)))
            hf_loader_tell(loader, line,
                           "'url' is where this agent itself listens: write the store's address");
}

void hf_finish_external(struct hf_loader *loader, struct hf_agent_config *config)
{
    const struct hf_agent_draft *draft = &loader->agent;
    const struct hf_yaml *agent = hf_yaml_get(loader->root, "agent");
    struct hf_agent_external *external = &config->external;
    struct hf_store_url url;
    if (draft->external_url == NULL || !draft->is_external)
        return;
    unsigned line = hf_yaml_line(hf_yaml_get(agent, "external"), "url");
    external->url = hf_loader_copy(loader, draft->external_url);
    if (external->url == NULL || hf_store_url_parse(hf_slice_text(external->url), &url) != NULL)
        return; /* told when it was read */
    external->kind = url.kind;
    external->behind = draft->external_write != 0;
    external->database = url.database;
    external->user = url.user;
    external->master = url.master;
    check_fronts(loader, line, url.kind);
    read_addresses(loader, line, &url, external);
    check_self(loader, line, external);
}
