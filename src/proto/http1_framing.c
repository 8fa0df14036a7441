#include "proto/http1_internal.h"
#include "proto/scan.h"

/* How long a message is (RFC 9112 6). What two parsers could read differently is refused: lists and
 * repetitions of a length, and any coding but `chunked`. */

static void refuse(struct hf_http1_framing *framing, enum hf_http1_reason reason)
{
    if (framing->wrong == HF_HTTP1_OK)
        framing->wrong = reason;
}

static void read_length(struct hf_http1_framing *framing, struct hf_slice value)
{
    if (framing->has_length)
        refuse(framing, HF_HTTP1_DUPLICATE_LENGTH);
    framing->has_length = true;
    uint64_t length = 0;
    if (!hf_slice_to_u64(value, &length) || length > INT64_MAX)
        refuse(framing, HF_HTTP1_BAD_LENGTH);
    else
        framing->length = length;
}

/* Unlike other lists, this one may hold no empty element: ",chunked" is read in two ways. */
static void read_coding(struct hf_http1_framing *framing, struct hf_slice value)
{
    bool listed = false;
    do {
        const char *comma = memchr(value.bytes, ',', value.size);
        size_t size = comma != NULL ? (size_t)(comma - value.bytes) : value.size;
        struct hf_slice coding = hf_slice_trim(hf_slice(value.bytes, size));
        bool chunked = hf_slice_equal_nocase(coding, HF_SLICE("chunked"));
        bool token = coding.size > 0 && hf_scan_all(coding.bytes, coding.size, HF_SCAN_TOKEN);
        if (!token || framing->coding_is_chunked || framing->coding_is_list)
            refuse(framing, HF_HTTP1_BAD_CODING); /* no name, or something behind `chunked` */
        framing->coding_is_list = chunked && framing->has_coding;
        framing->coding_is_chunked = chunked && !framing->has_coding;
        framing->has_coding = true;
        listed = comma != NULL;
        if (listed)
            value = hf_slice(value.bytes + size + 1, value.size - size - 1);
    } while (listed);
}

void hf_http1_read_framing(const struct hf_head *head, struct hf_http1_framing *framing)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct hf_field *field = &head->fields[i];
        if (field->id == HF_FIELD_CONTENT_LENGTH)
            read_length(framing, hf_field_value(head, field));
        else if (field->id == HF_FIELD_TRANSFER_ENCODING)
            read_coding(framing, hf_field_value(head, field));
    }
}
