#include "proto/http1_internal.h"
#include "proto/scan.h"

/* A peer that nominates a field for all recipients could have the proxy strip what the next hop
 * relies on: who the client is, what it may do, how the content reads. RFC 9110 7.6.1 forbids such
 * nominations, and ignoring them is the outcome in which nothing disappears. Of the fields that
 * http_fields.def knows, those for one connection are dropped in any case. */
static bool for_all_recipients(struct hf_slice name)
{
    static const struct hf_slice others[] = {
        {"authorization", 13}, {"content-type", 12}, {"content-encoding", 16},
        {"content-range", 13}, {"range", 5},         {"origin", 6},
    };
    if (hf_field_identify(name) != HF_FIELD_OTHER)
        return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (hf_slice_equal_nocase(name, others[i]))
            return true;
    return false;
}

static void drop_nominated(struct hf_head *head, struct hf_slice name)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (hf_slice_equal_nocase(hf_field_name(head, &head->fields[i]), name))
            head->fields[i].drop = true;
}

/* What is no token can be no option and is passed over: the field is never forwarded, so nobody
 * reads it otherwise. Answers how many fields were nominated. */
static unsigned read_options(struct hf_head *head, struct hf_slice value, unsigned room,
                             struct hf_http1_connection *connection)
{
    unsigned nominated = 0;
    struct hf_slice option;
    while (nominated <= room && hf_http1_next_element(&value, &option)) {
        if (hf_slice_equal_nocase(option, HF_SLICE("close"))) {
            connection->close = true;
        } else if (hf_slice_equal_nocase(option, HF_SLICE("keep-alive"))) {
            connection->keep_alive = true;
        } else if (hf_slice_equal_nocase(option, HF_SLICE("upgrade"))) {
            connection->upgrade = true;
        } else if (hf_scan_all(option.bytes, option.size, HF_SCAN_TOKEN)) {
            nominated++;
            if (!for_all_recipients(option))
                drop_nominated(head, option);
        }
    }
    return nominated;
}

void hf_http1_read_connection(struct hf_head *head, struct hf_http1_connection *connection)
{
    unsigned nominated = 0;
    for (unsigned i = 0; i < head->field_count && nominated <= HF_HTTP1_OPTIONS_MAX; i++)
        if (head->fields[i].id == HF_FIELD_CONNECTION)
            nominated += read_options(head, hf_field_value(head, &head->fields[i]),
                                      HF_HTTP1_OPTIONS_MAX - nominated, connection);
    connection->too_many = nominated > HF_HTTP1_OPTIONS_MAX;
}
