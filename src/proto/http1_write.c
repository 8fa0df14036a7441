#include "proto/http1.h"

void hf_http1_write(struct hf_http1_writer *writer, struct hf_slice bytes)
{
    if (bytes.size > 0 && writer->size <= writer->room && bytes.size <= writer->room - writer->size)
        memcpy(writer->out + writer->size, bytes.bytes, bytes.size);
    writer->size += bytes.size;
}

void hf_http1_write_u64(struct hf_http1_writer *writer, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    hf_http1_write(writer, hf_slice(digits + at, sizeof(digits) - at));
}

void hf_http1_write_field(struct hf_http1_writer *writer, struct hf_slice name,
                          struct hf_slice value)
{
    hf_http1_write(writer, name);
    hf_http1_write(writer, HF_SLICE(": "));
    hf_http1_write(writer, value);
    hf_http1_write(writer, HF_SLICE("\r\n"));
}

static bool wanted(const struct hf_field *field, uint64_t skip)
{
    return !field->drop && (skip >> field->id & 1) == 0;
}

/* Whether the field stands in the buffer as it would be written: "name: value". */
static bool written_plainly(const struct hf_head *head, const struct hf_field *field)
{
    const char *gap = head->base + field->name + field->name_size;
    return field->value == field->name + field->name_size + 2 && gap[0] == ':' && gap[1] == ' ';
}

static bool follows(const struct hf_head *head, const struct hf_field *field,
                    const struct hf_field *next)
{
    const char *gap = head->base + field->value + field->value_size;
    return next->name == field->value + field->value_size + 2 && gap[0] == '\r' && gap[1] == '\n';
}

/* Fields that stand side by side as they would be written go out in one copy. */
void hf_http1_write_fields(struct hf_http1_writer *writer, const struct hf_head *head,
                           uint64_t skip)
{
    unsigned i = 0;
    while (i < head->field_count) {
        const struct hf_field *first = &head->fields[i++];
        if (!wanted(first, skip))
            continue;
        if (!written_plainly(head, first)) {
            hf_http1_write_field(writer, hf_field_name(head, first), hf_field_value(head, first));
            continue;
        }
        const struct hf_field *last = first;
        while (i < head->field_count && wanted(&head->fields[i], skip) &&
               follows(head, last, &head->fields[i]) && written_plainly(head, &head->fields[i]))
            last = &head->fields[i++];
        size_t size = last->value + last->value_size - first->name;
        hf_http1_write(writer, hf_slice(head->base + first->name, size));
        hf_http1_write(writer, HF_SLICE("\r\n"));
    }
}
