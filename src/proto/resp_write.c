#include "proto/resp.h"

static void end_line(struct hf_resp_out *out)
{
    hf_writer_bytes(&out->writer, "\r\n", 2);
}

/* "$12\r\n" and its like in one copy: nearly every reply has one. */
static void write_head(struct hf_resp_out *out, char type, uint64_t number)
{
    char head[1 + HF_WRITER_DIGITS_MAX + 2];
    size_t at = sizeof(head);
    head[--at] = '\n';
    head[--at] = '\r';
    do {
        head[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    head[--at] = type;
    hf_writer_bytes(&out->writer, head + at, sizeof(head) - at);
}

void hf_resp_write_simple(struct hf_resp_out *out, struct hf_slice text)
{
    hf_writer_byte(&out->writer, '+');
    hf_writer_slice(&out->writer, text);
    end_line(out);
}

void hf_resp_write_error(struct hf_resp_out *out, struct hf_slice text)
{
    hf_writer_byte(&out->writer, '-');
    hf_writer_line_text(&out->writer, text, text.size);
    end_line(out);
}

void hf_resp_write_integer(struct hf_resp_out *out, int64_t number)
{
    if (number >= 0) {
        write_head(out, ':', (uint64_t)number);
        return;
    }
    hf_writer_byte(&out->writer, ':');
    hf_writer_i64(&out->writer, number);
    end_line(out);
}

void hf_resp_write_bulk(struct hf_resp_out *out, struct hf_slice bytes)
{
    write_head(out, '$', bytes.size);
    hf_writer_slice(&out->writer, bytes);
    end_line(out);
}

void hf_resp_write_bulk_head(struct hf_resp_out *out, uint64_t size)
{
    write_head(out, '$', size);
}

void hf_resp_write_null(struct hf_resp_out *out)
{
    hf_writer_text(&out->writer, out->resp3 ? "_\r\n" : "$-1\r\n");
}

void hf_resp_write_null_array(struct hf_resp_out *out)
{
    hf_writer_text(&out->writer, out->resp3 ? "_\r\n" : "*-1\r\n");
}

void hf_resp_write_array(struct hf_resp_out *out, uint32_t count)
{
    write_head(out, '*', count);
}

void hf_resp_write_map(struct hf_resp_out *out, uint32_t pairs)
{
    if (out->resp3)
        write_head(out, '%', pairs);
    else
        write_head(out, '*', 2 * (uint64_t)pairs);
}

void hf_resp_write_verbatim(struct hf_resp_out *out, struct hf_slice text)
{
    if (!out->resp3) {
        hf_resp_write_bulk(out, text);
        return;
    }
    write_head(out, '=', text.size + 4);
    hf_writer_text(&out->writer, "txt:");
    hf_writer_slice(&out->writer, text);
    end_line(out);
}
