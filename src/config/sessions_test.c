/* Sessions and agents of a pool, from the file to the snapshot. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX = 64 * 1024, RANKED_MAX = HF_RANK_NODES_MAX };
static char text[TEXT_MAX];

static void append(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void append(const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text + used, sizeof(text) - used, format, arguments);
    va_end(arguments);
    assert_true(size > 0 && (size_t)size < sizeof(text) - used);
}

/* A pool of so many servers with agents, and one without. */
static void write_pool(const char *session, unsigned agents)
{
    text[0] = '\0';
    append("listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\npools:\n- name: shop\n%s"
           "  servers:\n  - {name: bare, address: \"127.0.0.1:1\"}\n",
           session);
    for (unsigned i = 0; i < agents; i++)
        append("  - {name: app%u, address: \"127.0.0.1:2\", agent: \"127.0.0.1:%u\"}\n", i,
               7000 + i);
}

static int load(struct hf_config **ret_config, struct hf_config_report *report)
{
    return hf_config_load_text(hf_slice_text(text), "x", true, ret_config, report);
}

static void each_format_is_known_by_its_word(void **state)
{
    (void)state;
    static const char *const words[] = {"plain", "express", "rack", "base64", "route_suffix"};
    for (unsigned i = 0; i < HF_SESSION_FORMAT_COUNT; i++) {
        char session[100];
        struct hf_config_report report;
        struct hf_config *config = NULL;
        snprintf(session, sizeof(session), "  session: {cookie: __Host-sid, format: %s}\n",
                 words[i]);
        write_pool(session, 3);
        assert_int_equal(load(&config, &report), 0);
        const struct hf_pool *pool = &config->pools[0];
        assert_string_equal(pool->session.name, "__Host-sid");
        assert_int_equal(pool->session.format, i);
        assert_int_equal(pool->servers[0].agent.size, 0);
        assert_int_equal(pool->agents->rank.count, 3);
        for (unsigned number = 0; number < 3; number++)
            assert_string_equal(pool->servers[pool->agents->servers[number]].server->name,
                                pool->agents->rank.names[number].bytes);
        hf_config_unref(&config);
    }
}

static void agents_need_no_session_and_a_pool_no_agents(void **state)
{
    (void)state;
    struct hf_config_report report;
    struct hf_config *config = NULL;
    write_pool("", 2);
    assert_int_equal(load(&config, &report), 0);
    assert_null(config->pools[0].session.name);
    assert_int_equal(config->pools[0].agents->rank.count, 2);
    hf_config_unref(&config);
    write_pool("", 0);
    assert_int_equal(load(&config, &report), 0);
    assert_null(config->pools[0].agents);
    hf_config_unref(&config);
}

static void a_pool_has_so_many_agents_and_no_more(void **state)
{
    (void)state;
    struct hf_config_report report;
    struct hf_config *config = NULL;
    write_pool("  session: {cookie: SID}\n", RANKED_MAX);
    assert_int_equal(load(&config, &report), 0);
    assert_int_equal(config->pools[0].agents->rank.count, RANKED_MAX);
    hf_config_unref(&config);
    write_pool("  session: {cookie: SID}\n", RANKED_MAX + 2);
    assert_true(load(&config, &report) < 0);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.messages[0].line, 7 + RANKED_MAX);
    assert_string_equal(report.messages[0].text,
                        "more than 128 servers of the pool have an agent: leave the others out, or "
                        "split the pool");
    hf_config_report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_is_known_by_its_word),
        cmocka_unit_test(agents_need_no_session_and_a_pool_no_agents),
        cmocka_unit_test(a_pool_has_so_many_agents_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
