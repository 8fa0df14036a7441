#include "store/pattern.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>

enum { NO_ROW = 0xffff, FIRST_BYTES = 256, EMPTY_PREFIX = FIRST_BYTES };

static const struct hf_slice marker = {"{id}", 4};

struct hf_pattern_row {
    struct hf_slice prefix, suffix; /* into the pattern's text */
    uint16_t next;                  /* the next best row with the same first byte */
    bool satellite;
    enum hf_pattern_tomb tomb;
};

struct hf_pattern_table {
    unsigned count;
    uint16_t first[FIRST_BYTES + 1]; /* best row by the prefix's first byte; last: no prefix */
    struct hf_pattern_row rows[HF_PATTERNS_MAX]; /* best first */
};

#define VALUE(text, tomb)                                                                          \
    {                                                                                              \
        {text, sizeof(text) - 1}, false, HF_PATTERN_TOMB_##tomb                                    \
    }
#define SATELLITE(text)                                                                            \
    {                                                                                              \
        {text, sizeof(text) - 1}, true, HF_PATTERN_TOMB_MISS                                       \
    }

/* Whether a stack uses an id again after its session was deleted, decides MISS or STRICT. */
static const struct hf_pattern builtin[] = {
    VALUE("PHPREDIS_SESSION:{id}", MISS), /* php-redis */
    SATELLITE("PHPREDIS_SESSION:{id}_LOCK"),
    VALUE("PHPREDIS_CLUSTER_SESSION:{id}", MISS),
    VALUE("memc.sess.key.{id}", MISS), /* php-memcached */
    SATELLITE("memc.sess.key.lock.{id}"),
    VALUE("sess:{id}", STRICT), /* connect-redis, Fastify */
    VALUE("koa:sess:{id}", STRICT),
    VALUE(":1:django.contrib.sessions.cache{id}", STRICT),
    VALUE("session:{id}", STRICT),      /* Flask-Session */
    VALUE("rack:session:{id}", STRICT), /* Rack: redis-rack, dalli */
    VALUE("_session_id:{id}", STRICT),  /* Rails' cache store */
    VALUE("laravel_database_laravel_cache_:{id}", MISS),
    VALUE("sf_s{id}", MISS),        /* Symfony on Redis */
    VALUE("sf2s{id}", MISS),        /* Symfony on memcached */
    VALUE("ci_session:{id}", MISS), /* CodeIgniter 4 */
    SATELLITE("ci_session:{id}:lock"),
    VALUE("sess_{id}", MISS),    /* Magento */
    VALUE("session_{id}", MISS), /* gorilla redistore */
    VALUE("scs:session:{id}", STRICT),
    VALUE("spring:session:sessions:{id}", STRICT),
    SATELLITE("spring:session:sessions:expires:{id}"),
    VALUE("redisson:tomcat_session:{id}", STRICT),
    SATELLITE("redisson:tomcat_notified_nodes:{id}"),
    SATELLITE("lock:{id}"), /* memcached-session-manager; its value is the id alone */
    SATELLITE("validity:{id}"),
    SATELLITE("bak:{id}"),
    SATELLITE("bak:validity:{id}"),
};

const struct hf_pattern *hf_pattern_builtin(unsigned *ret_count)
{
    *ret_count = sizeof(builtin) / sizeof(builtin[0]);
    return builtin;
}

static const char *find_marker(struct hf_slice text)
{
    return text.size == 0 ? NULL : memmem(text.bytes, text.size, marker.bytes, marker.size);
}

const char *hf_pattern_check(struct hf_slice text)
{
    const char *at = find_marker(text);
    if (at == NULL)
        return "has no {id}";
    if (text.size > HF_PATTERN_TEXT_MAX)
        return "is longer than 255 bytes";
    if (text.size == marker.size)
        return "has nothing beside {id}; keys without a pattern are ids anyway";
    const char *behind = at + marker.size;
    if (find_marker(hf_slice(behind, text.size - (size_t)(behind - text.bytes))) != NULL)
        return "has more than one {id}";
    return NULL;
}

static struct hf_pattern_row row_of(const struct hf_pattern *pattern)
{
    struct hf_slice text = pattern->text;
    const char *at = find_marker(text);
    size_t prefix_size = (size_t)(at - text.bytes);
    return (struct hf_pattern_row){
        .prefix = hf_slice(text.bytes, prefix_size),
        .suffix = hf_slice(at + marker.size, text.size - prefix_size - marker.size),
        .satellite = pattern->satellite,
        .tomb = pattern->tomb,
    };
}

static bool same_text(const struct hf_pattern_row *a, const struct hf_pattern_row *b)
{
    return hf_slice_equal(a->prefix, b->prefix) && hf_slice_equal(a->suffix, b->suffix);
}

/* <0 as a is to be tried before b. */
static int compare_rows(const void *left, const void *right)
{
    const struct hf_pattern_row *a = left, *b = right;
    size_t a_size = a->prefix.size + a->suffix.size, b_size = b->prefix.size + b->suffix.size;
    if (a_size != b_size)
        return a_size > b_size ? -1 : 1;
    return (a->prefix.size < b->prefix.size) - (a->prefix.size > b->prefix.size);
}

static bool known(const struct hf_pattern_table *table, const struct hf_pattern_row *row)
{
    for (unsigned i = 0; i < table->count; i++)
        if (same_text(&table->rows[i], row))
            return true;
    return false;
}

static int add_own(struct hf_pattern_table *table, const struct hf_pattern *patterns,
                   unsigned count, unsigned *ret_bad)
{
    for (unsigned i = 0; i < count; i++) {
        *ret_bad = i;
        if (hf_pattern_check(patterns[i].text) != NULL)
            return -EINVAL;
        struct hf_pattern_row row = row_of(&patterns[i]);
        if (known(table, &row))
            return -EEXIST;
        if (table->count == HF_PATTERNS_MAX)
            return -E2BIG;
        table->rows[table->count++] = row;
    }
    return 0;
}

static int add_builtin(struct hf_pattern_table *table)
{
    for (unsigned i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++) {
        struct hf_pattern_row row = row_of(&builtin[i]);
        if (known(table, &row))
            continue;
        if (table->count == HF_PATTERNS_MAX)
            return -E2BIG;
        table->rows[table->count++] = row;
    }
    return 0;
}

static void link_rows(struct hf_pattern_table *table)
{
    qsort(table->rows, table->count, sizeof(table->rows[0]), compare_rows);
    for (unsigned i = 0; i <= FIRST_BYTES; i++)
        table->first[i] = NO_ROW;
    for (unsigned i = table->count; i-- > 0;) {
        struct hf_pattern_row *row = &table->rows[i];
        unsigned place =
            row->prefix.size > 0 ? (unsigned char)row->prefix.bytes[0] : (unsigned)EMPTY_PREFIX;
        row->next = table->first[place];
        table->first[place] = (uint16_t)i;
    }
}

int hf_pattern_table_new(const struct hf_pattern *patterns, unsigned count,
                         struct hf_pattern_table **ret_table, unsigned *ret_bad)
{
    struct hf_pattern_table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return -ENOMEM;
    int error = add_own(table, patterns, count, ret_bad);
    if (error == 0)
        error = add_builtin(table);
    if (error != 0) {
        free(table);
        return error;
    }
    link_rows(table);
    *ret_table = table;
    return 0;
}

void hf_pattern_table_free(struct hf_pattern_table **table)
{
    free(*table);
    *table = NULL;
}

static bool fits(const struct hf_pattern_row *row, struct hf_slice key)
{
    size_t literal = row->prefix.size + row->suffix.size;
    if (key.size <= literal || !hf_slice_starts(key, row->prefix))
        return false;
    struct hf_slice end = hf_slice(key.bytes + key.size - row->suffix.size, row->suffix.size);
    return hf_slice_equal(end, row->suffix);
}

/* The best row of one list that fits, of those before `below`. */
static unsigned best_of(const struct hf_pattern_table *table, unsigned place, struct hf_slice key,
                        unsigned below)
{
    for (unsigned i = table->first[place]; i < below; i = table->rows[i].next)
        if (fits(&table->rows[i], key))
            return i;
    return below;
}

void hf_pattern_match(const struct hf_pattern_table *table, struct hf_slice key,
                      struct hf_pattern_match *ret_match)
{
    *ret_match = (struct hf_pattern_match){.id = key, .prefix = hf_slice(key.bytes, 0)};
    ret_match->suffix = hf_slice(key.bytes + key.size, 0);
    if (key.size == 0)
        return;
    unsigned best = best_of(table, (unsigned char)key.bytes[0], key, NO_ROW);
    best = best_of(table, EMPTY_PREFIX, key, best);
    if (best == NO_ROW)
        return;
    const struct hf_pattern_row *row = &table->rows[best];
    size_t id_size = key.size - row->prefix.size - row->suffix.size;
    *ret_match = (struct hf_pattern_match){
        .id = hf_slice(key.bytes + row->prefix.size, id_size),
        .prefix = hf_slice(key.bytes, row->prefix.size),
        .suffix = hf_slice(key.bytes + key.size - row->suffix.size, row->suffix.size),
        .satellite = row->satellite,
        .tomb = row->tomb,
        .matched = true,
    };
}

void hf_pattern_each(const struct hf_pattern_table *table, hf_pattern_visit_fn visit, void *user)
{
    for (unsigned i = 0; i < table->count; i++)
        visit(user, table->rows[i].prefix, table->rows[i].suffix, table->rows[i].satellite);
}
