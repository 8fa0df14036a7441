/* From what stands in the file to the snapshot: the parts that are not pools or routes. */
#include "base/assert.h"
#include "config/loader.h"
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static void finish_node(struct hf_config *config)
{
    char host[256] = "";
    if (config->node[0] != '\0')
        return;
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
        memcpy(host, "localhost", sizeof("localhost"));
    snprintf(config->node, sizeof(config->node), "%.*s", HF_NAME_MAX - 1, host);
}

static unsigned core_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    unsigned count = (unsigned)CPU_COUNT(&set);
    return count == 0 ? 1 : count > HF_WORKERS_MAX ? HF_WORKERS_MAX : count;
}

static void finish_admin(struct hf_loader *loader)
{
    const struct hf_yaml *admin = hf_yaml_get(loader->root, "admin");
    const struct hf_config *config = loader->config;
    if (admin == NULL || config->admin_bind.size == 0)
        return;
    if (loader->admin_token_file == NULL && !hf_loader_is_local(&config->admin_bind))
        hf_loader_tell(loader, hf_yaml_line(admin, "bind"),
                       "the admin API is not on loopback and has no token: add token_file: "
                       "/etc/holdfast/admin.token, or bind it to 127.0.0.1");
}

static void finish_log(struct hf_loader *loader)
{
    const char *access = loader->access;
    bool on = true;
    if (access == NULL || (hf_type_parse_boolean(access, &on) == 0 && !on))
        return;
    bool to_stdout = strcmp(access, "stdout") == 0 || strcmp(access, "-") == 0;
    loader->config->access_path =
        to_stdout ? hf_loader_copy(loader, "-") : hf_loader_path(loader, access);
}

static void check_listener(struct hf_loader *loader, unsigned index)
{
    const struct hf_listener_draft *draft = &loader->listeners[index];
    bool tcp = draft->protocol == HF_PROTOCOL_TCP;
    if (tcp && draft->pool == NULL)
        hf_loader_tell(loader, draft->node->line,
                       "a tcp listener has no 'pool': write pool: and the name of one");
    if (!tcp && draft->pool != NULL)
        hf_loader_tell(loader, hf_yaml_line(draft->node, "pool"),
                       "'pool' of an http listener: routes choose the pool; write it there");
    for (unsigned i = 0; i < index; i++) {
        const struct hf_listener_draft *other = &loader->listeners[i];
        if (other->name != NULL && draft->name != NULL && strcmp(other->name, draft->name) == 0)
            hf_loader_tell(loader, hf_yaml_line(draft->node, "name"),
                           "two listeners are called '%s' (the other on line %u): rename one",
                           draft->name, other->node->line);
        if (other->bind.size != 0 && draft->bind.size != 0 &&
            hf_address_equal(&other->bind, &draft->bind))
            hf_loader_tell(loader, hf_yaml_line(draft->node, "bind"),
                           "two listeners bind the same address (the other on line %u): change "
                           "one",
                           other->node->line);
    }
    if (draft->bind.size != 0 && loader->config->admin_bind.size != 0 &&
        hf_address_equal(&draft->bind, &loader->config->admin_bind))
        hf_loader_tell(loader, hf_yaml_line(draft->node, "bind"),
                       "the admin API binds the same address: change one");
}

static void finish_listeners(struct hf_loader *loader)
{
    struct hf_config *config = loader->config;
    REQUIRE(loader->listener_count <= HF_LISTENERS_MAX);
    for (unsigned i = 0; i < loader->listener_count; i++) {
        const struct hf_listener_draft *draft = &loader->listeners[i];
        check_listener(loader, i);
        struct hf_listener_config *listener = &config->listeners[config->listener_count++];
        *listener = (struct hf_listener_config){
            .bind = draft->bind,
            .protocol = (enum hf_listener_protocol)draft->protocol,
            .line = draft->node->line,
        };
        snprintf(listener->name, sizeof(listener->name), "%s", draft->name ? draft->name : "");
    }
}

void hf_finish_general(struct hf_loader *loader)
{
    struct hf_config *config = loader->config;
    const struct hf_yaml *state_dir = hf_yaml_get(loader->root, "state_dir");
    bool is_set = state_dir != NULL && state_dir->kind == HF_YAML_SCALAR && state_dir->text[0];
    finish_node(config);
    if (config->workers == 0)
        config->workers = core_count();
    config->state_dir = hf_loader_path(loader, is_set ? state_dir->text : "/var/lib/holdfast");
    finish_admin(loader);
    finish_log(loader);
    finish_listeners(loader);
}
