#include "config/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { VARIABLE_MAX = 128 };

static size_t name_size(const char *name)
{
    size_t size = 0;
    if (isdigit((unsigned char)name[0]))
        return 0;
    while (isalnum((unsigned char)name[size]) || name[size] == '_')
        size++;
    return size;
}

/* The value of "${NAME}" at `text`, and how many bytes it took; NULL when something is wrong. */
static const char *variable(const char *text, size_t *ret_used, char *problem, size_t problem_size)
{
    char name[VARIABLE_MAX];
    size_t size = name_size(text + 2);
    if (size == 0 || size >= sizeof(name) || text[2 + size] != '}') {
        snprintf(problem, problem_size,
                 "'%.40s' is no variable: write ${NAME}, or $${ for a literal ${", text);
        return NULL;
    }
    memcpy(name, text + 2, size);
    name[size] = '\0';
    const char *value = getenv(name);
    if (value == NULL) {
        snprintf(problem, problem_size,
                 "the environment has no variable '%s': set it, or write the value here", name);
        return NULL;
    }
    for (const char *byte = value; *byte != '\0'; byte++) {
        if ((unsigned char)*byte < 0x20 || *byte == 0x7f) {
            snprintf(
                problem, problem_size,
                "the variable '%s' holds a control character: set it to one line of plain text",
                name);
            return NULL;
        }
    }
    *ret_used = size + 3;
    return value;
}

int hf_yaml_expand(const char *text, char *problem, size_t problem_size, char **ret_text)
{
    char *out = malloc(HF_YAML_TEXT_MAX + 1);
    if (out == NULL)
        return -ENOMEM;
    size_t size = 0;
    while (*text != '\0') {
        const char *piece = text;
        size_t piece_size = 1, used = 1;
        if (strncmp(text, "$${", 3) == 0) {
            piece = "${";
            piece_size = 2;
            used = 3;
        } else if (strncmp(text, "${", 2) == 0) {
            piece = variable(text, &used, problem, problem_size);
            if (piece == NULL)
                goto bad;
            piece_size = strlen(piece);
        }
        if (size + piece_size > HF_YAML_TEXT_MAX) {
            snprintf(problem, problem_size, "the value is longer than %d bytes: shorten it",
                     HF_YAML_TEXT_MAX);
            goto bad;
        }
        memcpy(out + size, piece, piece_size);
        size += piece_size;
        text += used;
    }
    out[size] = '\0';
    *ret_text = out;
    return 0;
bad:
    free(out);
    return -EINVAL;
}
