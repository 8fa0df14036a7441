/* A strategy of a pool: one table of every key, and one row a strategy that says which of the keys
 * mean something to it. */
#include "base/assert.h"
#include "config/loader.h"
#include "config/schema_pool.h"
#include <errno.h>
#include <stdio.h>

enum { MINUTE = 60 * 1000, DAY = 24 * 60 * MINUTE };
#define YEARS_10 (3650ull * DAY)

// clang-format off
static const struct hf_word mode_words[] = {{"insert", HF_COOKIE_INSERT},
                                            {"prefix", HF_COOKIE_PREFIX}, {NULL, 0}};
static const struct hf_word same_site_words[] = {
    {"lax", HF_SAME_SITE_LAX}, {"strict", HF_SAME_SITE_STRICT}, {"none", HF_SAME_SITE_NONE},
    {"unset", HF_SAME_SITE_UNSET}, {NULL, 0}};
static const struct hf_word secure_words[] = {
    {"auto", HF_SECURE_AUTO}, {"always", HF_SECURE_ALWAYS}, {"never", HF_SECURE_NEVER},
    {"true", HF_SECURE_ALWAYS}, {"false", HF_SECURE_NEVER}, {NULL, 0}};
static const struct hf_word source_ip_words[] = {{"hash", HF_SOURCE_IP_HASH},
                                                 {"table", HF_SOURCE_IP_TABLE}, {NULL, 0}};
static const struct hf_word from_words[] = {{"cookie", 0}, {"header", 1}, {NULL, 0}};
static const struct hf_word hash_words[] = {
#define HF_HASH_ROW(id, word, ...) {word, HF_HASH_##id},
#include "balance/algorithms.def"
#undef HF_HASH_ROW
    {"cookie", HF_HASH_OF_COOKIE}, {NULL, 0}};

static const struct hf_key affinity_keys[] = {
    {.key = "cookie", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, cookie),
     .high = 127, .example = "HOLDFAST"},
    {.key = "mode", .type = &hf_type_word, HF_FIELD(struct hf_affinity_draft, mode),
     .words = mode_words, .fallback = "insert", .example = "insert"},
    {.key = "idle", .type = &hf_type_seconds, HF_FIELD(struct hf_affinity_draft, idle_s),
     .low = 0, .high = YEARS_10, .fallback = "0", .example = "30m"},
    {.key = "lifetime", .type = &hf_type_seconds, HF_FIELD(struct hf_affinity_draft, lifetime_s),
     .low = 0, .high = YEARS_10, .fallback = "0", .example = "12h"},
    {.key = "max_age", .type = &hf_type_seconds, HF_FIELD(struct hf_affinity_draft, max_age_s),
     .low = 0, .high = YEARS_10, .fallback = "0", .example = "12h"},
    {.key = "same_site", .type = &hf_type_word, HF_FIELD(struct hf_affinity_draft, same_site),
     .words = same_site_words, .fallback = "lax", .example = "lax"},
    {.key = "secure", .type = &hf_type_word, HF_FIELD(struct hf_affinity_draft, secure),
     .words = secure_words, .fallback = "auto", .example = "auto"},
    {.key = "http_only", .type = &hf_type_boolean, HF_FIELD(struct hf_affinity_draft, http_only),
     .fallback = "true", .example = "true"},
    {.key = "partitioned", .type = &hf_type_boolean,
     HF_FIELD(struct hf_affinity_draft, partitioned), .fallback = "false", .example = "true"},
    {.key = "path", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, path), .high = 256,
     .fallback = "/", .example = "/"},
    {.key = "domain", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, domain),
     .high = 253, .fallback = "the host alone", .example = "example.com"},
    {.key = "hash", .type = &hf_type_word, HF_FIELD(struct hf_affinity_draft, hash),
     .words = hash_words, .example = "mod"},
    {.key = "source_ip", .type = &hf_type_word, HF_FIELD(struct hf_affinity_draft, source_ip),
     .words = source_ip_words, .example = "hash"},
    {.key = "ipv4_prefix", .type = &hf_type_number,
     HF_FIELD(struct hf_affinity_draft, ipv4_prefix), .low = 1, .high = 32, .fallback = "32",
     .example = "24"},
    {.key = "ipv6_prefix", .type = &hf_type_number,
     HF_FIELD(struct hf_affinity_draft, ipv6_prefix), .low = 1, .high = 128, .fallback = "64",
     .example = "56"},
    {.key = "learn", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, learn),
     .high = 127, .example = "JSESSIONID"},
    {.key = "from", .type = &hf_type_word, HF_FIELD(struct hf_affinity_draft, from),
     .words = from_words, .fallback = "cookie", .example = "header"},
    {.key = "header", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, header),
     .high = 127, .example = "X-Tenant"},
    {.key = "query", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, query),
     .high = 127, .example = "session"},
    {.key = "path_param", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, path_param),
     .high = 127, .example = "jsessionid"},
    {.key = "route", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, route),
     .high = 127, .example = "JSESSIONID"},
    {.key = "separator", .type = &hf_type_text, HF_FIELD(struct hf_affinity_draft, separator),
     .high = 1, .fallback = "\".\"",
     .example = "\".\""},
    {.key = "expire", .type = &hf_type_seconds, HF_FIELD(struct hf_affinity_draft, expire_s),
     .low = 1000, .high = YEARS_10, .fallback = "30m", .example = "30m"},
    {.key = "size", .type = &hf_type_number, HF_FIELD(struct hf_affinity_draft, size), .low = 1,
     .high = 1000ull * 1000 * 1000, .fallback = "1000000", .example = "10000000"},
    {.key = "bounded_load", .type = &hf_type_ratio,
     HF_FIELD(struct hf_affinity_draft, bounded_percent), .low = 1, .high = 100,
     .example = "1.25"},
};

/* The key that names a strategy, and the others it knows. */
static const struct strategy {
    const char *key;
    const char *also;           /* words between blanks */
    enum hf_affinity_kind kind; /* with a hash where there can be one */
    enum hf_affinity_kind table_kind; /* without it */
} strategies[] = {
    {"cookie", " mode hash idle lifetime max_age same_site secure http_only partitioned path "
               "domain bounded_load ", HF_AFFINITY_HASH_COOKIE, HF_AFFINITY_COOKIE_INSERT},
    {"source_ip", " hash ipv4_prefix ipv6_prefix expire size bounded_load ", HF_AFFINITY_SOURCE_IP,
     HF_AFFINITY_SOURCE_IP_TABLE},
    {"learn", " from expire size ", HF_AFFINITY_LEARN, HF_AFFINITY_LEARN},
    {"header", " hash expire size bounded_load ", HF_AFFINITY_HEADER, HF_AFFINITY_HEADER_TABLE},
    {"query", " hash expire size bounded_load ", HF_AFFINITY_QUERY, HF_AFFINITY_QUERY_TABLE},
    {"path_param", " hash expire size bounded_load ", HF_AFFINITY_PATH_PARAM,
     HF_AFFINITY_PATH_PARAM_TABLE},
    {"route", " separator ", HF_AFFINITY_ROUTE, HF_AFFINITY_ROUTE},
};
// clang-format on
enum { STRATEGY_COUNT = sizeof(strategies) / sizeof(strategies[0]) };

static bool is_named(const struct strategy *strategy)
{
    return strategy->kind == HF_AFFINITY_HEADER || strategy->kind == HF_AFFINITY_QUERY ||
           strategy->kind == HF_AFFINITY_PATH_PARAM;
}

static bool knows(const struct strategy *strategy, const char *key)
{
    char word[40];
    snprintf(word, sizeof(word), " %s ", key);
    return strcmp(strategy->key, key) == 0 || strstr(strategy->also, word) != NULL;
}

static const struct strategy *find_strategy(struct hf_loader *loader, const struct hf_yaml *node)
{
    const struct strategy *found = NULL;
    for (unsigned i = 0; i < STRATEGY_COUNT; i++) {
        if (hf_yaml_get(node, strategies[i].key) == NULL)
            continue;
        if (found != NULL) {
            hf_loader_tell(loader, hf_yaml_line(node, strategies[i].key),
                           "'%s' and '%s' in one strategy: write them as two entries of the list",
                           found->key, strategies[i].key);
            return NULL;
        }
        found = &strategies[i];
    }
    if (found == NULL)
        hf_loader_tell(loader, node->line,
                       "a strategy without a key to look for: write one of cookie, source_ip, "
                       "learn, header, query, path_param, route, such as {cookie: HOLDFAST}");
    return found;
}

/* Whether nothing but `cookie` and `mode` stands in the entry: the application's own cookie is
 * written with the application's attributes. */
static bool check_prefix(struct hf_loader *loader, const struct hf_yaml *node)
{
    for (const struct hf_yaml *child = node->first; child != NULL; child = child->next) {
        if (strcmp(child->key, "cookie") == 0 || strcmp(child->key, "mode") == 0)
            continue;
        hf_loader_tell(
            loader, child->key_line,
            "'%s' with mode: prefix: the cookie is the application's own, only its value "
            "is added to; leave '%s' out",
            child->key, child->key);
        return false;
    }
    return true;
}

/* Between id and name: nothing that ends a cookie or a path parameter, or needs quoting. */
static bool check_separator(struct hf_loader *loader, const struct hf_yaml *node,
                            const struct hf_affinity_draft *draft)
{
    if (draft->separator[0] != '\0' && strchr(".!:~_-", draft->separator[0]) != NULL)
        return true;
    hf_loader_tell(loader, hf_yaml_line(node, "separator"),
                   "'separator' is '%s': write one of . ! : ~ _ -", draft->separator);
    return false;
}

/* A hash has no attributes to write, an inserted cookie nothing to hash. */
static bool check_cookie(struct hf_loader *loader, const struct hf_yaml *node)
{
    static const char *const insert_only[] = {"mode",      "idle",   "lifetime",  "max_age",
                                              "same_site", "secure", "http_only", "partitioned",
                                              "path",      "domain"};
    const struct hf_yaml *hash = hf_yaml_get(node, "hash");
    bool good = true;
    if (hash == NULL && hf_yaml_get(node, "bounded_load") != NULL) {
        hf_loader_tell(loader, hf_yaml_line(node, "bounded_load"),
                       "'bounded_load' without 'hash': add hash: maglev, or leave it out");
        good = false;
    }
    for (unsigned i = 0; hash != NULL && i < sizeof(insert_only) / sizeof(insert_only[0]); i++) {
        const struct hf_yaml *extra = hf_yaml_get(node, insert_only[i]);
        if (extra == NULL)
            continue;
        hf_loader_tell(loader, extra->key_line,
                       "'%s' with 'hash': a hashed cookie is the application's own and is not "
                       "written; leave '%s' or 'hash' out",
                       insert_only[i], insert_only[i]);
        good = false;
    }
    return good;
}

/* Servlet containers call the path parameter like the cookie, but in lower case. */
static void name_param(struct hf_loader *loader, const struct hf_affinity_draft *draft,
                       struct hf_affinity *affinity)
{
    affinity->separator = draft->separator[0];
    affinity->param = hf_loader_copy(loader, draft->route);
    for (char *at = affinity->param; at != NULL && *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
}

#define TOKEN_BYTES                                                                                \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~" /* 9110 5.6.2  \
                                                                                     */

/* A name that no request can carry would never be found. */
static bool check_name(struct hf_loader *loader, const struct hf_yaml *node, const char *name)
{
    if (strcmp(node->key, "header") == 0 && name[strspn(name, TOKEN_BYTES)] != '\0') {
        hf_loader_tell(loader, node->line,
                       "'header' is '%.60s': write the name of a field: letters, digits and "
                       "!#$%%&'*+-.^_`|~ only",
                       name);
        return false;
    }
    if (strcmp(node->key, "header") != 0 && strpbrk(name, " \"#&/;<=>?\\") != NULL) {
        hf_loader_tell(loader, node->line,
                       "'%s' is '%.60s': write the parameter's name as it stands in a URL, "
                       "escapes included, such as %s: session",
                       node->key, name, node->key);
        return false;
    }
    return true;
}

/* What a hash needs a table has no use for, and the other way round. */
static bool check_memory(struct hf_loader *loader, const struct hf_yaml *node, const char *key,
                         bool table)
{
    static const char *const table_only[] = {"expire", "size"};
    static const char *const hash_only[] = {"hash", "bounded_load"};
    const bool by_word = strcmp(key, "source_ip") == 0;
    for (unsigned i = 0; i < 2; i++) {
        const char *word = table ? hash_only[i] : table_only[i];
        const struct hf_yaml *extra = hf_yaml_get(node, word);
        if (extra == NULL)
            continue;
        if (by_word)
            hf_loader_tell(
                loader, extra->key_line,
                "'%s' means nothing to 'source_ip: %s': leave it out, or write source_ip: %s", word,
                table ? "table" : "hash", table ? "hash" : "table");
        else if (table)
            hf_loader_tell(loader, extra->key_line,
                           "'%s' without 'hash': add hash: maglev, or leave it out", word);
        else
            hf_loader_tell(loader, extra->key_line,
                           "'%s' with 'hash': a hash remembers nothing; leave '%s' or 'hash' out",
                           word, word);
        return false;
    }
    return true;
}

static void add_strategy(struct hf_loader *loader, const struct hf_yaml *node,
                         const struct hf_affinity_draft *draft, enum hf_affinity_kind kind)
{
    struct hf_pool_draft *pool_draft = loader->pool;
    struct hf_pool *pool = &loader->config->pools[pool_draft - loader->pools];
    REQUIRE(pool->affinity_count < HF_AFFINITIES_MAX);
    pool_draft->affinity_nodes[pool->affinity_count] = node;
    struct hf_affinity *affinity = &pool->affinities[pool->affinity_count++];
    *affinity = (struct hf_affinity){
        .kind = kind,
        .secure = (enum hf_secure)draft->secure,
        .hash = draft->hash == HF_HASH_OF_COOKIE ? HF_HASH_MOD : (enum hf_hash)draft->hash,
        .bounded_percent = draft->bounded_percent,
        .idle_s = draft->idle_s,
        .lifetime_s = draft->lifetime_s,
        .ipv4_prefix = draft->ipv4_prefix,
        .ipv6_prefix = draft->ipv6_prefix,
        .learn_header = draft->from == 1,
        .expire_s = draft->expire_s,
        .table_size = draft->size};
    const char *name = draft->header  ? draft->header
                       : draft->query ? draft->query
                                      : draft->path_param;
    if (name != NULL)
        affinity->name = hf_loader_copy(loader, name);
    const char *cookie = kind == HF_AFFINITY_ROUTE   ? draft->route
                         : kind == HF_AFFINITY_LEARN ? draft->learn
                                                     : draft->cookie;
    if (cookie == NULL)
        return;
    affinity->cookie = hf_loader_copy(loader, cookie);
    if (kind == HF_AFFINITY_COOKIE_PREFIX || kind == HF_AFFINITY_ROUTE)
        affinity->attributes.name = hf_slice_text(affinity->cookie);
    if (kind == HF_AFFINITY_ROUTE)
        name_param(loader, draft, affinity);
    if (kind != HF_AFFINITY_COOKIE_INSERT)
        return;
    affinity->path = hf_loader_copy(loader, draft->path);
    affinity->domain = draft->domain ? hf_loader_copy(loader, draft->domain) : NULL;
    affinity->attributes =
        (struct hf_cookie_attributes){.name = hf_slice_text(affinity->cookie),
                                      .path = hf_slice_text(affinity->path),
                                      .domain = hf_slice_text(affinity->domain),
                                      .max_age_s = draft->max_age_s,
                                      .same_site = (enum hf_same_site)draft->same_site,
                                      .secure = draft->secure == HF_SECURE_ALWAYS,
                                      .http_only = draft->http_only,
                                      .partitioned = draft->partitioned};
}

/* Whether the strategy remembers clients; a cookie without a hash is inserted or prefixed. */
static bool has_table(const struct strategy *strategy, const struct hf_yaml *node,
                      const struct hf_affinity_draft *draft)
{
    if (strategy->kind == HF_AFFINITY_SOURCE_IP)
        return draft->source_ip == HF_SOURCE_IP_TABLE;
    return hf_yaml_get(node, "hash") == NULL;
}

/* What only strategies of one kind have to keep to. */
static bool check_kind(struct hf_loader *loader, const struct hf_yaml *node,
                       const struct strategy *strategy, enum hf_affinity_kind kind)
{
    const struct hf_yaml *named = hf_yaml_get(node, strategy->key);
    if (kind == HF_AFFINITY_COOKIE_PREFIX)
        return check_prefix(loader, node);
    if (kind == HF_AFFINITY_ROUTE)
        return check_separator(loader, node, &loader->affinity);
    bool good = !is_named(strategy) || check_name(loader, named, named->text);
    if (is_named(strategy) || strategy->kind == HF_AFFINITY_SOURCE_IP)
        good &= check_memory(loader, node, strategy->key, kind == strategy->table_kind);
    return good;
}

static void check_affinity(struct hf_loader *loader, const struct hf_yaml *node, void *target)
{
    const struct hf_affinity_draft *draft = target;
    const struct strategy *strategy = find_strategy(loader, node);
    bool good = strategy != NULL;
    for (const struct hf_yaml *child = node->first; good && child != NULL; child = child->next) {
        if (knows(strategy, child->key))
            continue;
        hf_loader_tell(loader, child->key_line, "'%s' means nothing to '%s': leave it out",
                       child->key, strategy->key);
        good = false;
    }
    const struct hf_yaml *hash = hf_yaml_get(node, "hash");
    bool is_cookie = good && strcmp(strategy->key, "cookie") == 0;
    if (good && !is_cookie && hash != NULL && draft->hash == HF_HASH_OF_COOKIE) {
        hf_loader_tell(loader, hash->line,
                       "'hash' is 'cookie' without a cookie's name: write {hash: cookie, cookie: "
                       "NAME}");
        good = false;
    }
    if (!good || (is_cookie && !check_cookie(loader, node)))
        return;
    enum hf_affinity_kind kind =
        has_table(strategy, node, draft) ? strategy->table_kind : strategy->kind;
    if (kind == HF_AFFINITY_COOKIE_INSERT && draft->mode == HF_COOKIE_PREFIX)
        kind = HF_AFFINITY_COOKIE_PREFIX;
    if (check_kind(loader, node, strategy, kind))
        add_strategy(loader, node, draft, kind);
}

const struct hf_schema hf_schema_affinity = {"pools[].affinity[]", "a strategy",
                                             HF_KEYS(affinity_keys), .check = check_affinity};

void *hf_schema_place_affinity(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                               unsigned index)
{
    (void)target, (void)node, (void)index;
    loader->affinity = (struct hf_affinity_draft){.path = "/",
                                                  .separator = ".",
                                                  .same_site = HF_SAME_SITE_LAX,
                                                  .secure = HF_SECURE_AUTO,
                                                  .http_only = true,
                                                  .ipv4_prefix = 32,
                                                  .ipv6_prefix = 64,
                                                  .expire_s = 30 * 60,
                                                  .size = 1000 * 1000};
    return &loader->affinity;
}
