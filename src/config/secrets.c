/* Keys and tokens that stand in files of their own: reading them, and making a first cookie key. */
#include "config/loader.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/rng.h"

enum {
    SECRET_SIZE_MAX = 4096,
    KEY_TEXT_SIZE = 65, /* hex digits and a newline */
    TOKEN_SIZE_MIN = 16,
};

/* Reads a small regular file without waiting for a writer at a pipe. 0 and a NUL-terminated text
 * without trailing blanks, or negative errno: -EPERM when everyone may read it. */
static int read_secret(const char *path, char out[SECRET_SIZE_MAX + 1])
{
    struct stat status;
    /* Looked at before it is opened: to open some devices has effects. */
    if (stat(path, &status) != 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &status) != 0 ? -errno : 0;
    if (rc == 0 && !S_ISREG(status.st_mode))
        rc = -EINVAL;
    if (rc == 0 && (status.st_mode & S_IRWXO) != 0)
        rc = -EPERM;
    if (rc == 0 && status.st_size > SECRET_SIZE_MAX)
        rc = -EFBIG;
    ssize_t size = rc == 0 ? read(fd, out, SECRET_SIZE_MAX) : 0;
    if (size < 0)
        rc = -errno;
    close(fd);
    if (rc != 0)
        return rc;
    while (size > 0 && (out[size - 1] == '\n' || out[size - 1] == '\r' || out[size - 1] == ' '))
        size--;
    out[size] = '\0';
    return memchr(out, '\0', (size_t)size) != NULL ? -EILSEQ : 0;
}

/* What to do about a secret that cannot be read. */
static void tell_secret(struct hf_loader *loader, unsigned line, const char *path, int rc,
                        const char *make)
{
    if (rc == -EPERM)
        hf_loader_tell(loader, line, "'%s' can be read by everyone: chmod 600 it", path);
    else if (rc == -EINVAL)
        hf_loader_tell(loader, line, "'%s' is no regular file: name one", path);
    else if (rc == -EILSEQ)
        hf_loader_tell(loader, line, "'%s' has a zero byte in it: write text alone", path);
    else if (rc == -EFBIG)
        hf_loader_tell(loader, line, "'%s' is larger than a secret (%d bytes): name another", path,
                       SECRET_SIZE_MAX);
    else
        hf_loader_tell(loader, line, "'%s' cannot be read (%s): %s", path, strerror(-rc), make);
}

/* One word of at least size_min characters, owned; NULL after a mistake. */
static char *load_word(struct hf_loader *loader, const char *file, unsigned line, size_t size_min,
                       const char *noun)
{
    char text[SECRET_SIZE_MAX + 1] = "";
    char *word = NULL;
    char *path = hf_loader_path(loader, file);
    if (path == NULL)
        return NULL;
    int rc = read_secret(path, text);
    bool printable = true;
    for (const char *byte = text; *byte != '\0'; byte++)
        printable &= *byte > 0x20 && *byte < 0x7f;
    if (rc != 0)
        tell_secret(loader, line, path, rc, "write a long random word into it, with mode 600");
    else if (strlen(text) < size_min)
        hf_loader_tell(loader, line,
                       "the %s in '%s' is shorter than %zu characters: write a longer one", noun,
                       path, size_min);
    else if (!printable)
        hf_loader_tell(loader, line,
                       "the %s in '%s' has blanks or bytes that are not ASCII: write one word",
                       noun, path);
    else
        word = hf_loader_copy(loader, text);
    explicit_bzero(text, sizeof(text));
    free(path);
    return word;
}

static void load_token(struct hf_loader *loader)
{
    const struct hf_yaml *admin = hf_yaml_get(loader->root, "admin");
    loader->config->admin_token =
        load_word(loader, loader->admin_token_file, hf_yaml_line(admin, "token_file"),
                  TOKEN_SIZE_MIN, "token");
}

static int read_key(const char *path, uint8_t bytes[HF_TOKEN_KEY_SIZE])
{
    char text[SECRET_SIZE_MAX + 1];
    int rc = read_secret(path, text);
    if (rc == 0 && hf_token_key_parse(hf_slice_text(text), bytes) != 0)
        rc = -EBADMSG;
    explicit_bzero(text, sizeof(text));
    return rc;
}

/* noun: what a key is for, with its article. */
static void tell_key(struct hf_loader *loader, unsigned line, const char *path, int rc,
                     const char *noun)
{
    if (rc == -EBADMSG)
        hf_loader_tell(loader, line,
                       "'%s' is no %s: write 64 hex digits, as `holdfast "
                       "keygen` prints",
                       path, noun);
    else
        tell_secret(loader, line, path, rc, "make one with `holdfast keygen`");
}

static void load_peer_key(struct hf_loader *loader, unsigned line,
                          struct hf_agent_replication *replication)
{
    _Static_assert((int)HF_TOKEN_KEY_SIZE == (int)HF_AGENT_KEY_SIZE, "keys of one form");
    char *path = hf_loader_path(loader, loader->agent.peer_key_file);
    if (path == NULL)
        return;
    int rc = read_key(path, replication->key);
    replication->has_key = rc == 0;
    if (rc != 0)
        tell_key(loader, line, path, rc, "peer key");
    free(path);
}

void hf_secrets_load_agent(struct hf_loader *loader, struct hf_agent_config *config)
{
    const struct hf_agent_draft *draft = &loader->agent;
    const struct hf_yaml *admin = hf_yaml_get(loader->root, "admin");
    const struct hf_yaml *agent = hf_yaml_get(loader->root, "agent");
    if (draft->admin_token_file != NULL)
        config->process->admin_token =
            load_word(loader, draft->admin_token_file, hf_yaml_line(admin, "token_file"),
                      TOKEN_SIZE_MIN, "token");
    if (draft->password_file != NULL)
        config->password = load_word(loader, draft->password_file,
                                     hf_yaml_line(agent, "password_file"), 1, "password");
    if (draft->external_password_file != NULL && config->external.url != NULL)
        config->external.password =
            load_word(loader, draft->external_password_file,
                      hf_yaml_line(hf_yaml_get(agent, "external"), "password_file"), 1, "password");
    if (config->replication.on && draft->peer_key_file != NULL)
        load_peer_key(loader, hf_yaml_line(agent, "peer_key_file"), &config->replication);
}

static void load_configured(struct hf_loader *loader)
{
    struct hf_config *config = loader->config;
    for (unsigned i = 0; i < loader->key_count; i++) {
        const struct hf_key_draft *draft = &loader->keys[i];
        struct hf_token_key *key = &config->cookie_keys[config->cookie_key_count++];
        if (draft->file == NULL || draft->id == 0)
            continue;
        key->id = (uint8_t)draft->id;
        for (unsigned j = 0; j < i; j++) {
            if (loader->keys[j].id == draft->id)
                hf_loader_tell(loader, hf_yaml_line(draft->node, "id"),
                               "two cookie keys have the id %u (the other on line %u): give each "
                               "its own",
                               draft->id, loader->keys[j].node->line);
        }
        char *path = hf_loader_path(loader, draft->file);
        if (path == NULL)
            return;
        int rc = read_key(path, key->bytes);
        if (rc != 0)
            tell_key(loader, hf_yaml_line(draft->node, "file"), path, rc, "cookie key");
        free(path);
    }
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, text, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        text += done;
        size -= (size_t)done;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

/* A key of another process that was faster wins: link(2) never replaces, rename(2) would. */
static int make_key(const char *folder, const char *path)
{
    uint8_t bytes[HF_TOKEN_KEY_SIZE];
    char text[KEY_TEXT_SIZE + 1], *temporary = NULL;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return -errno;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        return -ENOMEM;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        int rc = -errno;
        free(temporary);
        return rc;
    }
    hf_random_bytes(bytes, sizeof(bytes));
    hf_token_key_format(bytes, text);
    text[KEY_TEXT_SIZE - 1] = '\n';
    int rc = write_all(fd, text, KEY_TEXT_SIZE);
    explicit_bzero(bytes, sizeof(bytes));
    explicit_bzero(text, sizeof(text));
    close(fd);
    if (rc == 0 && link(temporary, path) != 0 && errno != EEXIST)
        rc = -errno;
    unlink(temporary);
    free(temporary);
    int folder_fd = rc == 0 ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder_fd >= 0) {
        fsync(folder_fd); /* best effort: some file systems cannot sync a folder */
        close(folder_fd);
    }
    return rc;
}

static bool cookie_inserted(const struct hf_config *config)
{
    for (unsigned p = 0; p < config->pool_count; p++) {
        for (unsigned i = 0; i < config->pools[p].affinity_count; i++) {
            if (config->pools[p].affinities[i].kind == HF_AFFINITY_COOKIE_INSERT)
                return true;
        }
    }
    return false;
}

/* Reads the key in state_dir, made first when there is none and one may be made. */
static int read_generated(struct hf_loader *loader, const char *path, struct hf_token_key *key)
{
    int rc = read_key(path, key->bytes);
    if (rc != -ENOENT || !loader->generate_keys || loader->report->count > 0)
        return rc;
    rc = make_key(loader->config->state_dir, path);
    return rc == 0 ? read_key(path, key->bytes) : rc;
}

static void load_generated(struct hf_loader *loader)
{
    struct hf_config *config = loader->config;
    const struct hf_yaml *state_dir = hf_yaml_get(loader->root, "state_dir");
    unsigned line = state_dir ? state_dir->line : 0;
    struct hf_token_key key = {.id = 1};
    char *path = NULL;
    if (config->state_dir == NULL || asprintf(&path, "%s/cookie-1.key", config->state_dir) < 0) {
        loader->out_of_memory = true;
        return;
    }
    int rc = read_generated(loader, path, &key);
    if (rc == 0)
        config->cookie_keys[config->cookie_key_count++] = key;
    else if (rc == -EBADMSG || rc == -EPERM || rc == -EINVAL || rc == -EFBIG)
        tell_key(loader, line, path, rc, "cookie key");
    else if (loader->generate_keys && loader->report->count == 0)
        /* A mere check is excused: it may run as another user, before the proxy ever ran. */
        hf_loader_tell(loader, line,
                       "there are no cookie_keys, and one cannot be made in '%s' (%s): set "
                       "state_dir to a folder that can be written, or write cookie_keys",
                       config->state_dir, strerror(-rc));
    explicit_bzero(&key, sizeof(key));
    free(path);
}

static bool has_agents(const struct hf_loader *loader)
{
    for (unsigned p = 0; p < loader->config->pool_count; p++)
        for (unsigned i = 0; i < loader->pools[p].server_count; i++)
            if (loader->pools[p].servers[i].agent.size != 0)
                return true;
    return false;
}

/* The agents' peer key, where it was put; without it those that have one are told nothing. */
static void load_agent_key(struct hf_loader *loader)
{
    struct hf_config *config = loader->config;
    const struct hf_yaml *state_dir = hf_yaml_get(loader->root, "state_dir");
    char *path = NULL;
    if (config->state_dir == NULL || asprintf(&path, "%s/agents.key", config->state_dir) < 0) {
        loader->out_of_memory = true;
        return;
    }
    int rc = read_key(path, config->agent_key);
    bool hidden = rc == -EACCES && !loader->generate_keys; /* a mere check, by another user */
    config->has_agent_key = rc == 0;
    if (rc != 0 && rc != -ENOENT && rc != -ENOTDIR && !hidden)
        tell_key(loader, state_dir ? state_dir->line : 0, path, rc, "peer key");
    free(path);
}

void hf_secrets_load(struct hf_loader *loader)
{
    REQUIRE(loader->config->cookie_key_count == 0);
    if (loader->unsupported > 0)
        return;
    if (loader->admin_token_file != NULL && hf_yaml_get(loader->root, "admin") != NULL)
        load_token(loader);
    if (hf_yaml_get(loader->root, "cookie_keys") != NULL)
        load_configured(loader);
    else if (cookie_inserted(loader->config))
        load_generated(loader);
    if (has_agents(loader))
        load_agent_key(loader);
}
