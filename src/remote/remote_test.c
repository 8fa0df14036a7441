/* The bounds of what waits for a store that takes connections and answers nothing. */
#include "base/test.h"
#include "net/loop.h"
#include "remote/remote.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    int listener;
    struct hf_loop *loop;
    struct hf_remote *remote;
    struct hf_remote_call *calls;
};

static unsigned answered;
static enum hf_remote_status last;

static void completed(struct hf_remote_call *call, struct hf_remote_result *result)
{
    answered++;
    last = (enum hf_remote_status)result->status;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(place);
    struct hf_address address;
    char text[64];
    fixture->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fixture->listener, (struct sockaddr *)&place, size), 0);
    assert_int_equal(listen(fixture->listener, 8), 0);
    assert_int_equal(getsockname(fixture->listener, (struct sockaddr *)&place, &size), 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(place.sin_port));
    assert_int_equal(hf_address_parse(hf_slice_text(text), &address), 0);
    assert_int_equal(hf_loop_new(&fixture->loop), 0);
    const struct hf_remote_settings settings = {
        .kind = HF_STORE_URL_REDIS, .addresses = &address, .address_count = 1};
    assert_int_equal(hf_remote_new(fixture->loop, &settings, &fixture->remote), 0);
    fixture->calls = calloc(HF_REMOTE_QUEUE_MAX + 1, sizeof(*fixture->calls));
    for (unsigned i = 0; i <= HF_REMOTE_QUEUE_MAX; i++)
        fixture->calls[i].complete = completed;
    answered = 0;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    hf_remote_free(&fixture->remote);
    hf_loop_free(&fixture->loop);
    close(fixture->listener);
    free(fixture->calls);
    free(fixture);
    return 0;
}

static void so_many_requests_wait_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    const struct hf_remote_request request = {.kind = HF_REMOTE_LOAD, .key = HF_SLICE("sess:1")};
    for (unsigned i = 0; i < HF_REMOTE_QUEUE_MAX; i++)
        hf_remote_submit(fixture->remote, &fixture->calls[i], &request);
    assert_int_equal(answered, 0);
    hf_remote_submit(fixture->remote, &fixture->calls[HF_REMOTE_QUEUE_MAX], &request);
    assert_int_equal(answered, 1);
    assert_int_equal(last, HF_REMOTE_DOWN);
    assert_false(hf_remote_is_open(fixture->remote)); /* that is no word of the store */
}

static void so_many_bytes_wait_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    const size_t large = 4 << 20;
    char *bytes = calloc(1, large);
    const struct hf_remote_request request = {.kind = HF_REMOTE_PUT,
                                              .key = HF_SLICE("sess:1"),
                                              .ttl_ms = HF_REMOTE_NEVER,
                                              .value = hf_slice(bytes, large)};
    unsigned count = 0;
    while (answered == 0 && count < 2 * HF_REMOTE_UNSENT_MAX / large)
        hf_remote_submit(fixture->remote, &fixture->calls[count++], &request);
    assert_int_equal(answered, 1);
    assert_int_equal(last, HF_REMOTE_DOWN);
    assert_in_range(count, HF_REMOTE_UNSENT_MAX / large, HF_REMOTE_UNSENT_MAX / large + 2);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(so_many_requests_wait_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(so_many_bytes_wait_and_no_more, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
