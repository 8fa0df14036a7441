#include "base/assert.h"
#include "config/loader.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Every message ends alike, so that people learn to look there. */
static int tell_value(struct hf_loader *loader, const struct hf_key *key,
                      const struct hf_yaml *node, const char *need)
{
    hf_loader_tell(loader, node->line, "'%s' is '%.60s': %s, such as %s: %s", key->key, node->text,
                   need, key->key, key->example);
    return -EINVAL;
}

const char *hf_type_scalar(struct hf_loader *loader, const struct hf_key *key,
                           const struct hf_yaml *node)
{
    if (node->kind == HF_YAML_SCALAR && node->text[0] != '\0')
        return node->text;
    hf_loader_tell(loader, node->line, "'%s' is %s: write one value, such as %s: %s", key->key,
                   node->kind == HF_YAML_SCALAR ? "empty" : hf_yaml_kind_word(node), key->key,
                   key->example);
    return NULL;
}

static void store(const struct hf_key *key, void *field, uint64_t value)
{
    switch (key->width) {
    case 0:
        return;
    case 1:
        *(uint8_t *)field = (uint8_t)value;
        return;
    case 2:
        *(uint16_t *)field = (uint16_t)value;
        return;
    case 4:
        *(uint32_t *)field = (uint32_t)value;
        return;
    default:
        REQUIRE(key->width == 8);
        *(uint64_t *)field = value;
    }
}

static const struct hf_word *find_word(const struct hf_word *words, const char *text)
{
    for (; words != NULL && words->word != NULL; words++) {
        if (strcmp(words->word, text) == 0)
            return words;
    }
    return NULL;
}

static int read_mapping(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    if (node->kind != HF_YAML_MAPPING) {
        hf_loader_tell(loader, node->line, "'%s' is %s: write a mapping, such as %s: %s", key->key,
                       hf_yaml_kind_word(node), key->key, key->example);
        return -EINVAL;
    }
    hf_schema_read(loader, key->schema, node, field);
    return 0;
}

static int list_length(struct hf_loader *loader, const struct hf_key *key,
                       const struct hf_yaml *node)
{
    if (node->kind != HF_YAML_SEQUENCE) {
        hf_loader_tell(loader, node->line, "'%s' is %s: write a list, such as %s: %s", key->key,
                       hf_yaml_kind_word(node), key->key, key->example);
        return -EINVAL;
    }
    if (node->count < key->low) {
        hf_loader_tell(loader, node->line, "'%s' is empty: write at least one, such as %s: %s",
                       key->key, key->key, key->example);
        return -EINVAL;
    }
    if (node->count > key->high) {
        hf_loader_tell(loader, node->line, "'%s' has %u entries: at most %u are possible", key->key,
                       node->count, (unsigned)key->high);
        return -EINVAL;
    }
    return 0;
}

static int read_mappings(struct hf_loader *loader, const struct hf_key *key,
                         const struct hf_yaml *node, void *field)
{
    int rc = list_length(loader, key, node);
    if (rc != 0)
        return rc;
    unsigned index = 0;
    for (const struct hf_yaml *child = node->first; child != NULL; child = child->next, index++) {
        if (child->kind != HF_YAML_MAPPING) {
            if (child->broken)
                loader->mistakes++;
            else
                hf_loader_tell(loader, child->line,
                               "an entry of '%s' is %s: write %s as a mapping, such as %s",
                               key->key, hf_yaml_kind_word(child), key->schema->noun, key->example);
            continue;
        }
        void *target = key->place ? key->place(loader, field, child, index) : field;
        if (target != NULL)
            hf_schema_read(loader, key->schema, child, target);
    }
    return 0;
}

static int read_list(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                     void *field)
{
    int rc = list_length(loader, key, node);
    unsigned index = 0;
    for (const struct hf_yaml *child = node->first; rc == 0 && child != NULL; child = child->next) {
        if (child->broken) {
            loader->mistakes++;
            continue;
        }
        struct hf_key item = {.key = key->key, .example = key->example, .words = key->words};
        if (key->item->read(loader, &item, child, NULL) != 0)
            continue;
        if (key->place != NULL)
            key->place(loader, field, child, index++);
    }
    return rc;
}

static int read_text(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                     void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    if (text == NULL)
        return -EINVAL;
    if (key->high != 0 && strlen(text) > key->high) {
        hf_loader_tell(loader, node->line, "'%s' is longer than %u bytes: shorten it", key->key,
                       (unsigned)key->high);
        return -EINVAL;
    }
    if (key->width == sizeof(char *))
        *(const char **)field = text;
    return 0;
}

/* Names stand in URLs, logs, labels and cookies: nothing in them may need quoting. */
static int read_name(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                     void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    if (text == NULL)
        return -EINVAL;
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (text[size] != '\0')
        return tell_value(loader, key, node, "write letters, digits, '.', '_' and '-' only");
    if (size >= HF_NAME_MAX) {
        hf_loader_tell(loader, node->line, "'%s' is longer than %d bytes: shorten it", key->key,
                       HF_NAME_MAX - 1);
        return -EINVAL;
    }
    if (key->width == sizeof(char *))
        *(const char **)field = text;
    else if (key->width == HF_NAME_MAX)
        memcpy(field, text, size + 1);
    return 0;
}

static int in_range(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                    uint64_t value, void (*format)(uint64_t value, char *out))
{
    if (value >= key->low && value <= key->high)
        return 0;
    char low[HF_TYPE_TEXT_MAX], high[HF_TYPE_TEXT_MAX];
    format(key->low, low);
    format(key->high, high);
    hf_loader_tell(loader, node->line, "'%s' is %.60s, out of range: write %s to %s", key->key,
                   node->text, low, high);
    return -EINVAL;
}

static void format_number(uint64_t value, char *out)
{
    snprintf(out, HF_TYPE_TEXT_MAX, "%llu", (unsigned long long)value);
}

static void format_percent(uint64_t value, char *out)
{
    snprintf(out, HF_TYPE_TEXT_MAX, "%llu%%", (unsigned long long)value);
}

static int read_number(struct hf_loader *loader, const struct hf_key *key,
                       const struct hf_yaml *node, void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    if (text == NULL)
        return -EINVAL;
    const struct hf_word *word = find_word(key->words, text);
    uint64_t value = word ? (uint64_t)word->value : 0;
    if (word == NULL) {
        if (!hf_slice_to_u64(hf_slice_text(text), &value))
            return tell_value(loader, key, node,
                              key->words ? "write a whole number or a word"
                                         : "write a whole number");
        if (in_range(loader, key, node, value, format_number) != 0)
            return -EINVAL;
    }
    store(key, field, value);
    return 0;
}

static int read_percent(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    if (text == NULL)
        return -EINVAL;
    size_t size = strlen(text);
    uint64_t value = 0;
    if (text[size - 1] != '%' || !hf_slice_to_u64(hf_slice(text, size - 1), &value))
        return tell_value(loader, key, node, "write a whole number and a percent sign");
    if (in_range(loader, key, node, value, format_percent) != 0)
        return -EINVAL;
    store(key, field, value);
    return 0;
}

static int read_size(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                     void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    uint64_t value = 0;
    if (text == NULL)
        return -EINVAL;
    if (hf_type_parse_size(text, &value) != 0)
        return tell_value(loader, key, node,
                          "a size is a whole number and a unit (B, kB, MB, GB, KiB, MiB, GiB)");
    if (in_range(loader, key, node, value, hf_type_format_size) != 0)
        return -EINVAL;
    store(key, field, value);
    return 0;
}

static int read_time_in(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field, uint64_t unit_ms)
{
    const char *text = hf_type_scalar(loader, key, node);
    uint64_t value = 0;
    if (text == NULL)
        return -EINVAL;
    if (hf_type_parse_time(text, &value) != 0)
        return tell_value(loader, key, node,
                          "a time is a whole number and a unit (ms, s, m, h, d)");
    if (value % unit_ms != 0)
        return tell_value(loader, key, node, "write whole seconds");
    if (in_range(loader, key, node, value, hf_type_format_time) != 0)
        return -EINVAL;
    store(key, field, value / unit_ms);
    return 0;
}

static int read_time(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                     void *field)
{
    return read_time_in(loader, key, node, field, 1);
}

static int read_seconds(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    return read_time_in(loader, key, node, field, 1000);
}

static int read_boolean(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    bool value = false;
    if (text == NULL)
        return -EINVAL;
    if (hf_type_parse_boolean(text, &value) != 0)
        return tell_value(loader, key, node, "write true or false");
    store(key, field, value);
    return 0;
}

static int read_word(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                     void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    if (text == NULL)
        return -EINVAL;
    const struct hf_word *word = find_word(key->words, text);
    if (word != NULL) {
        store(key, field, (uint64_t)word->value);
        return 0;
    }
    char known[300];
    size_t size = 0, count = 0;
    for (; key->words[count].word != NULL && size < sizeof(known); count++)
        size += (size_t)snprintf(known + size, sizeof(known) - size, "%s%s", count ? " | " : "",
                                 key->words[count].word);
    const char *near = hf_report_nearest(text, &key->words[0].word, count, sizeof(key->words[0]));
    if (near != NULL)
        hf_loader_tell(loader, node->line, "'%s' is '%.60s': did you mean '%s'? Write %s", key->key,
                       text, near, known);
    else
        hf_loader_tell(loader, node->line, "'%s' is '%.60s': write %s", key->key, text, known);
    return -EINVAL;
}

static int read_address(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    struct hf_address address;
    if (text == NULL)
        return -EINVAL;
    if (hf_address_parse(hf_slice_text(text), &address) != 0)
        return tell_value(loader, key, node,
                          "write a numeric address and a port, [ADDRESS]:PORT for IPv6, or "
                          "unix:PATH");
    if (key->width == sizeof(address))
        *(struct hf_address *)field = address;
    return 0;
}

static int read_ratio(struct hf_loader *loader, const struct hf_key *key,
                      const struct hf_yaml *node, void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    if (text == NULL)
        return -EINVAL;
    char *end = NULL;
    double value = strtod(text, &end);
    bool digits = text[strspn(text, "0123456789.")] == '\0';
    if (!digits || *end != '\0' || value < (double)key->low || value > (double)key->high)
        return tell_value(loader, key, node, "write a number from 1 to 100");
    *(uint32_t *)field = (uint32_t)(value * 100 + 0.5); /* kept in percent */
    return 0;
}

const struct hf_type hf_type_mapping = {"mapping", read_mapping};
const struct hf_type hf_type_mappings = {"list of mappings", read_mappings};
const struct hf_type hf_type_list = {"list", read_list};
const struct hf_type hf_type_text = {"text", read_text};
const struct hf_type hf_type_file = {"file", read_text};
const struct hf_type hf_type_name = {"name", read_name};
const struct hf_type hf_type_number = {"number", read_number};
const struct hf_type hf_type_percent = {"percentage", read_percent};
const struct hf_type hf_type_size = {"size", read_size};
const struct hf_type hf_type_time = {"time", read_time};
const struct hf_type hf_type_seconds = {"time", read_seconds};
const struct hf_type hf_type_boolean = {"boolean", read_boolean};
const struct hf_type hf_type_word = {"choice", read_word};
const struct hf_type hf_type_address = {"address", read_address};
const struct hf_type hf_type_ratio = {"ratio", read_ratio};
