#include "proto/writer.h"

void hf_writer_text(struct hf_writer *writer, const char *text)
{
    hf_writer_bytes(writer, text, strlen(text));
}

void hf_writer_u64(struct hf_writer *writer, uint64_t number)
{
    char digits[HF_WRITER_DIGITS_MAX];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    hf_writer_bytes(writer, digits + at, sizeof(digits) - at);
}

void hf_writer_i64(struct hf_writer *writer, int64_t number)
{
    if (number < 0)
        hf_writer_byte(writer, '-');
    hf_writer_u64(writer, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void hf_writer_line_text(struct hf_writer *writer, struct hf_slice text, size_t size_max)
{
    size_t size = text.size < size_max ? text.size : size_max;
    for (size_t i = 0; i < size; i++) {
        char byte = text.bytes[i];
        hf_writer_byte(writer, byte == '\r' || byte == '\n' || byte == '\0' ? ' ' : byte);
    }
}
