#include "remote/pipe.h"
#include <stdlib.h>

enum {
    BUFFER_MIN = 16 * 1024,
    BUFFER_KEPT = 1 << 20, /* an empty buffer that has more gives it back */
};

size_t hf_pipe_buffer_size(const struct hf_pipe_buffer *buffer)
{
    return buffer->end - buffer->start;
}

bool hf_pipe_buffer_reserve(struct hf_pipe_buffer *buffer, size_t size)
{
    if (buffer->room - buffer->end >= size)
        return true;
    size_t held = hf_pipe_buffer_size(buffer);
    if (held > 0 && buffer->start > 0)
        memmove(buffer->bytes, buffer->bytes + buffer->start, held);
    buffer->start = 0;
    buffer->end = held;
    if (buffer->room - held >= size)
        return true;
    size_t room = buffer->room > 0 ? buffer->room : BUFFER_MIN;
    while (room - held < size)
        room *= 2;
    char *bytes = realloc(buffer->bytes, room);
    if (bytes == NULL)
        return false;
    buffer->bytes = bytes;
    buffer->room = room;
    return true;
}

void hf_pipe_buffer_consume(struct hf_pipe_buffer *buffer, size_t size)
{
    buffer->start += size;
    if (buffer->start < buffer->end)
        return;
    buffer->start = buffer->end = 0;
    if (buffer->room <= BUFFER_KEPT)
        return;
    free(buffer->bytes);
    *buffer = (struct hf_pipe_buffer){0};
}

void hf_pipe_buffer_fini(struct hf_pipe_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct hf_pipe_buffer){0};
}
