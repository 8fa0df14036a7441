/* How long a door is patient with clients that send half a request. The front end answers each line
 * with a line; one that begins with '+' announces that as many bytes more are to be dropped. */
#include "agent/door_testing.h"
#include <stdlib.h>
#include <unistd.h>

enum { REQUEST_MS = 50, CLIENTS = 2, DROPPED = 100 };

static struct hf_testing_rig rig;

static enum hf_front_step feed(struct hf_connection *connection, struct hf_slice input,
                               size_t *ret_used)
{
    const char *end = memchr(input.bytes, '\n', input.size);
    if (end == NULL)
        return HF_FRONT_MORE;
    *ret_used = (size_t)(end - input.bytes) + 1 + (input.bytes[0] == '+' ? DROPPED : 0);
    hf_connection_write(connection, HF_SLICE("ok\n"));
    return HF_FRONT_DONE;
}

static enum hf_front_step resume(struct hf_connection *connection)
{
    return HF_FRONT_CLOSE; /* nothing here waits */
}

static const struct hf_front lines = {
    .name = "lines", .too_many = {"too many\n", 9}, .feed = feed, .resume = resume};

static bool one_is_overdue(void)
{
    return hf_door_counts(hf_testing_door())->overdue == 1 &&
           hf_door_counts(hf_testing_door())->open == CLIENTS - 1;
}

static bool two_are_answered(void)
{
    return hf_door_counts(hf_testing_door())->requests >= 2;
}

static bool much_later(void)
{
    return hf_loop_now_ms(hf_testing_doorstep.loop) >
           hf_testing_doorstep.begun_ms + (uint64_t)2 * REQUEST_MS;
}

static void says(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int set_up(void **state)
{
    hf_testing_rig_init(&rig);
    hf_testing_open_door((struct hf_door_settings){.front = &lines,
                                                   .sessions = rig.sessions,
                                                   .connections_max = CLIENTS,
                                                   .request_ms = REQUEST_MS});
    return 0;
}

static int tear_down(void **state)
{
    hf_testing_close_door();
    hf_testing_rig_fini(&rig);
    return 0;
}

static void half(const char *text)
{
    char byte;
    int idle = hf_testing_connect(), slow = hf_testing_connect();
    says(idle, "a\n");
    says(slow, text);
    hf_testing_turn_until(one_is_overdue);
    assert_int_equal(read(idle, &byte, 1), 1); /* answered, and not hurried */
    close(idle);
    close(slow);
}

static void half_a_request_is_waited_for_a_while(void **state)
{
    half("get a");
}

static void half_a_request_behind_a_whole_one_too(void **state)
{
    half("a\nb\nget");
}

static void half_of_what_is_dropped_too(void **state)
{
    half("+\nxxxx");
}

static void who_sends_nothing_or_whole_requests_stays(void **state)
{
    int idle = hf_testing_connect(), busy = hf_testing_connect();
    says(busy, "a\nb");
    says(busy, "\n");
    hf_testing_turn_until(two_are_answered);
    hf_testing_turn_until(much_later);
    assert_int_equal(hf_door_counts(hf_testing_door())->open, CLIENTS);
    assert_int_equal(hf_door_counts(hf_testing_door())->overdue, 0);
    close(idle);
    close(busy);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(half_a_request_is_waited_for_a_while),
        TEST(half_a_request_behind_a_whole_one_too),
        TEST(half_of_what_is_dropped_too),
        TEST(who_sends_nothing_or_whole_requests_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
