/* Where a running proxy's admin API is, and the token it wants. */
#include "cmd/cmd.h"
#include "cmd/ctl.h"
#include "config/config.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX = 4096 };
static const char default_base[] = "http://127.0.0.1:9900";
static const char unix_prefix[] = "unix:";

/* "unix:/path", "http://host:port/", "host:port" */
static int place_text(struct hf_ctl_place *place, const char *text)
{
    int size;
    if (strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) == 0) {
        size = snprintf(place->socket, sizeof(place->socket), "%s", text + sizeof(unix_prefix) - 1);
        snprintf(place->base, sizeof(place->base), "http://localhost");
        return (size_t)size < sizeof(place->socket) ? 0 : -ENAMETOOLONG;
    }
    size = snprintf(place->base, sizeof(place->base), "%s%s", strstr(text, "://") ? "" : "http://",
                    text);
    if (size <= 0 || (size_t)size >= sizeof(place->base))
        return -ENAMETOOLONG;
    while (size > 0 && place->base[size - 1] == '/')
        place->base[--size] = '\0';
    return 0;
}

/* A server that listens on every address is asked on the loopback one. */
static void place_address(struct hf_ctl_place *place, const struct hf_address *bind)
{
    struct hf_address address = *bind;
    char text[HF_ADDRESS_TEXT_MAX];
    if (address.any.sa_family == AF_INET && address.v4.sin_addr.s_addr == htonl(INADDR_ANY))
        address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (address.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr))
        address.v6.sin6_addr = in6addr_loopback;
    hf_address_format(&address, text);
    place_text(place, text);
}

static int place_config(struct hf_ctl_place *place, const char *file)
{
    struct hf_config_report report = {0};
    struct hf_config *config = NULL;
    int result = hf_config_load(file, false, &config, &report);
    if (result != 0) {
        const char *why = report.count > 0 ? report.messages[0].text : strerror(-result);
        fprintf(stderr, "holdfast ctl: %s:%u: %s\n", file,
                report.count > 0 ? report.messages[0].line : 0, why);
    } else if (config->admin_bind.size == 0) {
        fprintf(stderr,
                "holdfast ctl: %s: there is no admin server; write admin: {bind: "
                "127.0.0.1:9900} and start the proxy again\n",
                file);
        result = -ENOENT;
    } else {
        place_address(place, &config->admin_bind);
        place->token = config->admin_token ? strdup(config->admin_token) : NULL;
    }
    if (config)
        hf_config_unref(&config);
    hf_config_report_fini(&report);
    return result == 0 ? 0 : HF_EXIT_FAILED;
}

static int read_token(struct hf_ctl_place *place, const char *path)
{
    char text[TOKEN_MAX];
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    int error = file && ferror(file) ? EIO : errno;
    if (file)
        fclose(file);
    text[size] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0') {
        fprintf(stderr, "holdfast ctl: %s: %s; name the file of admin: token_file\n", path,
                file ? "there is no token in it" : strerror(error));
        return HF_EXIT_FAILED;
    }
    free(place->token);
    place->token = strdup(text);
    OPENSSL_cleanse(text, sizeof(text));
    return 0;
}

int hf_ctl_locate(const struct hf_ctl_source *source, struct hf_ctl_place *place,
                  struct hf_ctl_target *ret_target)
{
    *place = (struct hf_ctl_place){0};
    const char *environment = getenv("HOLDFAST_TOKEN");
    int result = place_text(place, source->admin ? source->admin : default_base);
    if (result != 0) {
        fputs("holdfast ctl: --admin is too long; write http://HOST:PORT\n", stderr);
        return HF_EXIT_USAGE;
    }
    if (source->config && !source->admin)
        result = place_config(place, source->config);
    if (result == 0 && source->token_file)
        result = read_token(place, source->token_file);
    else if (result == 0 && !place->token && environment && environment[0])
        place->token = strdup(environment);
    *ret_target = (struct hf_ctl_target){.base = place->base,
                                         .socket = place->socket[0] ? place->socket : NULL,
                                         .token = place->token};
    return result;
}

void hf_ctl_place_fini(struct hf_ctl_place *place)
{
    if (place->token)
        OPENSSL_cleanse(place->token, strlen(place->token));
    free(place->token);
    *place = (struct hf_ctl_place){0};
}
