/* Sessions and agents of a pool, from the file to the snapshot. */
#include "config/config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* 0, or what is wrong. */
static const char *load_key(const char *folder, bool runs, struct hf_config **ret_config)
{
    static char told[1000];
    struct hf_config_report report;
    write_pool("", 2);
    append("state_dir: %s\n", folder);
    *ret_config = NULL;
    if (hf_config_load_text(hf_slice_text(text), "x", runs, ret_config, &report) == 0)
        return NULL;
    snprintf(told, sizeof(told), "%s", report.messages[0].text);
    hf_config_report_fini(&report);
    return told;
}

static void write_key(const char *path, const char *key, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, key, strlen(key)), strlen(key));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void the_key_of_agents_is_read_where_it_was_put(void **state)
{
    (void)state;
    static const char key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    char folder[] = "/tmp/holdfast-agents-XXXXXX", path[64];
    struct hf_config *config;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/agents.key", folder);
    assert_null(load_key(folder, true, &config));
    assert_false(config->has_agent_key);
    hf_config_unref(&config);
    write_key(path, "not a key", 0600);
    assert_non_null(strstr(load_key(folder, true, &config), "is no peer key: write 64 hex digits"));
    write_key(path, key, 0644);
    assert_non_null(strstr(load_key(folder, true, &config), "can be read by everyone: chmod 600"));
    write_key(path, key, 0600);
    assert_null(load_key(folder, false, &config));
    assert_true(config->has_agent_key);
    assert_int_equal(config->agent_key[1], 0x11);
    hf_config_unref(&config);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_is_known_by_its_word),
        cmocka_unit_test(agents_need_no_session_and_a_pool_no_agents),
        cmocka_unit_test(the_key_of_agents_is_read_where_it_was_put),
        cmocka_unit_test(a_pool_has_so_many_agents_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
