/* docs/configuration.md against the schema: a section for each mapping, a row for each key, and in
 * the row what the schema says of type, default and bounds. Nothing missing, nothing invented. */
#include "config/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/schema_testing.h"

enum { REFERENCE_MAX = 256 * 1024, ROW_MAX = 1024 };

static char reference[REFERENCE_MAX];

static int read_reference(void **state)
{
    (void)state;
    FILE *file = fopen(HF_SOURCE_ROOT "/docs/configuration.md", "r");
    if (file == NULL)
        return -1;
    size_t size = fread(reference, 1, sizeof(reference) - 1, file);
    reference[size] = '\0';
    return fclose(file);
}

static void add(char *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *out, const char *format, ...)
{
    size_t used = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, ROW_MAX - used, format, arguments);
    va_end(arguments);
}

static void add_words(char *out, const struct hf_schema *schema, const struct hf_key *key)
{
    for (const struct hf_word *word = key->words; word->word != NULL; word++) {
        bool later = !hf_unsupported_find(schema->path, key->key, NULL) &&
                     hf_unsupported_find(schema->path, key->key, word->word);
        add(out, "%s`%s`%s", word == key->words ? "" : ", ", word->word, later ? " *not yet*" : "");
    }
}

static bool is_time(const struct hf_key *key) /* or a mapping that describes times */
{
    return strncmp(key->type->word, "time", strlen("time")) == 0;
}

static void add_bounds(char *out, const struct hf_key *key)
{
    char low[HF_TYPE_TEXT_MAX], high[HF_TYPE_TEXT_MAX];
    if (is_time(key) || key->type == &hf_type_size) {
        void (*format)(uint64_t, char *) = is_time(key) ? hf_type_format_time : hf_type_format_size;
        format(key->low, low);
        format(key->high, high);
        add(out, "%s to %s", low, high);
        return;
    }
    const char *unit = key->type == &hf_type_percent ? "%" : "";
    add(out, "%llu%s to %llu%s", (unsigned long long)key->low, unit, (unsigned long long)key->high,
        unit);
}

static bool is_list(const struct hf_key *key)
{
    return key->item != NULL || key->type == &hf_type_mappings;
}

/* What may be written, besides what the type says. */
static void add_values(char *out, const struct hf_schema *schema, const struct hf_key *key)
{
    bool is_number = key->type == &hf_type_number;
    if (key->words != NULL)
        add_words(out, schema, key);
    if (key->words != NULL && is_number)
        add(out, ", ");
    if (is_number || key->type == &hf_type_percent || key->type == &hf_type_size ||
        key->type == &hf_type_ratio || is_time(key))
        add_bounds(out, key);
    else if (is_list(key))
        add(out, "%sat most %llu", key->words ? "; " : "", (unsigned long long)key->high);
    else if (key->high != 0)
        add(out, "at most %llu byte%s", (unsigned long long)key->high, key->high == 1 ? "" : "s");
    else if (key->type == &hf_type_boolean)
        add(out, "`true`%s, `false`",
            hf_unsupported_find(schema->path, key->key, "true") ? " *not yet*" : "");
}

/* "| `key` | type | default | values | ": how its row has to start. */
static void row_start(const struct hf_schema *schema, const struct hf_key *key, char *out)
{
    const char *fallback = key->required ? "required" : key->fallback ? key->fallback : "none";
    bool literal = key->fallback != NULL && (fallback[0] == '[' || strchr(fallback, ' ') == NULL);
    out[0] = '\0';
    add(out, "| `%s` | %s", key->key, key->type->word);
    if (key->item != NULL)
        add(out, " of %s", key->item->word);
    add(out, " | %s%s%s | ", literal ? "`" : "", fallback, literal ? "`" : "");
    add_values(out, schema, key);
    add(out, " | ");
    if (hf_unsupported_find(schema->path, key->key, NULL))
        add(out, "*Not yet.* ");
}

/* The section headed `path`, up to the next heading; NULL when there is none. */
static const char *section(const char *path, size_t *ret_size)
{
    char heading[128];
    snprintf(heading, sizeof(heading), "# `%s`\n", path);
    const char *start = strstr(reference, heading);
    if (start == NULL)
        return NULL;
    start += strlen(heading);
    const char *end = strstr(start, "\n#");
    *ret_size = end ? (size_t)(end - start) : strlen(start);
    return start;
}

/* The rest of a line of the text that starts so, or NULL. */
static const char *find_row(const char *text, size_t size, const char *start)
{
    const char *row = strstr(text, start);
    return row != NULL && row < text + size && row[-1] == '\n' ? row + strlen(start) : NULL;
}

static unsigned count_rows(const char *text, size_t size)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, "\n| `")) != NULL && at < text + size; at++)
        count++;
    return count;
}

static unsigned missing_of(const struct hf_schema *schema)
{
    unsigned missing = 0;
    size_t size = 0;
    const char *text = section(schema->path, &size);
    if (text == NULL) {
        print_error("no section: ### `%s`\n", schema->path);
        text = "";
        missing++;
    }
    for (unsigned i = 0; i < schema->key_count; i++) {
        char start[ROW_MAX];
        row_start(schema, &schema->keys[i], start);
        const char *meaning = find_row(text, size, start);
        if (meaning != NULL && *meaning != '|' && *meaning != '\n')
            continue;
        print_error("%s: no row: %s\n", schema->path, start);
        missing++;
    }
    unsigned rows = count_rows(text, size);
    if (rows > schema->key_count) {
        print_error("%s: %u rows for %u keys\n", schema->path, rows, schema->key_count);
        missing++;
    }
    return missing;
}

static void every_key_of_the_schema_is_documented_as_it_is(void **state)
{
    (void)state;
    unsigned missing = 0;
    hf_schema_collect_all();
    assert_true(schema_count > 20);
    for (unsigned i = 0; i < schema_count; i++)
        missing += missing_of(schemas[i]);
    assert_int_equal(missing, 0);
}

static void every_documented_mapping_is_in_the_schema(void **state)
{
    (void)state;
    for (const char *at = reference; (at = strstr(at, "\n### `")) != NULL;) {
        at += strlen("\n### `");
        size_t size = strcspn(at, "`");
        bool found = false;
        for (unsigned i = 0; i < schema_count; i++)
            found |= strlen(schemas[i]->path) == size && memcmp(schemas[i]->path, at, size) == 0;
        if (!found)
            print_error("not in the schema: %.*s\n", (int)size, at);
        assert_true(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_the_schema_is_documented_as_it_is),
        cmocka_unit_test(every_documented_mapping_is_in_the_schema),
    };
    return cmocka_run_group_tests(tests, read_reference, NULL);
}
