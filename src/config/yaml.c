#include "config/yaml.h"

#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

struct builder {
    yaml_parser_t parser;
    struct hf_slice text;
    struct hf_config_report *report;
    struct hf_yaml_file *file;
    struct hf_yaml *stack[HF_YAML_DEPTH_MAX]; /* open mappings and sequences */
    unsigned depth;
    unsigned nodes;
    const char *key; /* of the open mapping: read, its value not yet; belongs to key_node */
    unsigned key_line;
    bool key_broken;
};

static struct hf_yaml *node_new(struct builder *builder, enum hf_yaml_kind kind, unsigned line)
{
    struct hf_yaml *node = calloc(1, sizeof(*node));
    if (node == NULL)
        return NULL;
    node->kind = kind;
    node->line = line;
    node->allocated_next = builder->file->allocated;
    builder->file->allocated = node;
    return node;
}

void hf_yaml_fini(struct hf_yaml_file *file)
{
    while (file->allocated != NULL) {
        struct hf_yaml *node = file->allocated;
        file->allocated = node->allocated_next;
        free(node->text);
        free(node);
    }
    *file = (struct hf_yaml_file){0};
}

static unsigned line_of_offset(struct hf_slice text, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < offset && i < text.size; i++)
        line += text.bytes[i] == '\n';
    return line;
}

static bool line_starts_with_tab(struct hf_slice text, unsigned line)
{
    size_t at = 0;
    for (unsigned now = 1; now < line && at < text.size; at++)
        now += text.bytes[at] == '\n';
    while (at < text.size && text.bytes[at] == ' ')
        at++;
    return at < text.size && text.bytes[at] == '\t';
}

static int tell_syntax(struct builder *builder)
{
    const yaml_parser_t *parser = &builder->parser;
    struct hf_config_report *report = builder->report;
    if (parser->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (parser->error == YAML_READER_ERROR) {
        hf_report_add(report, line_of_offset(builder->text, parser->problem_offset),
                      "a byte that is not text (%s): save the file as UTF-8 without control "
                      "characters",
                      parser->problem ? parser->problem : "unreadable");
        return -EINVAL;
    }
    unsigned line = (unsigned)parser->problem_mark.line + 1;
    if (line_starts_with_tab(builder->text, line)) {
        hf_report_add(report, line, "the line is indented with a tab: write spaces");
        return -EINVAL;
    }
    hf_report_add(report, line,
                  "not valid YAML (%s%s%s): check indentation, quotes and brackets here and above",
                  parser->context ? parser->context : "", parser->context ? ", " : "",
                  parser->problem ? parser->problem : "unknown problem");
    return -EINVAL;
}

/* Takes a scalar's bytes into node->text, without ${NAME} when they are a key's. */
static int take_text(struct builder *builder, struct hf_yaml *node, const yaml_event_t *event,
                     bool is_key)
{
    const char *bytes = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    for (size_t i = 0; i < size && !node->broken; i++) {
        if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f) {
            hf_report_add(builder->report, node->line,
                          "a control character (byte 0x%02x) in a value: write it on one line of "
                          "plain text",
                          (unsigned)bytes[i]);
            node->broken = true;
        }
    }
    if (size > HF_YAML_TEXT_MAX) {
        hf_report_add(builder->report, node->line, "the value is longer than %d bytes: shorten it",
                      HF_YAML_TEXT_MAX);
        node->broken = true;
    }
    char problem[200];
    if (node->broken || is_key || strstr(bytes, "${") == NULL) {
        node->text = strdup(node->broken ? "" : bytes);
        return node->text ? 0 : -ENOMEM;
    }
    int rc = hf_yaml_expand(bytes, problem, sizeof(problem), &node->text);
    if (rc != -EINVAL)
        return rc;
    hf_report_add(builder->report, node->line, "%s", problem);
    node->broken = true;
    node->text = strdup("");
    return node->text ? 0 : -ENOMEM;
}

/* Puts a finished or opened node where it belongs: under its key, in its list, or as a document. */
static int place(struct builder *builder, struct hf_yaml *node)
{
    if (builder->depth == 0) {
        if (builder->file->count == HF_YAML_DOCUMENTS_MAX) {
            hf_report_add(builder->report, node->line,
                          "more than %d documents: split the file at '---'", HF_YAML_DOCUMENTS_MAX);
            return -EINVAL;
        }
        builder->file->documents[builder->file->count++] = node;
        return 0;
    }
    struct hf_yaml *parent = builder->stack[builder->depth - 1];
    if (parent->kind == HF_YAML_MAPPING) {
        REQUIRE(builder->key != NULL);
        node->key = builder->key;
        node->key_line = builder->key_line;
        node->key_broken = builder->key_broken;
        builder->key = NULL;
    }
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
    return 0;
}

static bool wants_key(const struct builder *builder)
{
    return builder->depth > 0 && builder->stack[builder->depth - 1]->kind == HF_YAML_MAPPING &&
           builder->key == NULL;
}

static int on_scalar(struct builder *builder, const yaml_event_t *event, unsigned line)
{
    struct hf_yaml *node = node_new(builder, HF_YAML_SCALAR, line);
    if (node == NULL)
        return -ENOMEM;
    bool is_key = wants_key(builder);
    int rc = take_text(builder, node, event, is_key);
    if (rc != 0 || !is_key)
        return rc ? rc : place(builder, node);
    builder->key = node->text;
    builder->key_line = line;
    builder->key_broken = node->broken;
    return 0;
}

static int on_open(struct builder *builder, enum hf_yaml_kind kind, unsigned line)
{
    if (wants_key(builder)) {
        hf_report_add(builder->report, line,
                      "a key that is a list or a mapping: write a word and a colon");
        return -EINVAL;
    }
    if (builder->depth == HF_YAML_DEPTH_MAX) {
        hf_report_add(builder->report, line,
                      "nested deeper than %d levels: nothing in a configuration is",
                      HF_YAML_DEPTH_MAX);
        return -EINVAL;
    }
    struct hf_yaml *node = node_new(builder, kind, line);
    if (node == NULL)
        return -ENOMEM;
    int rc = place(builder, node);
    if (rc == 0)
        builder->stack[builder->depth++] = node;
    return rc;
}

static int refuse_properties(struct builder *builder, const yaml_char_t *anchor,
                             const yaml_char_t *tag, unsigned line)
{
    if (anchor != NULL) {
        hf_report_add(builder->report, line,
                      "anchor '&%.40s': anchors and aliases are not read; write the value out",
                      (const char *)anchor);
        return -EINVAL;
    }
    if (tag != NULL) {
        hf_report_add(builder->report, line, "tag '%.40s': tags are not read; leave it out",
                      (const char *)tag);
        return -EINVAL;
    }
    return 0;
}

static int on_event(struct builder *builder, const yaml_event_t *event)
{
    unsigned line = (unsigned)event->start_mark.line + 1;
    int rc = 0;
    switch ((int)event->type) {
    case YAML_ALIAS_EVENT:
        hf_report_add(builder->report, line,
                      "alias '*%.40s': anchors and aliases are not read; write the value out",
                      (const char *)event->data.alias.anchor);
        return -EINVAL;
    case YAML_SCALAR_EVENT:
        rc = refuse_properties(builder, event->data.scalar.anchor, event->data.scalar.tag, line);
        return rc ? rc : on_scalar(builder, event, line);
    case YAML_MAPPING_START_EVENT:
        rc = refuse_properties(builder, event->data.mapping_start.anchor,
                               event->data.mapping_start.tag, line);
        return rc ? rc : on_open(builder, HF_YAML_MAPPING, line);
    case YAML_SEQUENCE_START_EVENT:
        rc = refuse_properties(builder, event->data.sequence_start.anchor,
                               event->data.sequence_start.tag, line);
        return rc ? rc : on_open(builder, HF_YAML_SEQUENCE, line);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        REQUIRE(builder->depth > 0);
        builder->depth--;
        return 0;
    default:
        return 0;
    }
}

static int build(struct builder *builder)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&builder->parser, &event))
            return tell_syntax(builder);
        bool done = event.type == YAML_STREAM_END_EVENT;
        int rc = on_event(builder, &event);
        unsigned line = (unsigned)event.start_mark.line + 1;
        yaml_event_delete(&event);
        if (rc != 0 || done)
            return rc;
        if (++builder->nodes > HF_YAML_NODES_MAX) {
            hf_report_add(builder->report, line, "more than %d values: split the file",
                          HF_YAML_NODES_MAX);
            return -EINVAL;
        }
    }
}

int hf_yaml_parse(struct hf_slice text, struct hf_config_report *report,
                  struct hf_yaml_file *ret_file)
{
    struct builder builder = {.text = text, .report = report, .file = ret_file};
    *ret_file = (struct hf_yaml_file){0};
    if (!yaml_parser_initialize(&builder.parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text.bytes, text.size);
    /* UTF-16 is refused: a byte order mark would make line numbers of errors guesses. */
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    int rc = build(&builder);
    yaml_parser_delete(&builder.parser);
    return rc;
}

const struct hf_yaml *hf_yaml_get(const struct hf_yaml *mapping, const char *key)
{
    if (mapping->kind != HF_YAML_MAPPING)
        return NULL;
    for (const struct hf_yaml *child = mapping->first; child != NULL; child = child->next) {
        if (strcmp(child->key, key) == 0)
            return child;
    }
    return NULL;
}

unsigned hf_yaml_line(const struct hf_yaml *mapping, const char *key)
{
    const struct hf_yaml *child = hf_yaml_get(mapping, key);
    return child ? child->line : mapping->line;
}

const char *hf_yaml_kind_word(const struct hf_yaml *node)
{
    if (node->kind == HF_YAML_MAPPING)
        return "a mapping";
    if (node->kind == HF_YAML_SEQUENCE)
        return "a list";
    return node->text[0] == '\0' && node->plain ? "empty" : "a single value";
}
