#include "proto/resp_options.h"

/* A pattern is a row of elements, each of which takes one byte of the text, and of stars. Only the
 * last star seen can need another try: what an earlier one would take is no help to what follows.
 */

/* Whether the class at pattern[*at], behind "[", holds the byte; *at moves behind it. An unfinished
 * class ends with the pattern. */
static bool class_holds(struct hf_slice pattern, size_t *at, unsigned char byte)
{
    size_t i = *at;
    bool negated = i < pattern.size && pattern.bytes[i] == '^';
    bool holds = false;
    i += negated;
    while (i < pattern.size && pattern.bytes[i] != ']') {
        if (pattern.bytes[i] == '\\' && i + 1 < pattern.size)
            i++;
        else if (pattern.size - i >= 3 && pattern.bytes[i + 1] == '-') {
            unsigned char low = (unsigned char)pattern.bytes[i];
            unsigned char high = (unsigned char)pattern.bytes[i + 2];
            holds |= low <= high ? byte >= low && byte <= high : byte >= high && byte <= low;
            i += 3;
            continue;
        }
        holds |= (unsigned char)pattern.bytes[i] == byte;
        i++;
    }
    *at = i < pattern.size ? i + 1 : i;
    return holds != negated;
}

/* Whether the element at pattern[*at] takes the byte; *at moves behind it. */
static bool element_takes(struct hf_slice pattern, size_t *at, char byte)
{
    char first = pattern.bytes[(*at)++];
    if (first == '?')
        return true;
    if (first == '[')
        return class_holds(pattern, at, (unsigned char)byte);
    if (first == '\\' && *at < pattern.size)
        first = pattern.bytes[(*at)++];
    return first == byte;
}

bool hf_resp_glob_match(struct hf_slice pattern, struct hf_slice text)
{
    size_t at = 0, used = 0;
    size_t star = SIZE_MAX, star_used = 0; /* behind the last star; the bytes before its try */
    if (pattern.size > HF_RESP_GLOB_SIZE_MAX)
        return false;
    while (used < text.size) {
        if (at < pattern.size && pattern.bytes[at] == '*') {
            star = ++at;
            star_used = used;
            continue;
        }
        if (at < pattern.size && element_takes(pattern, &at, text.bytes[used])) {
            used++;
            continue;
        }
        if (star == SIZE_MAX)
            return false;
        at = star;
        used = ++star_used;
    }
    while (at < pattern.size && pattern.bytes[at] == '*')
        at++;
    return at == pattern.size;
}
