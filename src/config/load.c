#include "base/assert.h"
#include "base/log.h"
#include "config/loader.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void hf_loader_tell(struct hf_loader *loader, unsigned line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    hf_report_add_list(loader->report, line, format, arguments);
    va_end(arguments);
    loader->mistakes++;
}

char *hf_loader_copy(struct hf_loader *loader, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        loader->out_of_memory = true;
    return copy;
}

char *hf_loader_path(struct hf_loader *loader, const char *path)
{
    char *joined = NULL;
    if (path[0] == '/' || loader->folder == NULL)
        return hf_loader_copy(loader, path);
    if (asprintf(&joined, "%s/%s", loader->folder, path) < 0) {
        loader->out_of_memory = true;
        return NULL;
    }
    return joined;
}

bool hf_loader_is_local(const struct hf_address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    if (address->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
    return address->any.sa_family == AF_UNIX;
}

bool hf_loader_lacks_port(const struct hf_address *address)
{
    if (address->any.sa_family == AF_INET)
        return address->v4.sin_port == 0;
    return address->any.sa_family == AF_INET6 && address->v6.sin6_port == 0;
}

/* "etc/holdfast.yaml" -> "etc"; NULL when the file stands in the working folder. */
static char *folder_of(struct hf_loader *loader, const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash ? hf_loader_copy(loader, file) : NULL;
    if (folder != NULL)
        folder[slash == file ? 1 : slash - file] = '\0';
    return folder;
}

void hf_loader_init(struct hf_loader *loader, const char *file, struct hf_config_report *report)
{
    *report = (struct hf_config_report){0};
    *loader = (struct hf_loader){.report = report, .file = file};
    loader->folder = folder_of(loader, file);
}

void hf_loader_fini(struct hf_loader *loader)
{
    for (unsigned i = 0; loader->pools != NULL && i < HF_POOLS_MAX; i++)
        free(loader->pools[i].servers);
    free(loader->pools);
    free(loader->routes);
    free(loader->folder);
    hf_config_unref(&loader->config);
}

static int read_descriptor(int fd, char **ret_text, size_t *ret_size)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    char *text = malloc(HF_CONFIG_FILE_MAX + 1);
    if (text == NULL)
        return -ENOMEM;
    size_t size = 0;
    while (size <= HF_CONFIG_FILE_MAX) {
        ssize_t got = read(fd, text + size, HF_CONFIG_FILE_MAX + 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int rc = -errno;
            free(text);
            return rc;
        }
        if (got == 0)
            break;
        size += (size_t)got;
    }
    if (size > HF_CONFIG_FILE_MAX) {
        free(text);
        return -EFBIG;
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}

/* Reads the whole file, or tells why it cannot. */
int hf_loader_read_file(const char *file, struct hf_config_report *report, char **ret_text,
                        size_t *ret_size)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : read_descriptor(fd, ret_text, ret_size);
    if (fd >= 0)
        close(fd);
    if (rc == -EFBIG)
        hf_report_add(report, 0, "the file is larger than %d MiB: split it",
                      HF_CONFIG_FILE_MAX >> 20);
    else if (rc != 0)
        hf_report_add(report, 0, "cannot be read (%s): name a file that can", strerror(-rc));
    return rc;
}

static bool root_is_mapping(struct hf_loader *loader, const struct hf_yaml_file *yaml)
{
    if (yaml->count == 0) {
        hf_loader_tell(loader, 0, "the file is empty: write at least listeners and pools");
        return false;
    }
    loader->root = yaml->documents[0];
    if (loader->root->kind == HF_YAML_MAPPING)
        return true;
    hf_loader_tell(loader, loader->root->line,
                   "the file is %s: write keys and values, such as listeners: and pools:",
                   hf_yaml_kind_word(loader->root));
    return false;
}

static void read_agent(struct hf_loader *loader, const struct hf_yaml *node)
{
    loader->agent = (struct hf_agent_draft){
        .backups = 1, .memory = HF_AGENT_MEMORY_DEFAULT, .log_level = HF_LOG_INFO};
    loader->root = node;
    hf_schema_read(loader, &hf_schema_agent, node, &loader->agent);
}

/* A file may carry agents' documents behind the proxy's: they are validated with it. */
static void read_agents(struct hf_loader *loader, const struct hf_yaml_file *yaml, unsigned from)
{
    for (unsigned i = from; i < yaml->count; i++) {
        const struct hf_yaml *node = yaml->documents[i];
        if (hf_yaml_get(node, "agent") != NULL)
            read_agent(loader, node);
        else
            hf_loader_tell(loader, node->line,
                           "another document without 'agent': only agents' documents may follow "
                           "the proxy's; join the others into one");
    }
}

static void build(struct hf_loader *loader, const struct hf_yaml_file *yaml)
{
    struct hf_config *config = loader->config;
    if (!root_is_mapping(loader, yaml))
        return;
    if (hf_yaml_get(loader->root, "agent") != NULL) {
        hf_loader_tell(loader, hf_yaml_line(loader->root, "agent"),
                       "this is an agent's file: give the proxy one with listeners and pools");
        return;
    }
    config->workers = 0; /* auto */
    config->file = hf_loader_copy(loader, loader->file);
    hf_schema_read(loader, &hf_schema_proxy, loader->root, config);
    hf_finish_general(loader);
    hf_finish_pools(loader);
    hf_finish_affinity(loader);
    hf_finish_strategies(loader);
    hf_finish_sessions(loader);
    hf_finish_routes(loader);
    hf_finish_cookies(loader);
    const struct hf_yaml *root = loader->root;
    read_agents(loader, yaml, 1);
    loader->root = root;
    hf_secrets_load(loader);
    if (loader->report->count == 0 && !loader->out_of_memory)
        hf_finish_servers(loader);
}

int hf_loader_finish(struct hf_loader *loader, int rc)
{
    struct hf_config_report *report = loader->report;
    if (rc == -ENOMEM || loader->out_of_memory) {
        hf_report_add(report, 0, "out of memory: free some, or shorten the file");
        rc = -ENOMEM;
    }
    hf_report_sort(report);
    if (rc == 0 && report->count > 0)
        rc = -EINVAL;
    REQUIRE((rc == 0) == (report->count == 0));
    return rc;
}

int hf_config_load_text(struct hf_slice text, const char *name, bool generate_keys,
                        struct hf_config **ret_config, struct hf_config_report *report)
{
    struct hf_yaml_file yaml = {0};
    struct hf_loader loader;
    hf_loader_init(&loader, name, report);
    loader.generate_keys = generate_keys;
    loader.config = hf_config_new();
    int rc = loader.config ? 0 : -ENOMEM;
    if (rc == 0)
        rc = hf_yaml_parse(text, report, &yaml);
    if (rc == 0)
        build(&loader, &yaml);
    rc = hf_loader_finish(&loader, rc);
    if (rc == 0) {
        *ret_config = loader.config;
        loader.config = NULL;
    }
    hf_loader_fini(&loader);
    hf_yaml_fini(&yaml);
    return rc;
}

int hf_config_load(const char *file, bool generate_keys, struct hf_config **ret_config,
                   struct hf_config_report *report)
{
    char *text = NULL;
    size_t size = 0;
    *report = (struct hf_config_report){0};
    int rc = hf_loader_read_file(file, report, &text, &size);
    if (rc != 0)
        return rc;
    rc = hf_config_load_text(hf_slice(text, size), file, generate_keys, ret_config, report);
    free(text);
    return rc;
}

/* The agents' documents of a file; the number of the first, or yaml->count after a mistake. Alone a
 * document must be an agent's; behind a proxy's, which is not looked at, it may. */
static unsigned read_agents_only(struct hf_loader *loader, const struct hf_yaml_file *yaml)
{
    if (!root_is_mapping(loader, yaml))
        return yaml->count;
    unsigned from = yaml->count > 1 && hf_yaml_get(yaml->documents[0], "agent") == NULL;
    if (from == 0 && hf_yaml_get(yaml->documents[0], "agent") == NULL) {
        hf_loader_tell(loader, yaml->documents[0]->line,
                       "no 'agent' in the file: write agent: {redis: 127.0.0.1:6380}");
        return yaml->count;
    }
    read_agents(loader, yaml, from);
    return from;
}

int hf_config_check_agent_text(struct hf_slice text, const char *name,
                               struct hf_config_report *report)
{
    struct hf_yaml_file yaml = {0};
    struct hf_loader loader;
    hf_loader_init(&loader, name, report);
    int rc = hf_yaml_parse(text, report, &yaml);
    if (rc == 0)
        (void)read_agents_only(&loader, &yaml);
    rc = hf_loader_finish(&loader, rc);
    hf_loader_fini(&loader);
    hf_yaml_fini(&yaml);
    return rc;
}

static struct hf_agent_config *build_agent(struct hf_loader *loader,
                                           const struct hf_yaml_file *yaml)
{
    unsigned from = read_agents_only(loader, yaml);
    if (from + 1 < yaml->count)
        hf_loader_tell(loader, yaml->documents[from + 1]->line,
                       "a second agent in the file: give each its own file");
    return from < yaml->count ? hf_finish_agent(loader) : NULL;
}

int hf_config_load_agent_text(struct hf_slice text, const char *name,
                              struct hf_agent_config **ret_config, struct hf_config_report *report)
{
    struct hf_yaml_file yaml = {0};
    struct hf_loader loader;
    struct hf_agent_config *config = NULL;
    hf_loader_init(&loader, name, report);
    int rc = hf_yaml_parse(text, report, &yaml);
    if (rc == 0)
        config = build_agent(&loader, &yaml);
    rc = hf_loader_finish(&loader, rc);
    hf_loader_fini(&loader);
    hf_yaml_fini(&yaml);
    if (rc == 0)
        *ret_config = config;
    else
        hf_agent_config_free(&config);
    return rc;
}

int hf_config_load_agent(const char *file, struct hf_agent_config **ret_config,
                         struct hf_config_report *report)
{
    char *text = NULL;
    size_t size = 0;
    *report = (struct hf_config_report){0};
    int rc = hf_loader_read_file(file, report, &text, &size);
    if (rc != 0)
        return rc;
    rc = hf_config_load_agent_text(hf_slice(text, size), file, ret_config, report);
    free(text);
    return rc;
}
