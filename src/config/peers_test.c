/* An agent's peers: what is read of them, which of them it is itself, and what is told of mistakes.
 */
#include "base/test.h"
#include "config/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MAX = 1024 };

static char told[TEXT_MAX];   /* the messages of the last load */
static char warned[TEXT_MAX]; /* its warnings */

static void write_down(const struct hf_config_message *messages, unsigned count, char *text)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < count && used < TEXT_MAX; i++)
        used += (size_t)snprintf(text + used, TEXT_MAX - used, "%u: %s\n", messages[i].line,
                                 messages[i].text);
}

static struct hf_agent_config *load(const char *text)
{
    struct hf_config_report report = {0};
    struct hf_agent_config *config = NULL;
    (void)hf_config_load_agent_text(hf_slice_text(text), "x.yaml", &config, &report);
    write_down(report.messages, report.count, told);
    write_down(report.warnings, report.warning_count, warned);
    hf_config_report_fini(&report);
    return config;
}

#define AGENT(rest) "agent:\n  redis: 127.0.0.1:6380\n  memory: 64MiB\n" rest
#define PEERS "  peers: {b: \"127.0.0.1:7402\", a: \"127.0.0.1:7401\", c: \"127.0.0.1:7403\"}\n"

#define PEERS_ODD                                                                                  \
    "  peers: {a: \"127.0.0.1:7401\", b: \"127.0.0.1:0\", c: \"127.0.0.1:7403\", d: "              \
    "\"127.0.0.1:7403\"}\n"

static void who_they_are_and_which_of_them_it_is(void **state)
{
    struct hf_agent_config *config = load(AGENT("  peer: 127.0.0.1:7401\n" PEERS));
    assert_string_equal(told, "");
    assert_string_equal(warned, "");
    const struct hf_agent_replication *replication = &config->replication;
    assert_true(replication->on && !replication->has_key);
    assert_int_equal(replication->peer_count, 3);
    assert_int_equal(replication->self, 1);
    assert_string_equal(replication->peers[0].name, "b");
    assert_string_equal(config->process->node, "a"); /* as the others call it */
    assert_int_equal(replication->backups, 1);
    assert_false(replication->acknowledge_memory || replication->consistent);
    assert_int_equal(replication->line, 4);
    hf_agent_config_free(&config);

    config = load("node: c\n" AGENT("  peer: 127.0.0.1:7403\n" PEERS
                                    "  backups: 2\n  acknowledge: memory\n"
                                    "  consistency: consistent\n"));
    assert_string_equal(told, "");
    replication = &config->replication;
    assert_int_equal(replication->self, 2);
    assert_int_equal(replication->backups, 2);
    assert_true(replication->acknowledge_memory && replication->consistent);
    hf_agent_config_free(&config);
}

static void alone_it_has_none(void **state)
{
    struct hf_agent_config *config = load(AGENT(""));
    assert_string_equal(warned, "");
    assert_false(config->replication.on);
    hf_agent_config_free(&config);
}

#define STORE "  external: {url: \"redis://127.0.0.1:6379/0\", write: behind}\n"

static void a_store_goes_with_them_or_without(void **state)
{
    struct hf_agent_config *config = load(AGENT(STORE "  mode: external\n"));
    assert_string_equal(told, "");
    assert_int_equal(config->mode, HF_AGENT_EXTERNAL);
    assert_false(config->replication.on);
    assert_non_null(config->external.url);
    hf_agent_config_free(&config);

    config = load(AGENT(STORE "  mode: external\n  peer: 127.0.0.1:7401\n" PEERS));
    assert_string_equal(told, "");
    assert_int_equal(config->mode, HF_AGENT_EXTERNAL);
    assert_true(config->replication.on && config->external.behind);
    assert_non_null(config->external.url);
    hf_agent_config_free(&config);

    config = load(AGENT(STORE "  mode: transition\n  peer: 127.0.0.1:7401\n" PEERS));
    assert_string_equal(told, "");
    assert_int_equal(config->mode, HF_AGENT_TRANSITION);
    assert_string_equal(hf_agent_mode_word(config->mode), "transition");
    assert_true(config->replication.on);
    hf_agent_config_free(&config);

    assert_null(load(AGENT(STORE "  mode: transition\n")));
    assert_non_null(strstr(told, "has no 'peers'"));
}

#define NO_USE(line, keys)                                                                         \
    line ": without 'peers' there is no use of " keys ", sessions have no copies: add peers: "     \
         "{app1: \"127.0.0.1:7401\", app2: \"127.0.0.1:7402\"} to have them, or leave these out\n"

/* A file may have ready what another mode needs, when it names its own; the operator is told. */
static void what_the_mode_does_not_use_is_warned_of(void **state)
{
    struct hf_agent_config *config =
        load(AGENT("  peer: 127.0.0.1:7401\n" PEERS "  mode: local\n  backups: 2\n"));
    assert_string_equal(told, "");
    assert_string_equal(warned,
                        "5: mode: local does not use 'peers', 'peer', 'backups', its sessions have "
                        "no copies: write mode: replicated to have them, or leave these out\n");
    assert_int_equal(config->mode, HF_AGENT_LOCAL);
    assert_false(config->replication.on);
    hf_agent_config_free(&config);

    config = load(AGENT("  consistency: available\n  peer: 127.0.0.1:7401\n"));
    assert_string_equal(warned, NO_USE("5", "'peer', 'consistency'"));
    assert_int_equal(config->mode, HF_AGENT_LOCAL);
    hf_agent_config_free(&config);

    config =
        load(AGENT("  mode: external\n  acknowledge: memory\n  peer_key_file: /nowhere\n" STORE));
    assert_string_equal(told, "");
    assert_string_equal(warned, NO_USE("6", "'peer_key_file', 'acknowledge'"));
    assert_false(config->replication.on || config->replication.has_key);
    hf_agent_config_free(&config);
}

/* Both front ends are served, which they could not be were the store spoken to. */
static void a_store_may_stand_beside_another_mode(void **state)
{
    static const char text[] =
        AGENT("  memcached: 127.0.0.1:11311\n  peer: 127.0.0.1:7401\n" PEERS
              "  mode: replicated\n  external: {url: \"redis://127.0.0.1:6379/0\",\n"
              "             write: through, password_file: /nowhere}\n");
    struct hf_agent_config *config = load(text);
    assert_string_equal(told, "");
    assert_string_equal(
        warned, "8: mode: replicated does not use 'external', its store is not spoken to: write "
                "mode: external to keep sessions there, with copies at 'peers' where there are "
                "any, or leave it out\n");
    assert_int_equal(config->mode, HF_AGENT_REPLICATED);
    assert_true(config->replication.on && config->memcached.size > 0);
    assert_null(config->external.url);
    assert_null(config->external.password);
    hf_agent_config_free(&config);

    assert_null(load(AGENT(STORE "  peer: 127.0.0.1:7401\n" PEERS)));
    assert_string_equal(told, "4: 'external' needs a mode that uses it: add mode: external, with "
                              "copies at 'peers' where there are any, or leave it out\n");
    assert_null(load(AGENT(STORE)));
    assert_non_null(strstr(told, "add mode: external"));
    assert_null(load(AGENT("  mode: local\n  external: {url: \"http://127.0.0.1\"}\n")));
    assert_non_null(strstr(told, "'url' begins with none of"));
}

static void the_warnings_of_a_file_have_a_limit(void **state)
{
    static const char agent[] =
        "---\n" AGENT("  peer: 127.0.0.1:7401\n" PEERS STORE "  mode: local\n");
    enum { SIZE = sizeof(agent) - 1, COUNT = HF_CONFIG_WARNINGS_MAX / 2 };
    char text[COUNT * SIZE];
    struct hf_config_report report = {0};
    for (unsigned i = 0; i < COUNT; i++)
        memcpy(text + (size_t)i * SIZE, agent, SIZE);
    assert_int_equal(hf_config_check_agent_text(hf_slice(text, sizeof(text)), "x.yaml", &report),
                     0);
    assert_int_equal(report.count, 0);
    assert_int_equal(report.warning_count, HF_CONFIG_WARNINGS_MAX);
    hf_config_report_fini(&report);
    assert_int_equal(report.warning_count, 0);
}

static void mistakes_are_told(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {AGENT("  peer: 127.0.0.1:7409\n" PEERS),
         "4: 'peer' is 127.0.0.1:7409, and 'peers' has no such address: name this agent there, "
         "with that address\n"},
        {AGENT("  peer: 127.0.0.1:7401\n  peers: {a: \"127.0.0.1:7401\", b: \"127.0.0.1:7401\"}\n"),
         "4: 'peer' is 127.0.0.1:7401, and 'peers' has that address twice: name this agent there, "
         "with that address\n"},
        {"node: b\n" AGENT("  peer: 127.0.0.1:7401\n" PEERS),
         "5: 'peer' is 127.0.0.1:7401, which 'peers' gives to 'a' and not to this node, 'b': "
         "correct one of them\n"},
        {AGENT("  peer: 127.0.0.1:7401\n  peers: {a: \"127.0.0.1:7401\", b: \"10.0.0.2:7401\"}\n"),
         "5: 'b' is not on loopback and there is no 'peer_key_file': add peer_key_file: "
         "/etc/holdfast/peer.key\n"},
        {AGENT("  peer: 127.0.0.1:7401\n" PEERS_ODD),
         "5: 'b' is '127.0.0.1:0', where nobody can be reached: write the address and the port "
         "that its 'peer' has\n"
         "5: 'd' has the address of 'c': write the one that its own 'peer' has\n"},
        {AGENT("  peer: 0.0.0.0:7401\n  peer_key_file: x\n"
               "  peers: {a: \"0.0.0.0:7401\", b: \"127.0.0.1:7402\"}\n"),
         "6: 'a' is '0.0.0.0:7401', where nobody can be reached: write the address and the port "
         "that its 'peer' has\n"},
        {AGENT("  peer: 127.0.0.1:6380\n  peers: {a: \"127.0.0.1:6380\", b: "
               "\"127.0.0.1:7402\"}\n"),
         "4: 'peer' has the address of 'redis': give it one of its own\n"},
        {AGENT("  memcached: 127.0.0.1:6380\n") "admin: {bind: \"127.0.0.1:6380\"}\n",
         "4: 'memcached' has the address of 'redis': give it one of its own\n"
         "5: 'admin' has the address of 'redis': give it one of its own\n"
         "5: 'admin' has the address of 'memcached': give it one of its own\n"},
        {AGENT("  mode: external\n  external:\n    url: \"redis://127.0.0.1:6380/1\"\n"),
         "6: 'url' is where this agent itself listens: write the store's address\n"},
        {AGENT("  mode: external\n  external:\n    url: "
               "\"redis+cluster://127.0.0.1:0,127.0.0.1:1?x=1\"\n"),
         "6: 'url' has port 0 in '127.0.0.1:0': write the store's\n"
         "6: 'url' has '127.0.0.1:1?x=1': write a numeric address and a port, [ADDRESS]:PORT for "
         "IPv6: names are not looked up\n"},
        {AGENT("  peer: 127.0.0.1:7401\n  peers: {a: \"127.0.0.1:7401\"}\n"),
         "2: backups: 1 with 1 in 'peers': name at least 2 there, or write mode: local\n"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_null(load(rows[i].text));
        assert_string_equal(told, rows[i].wanted);
    }
}

static void write_key(const char *path, const char *key, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, key, strlen(key)), strlen(key));
    close(fd);
}

static void a_key_is_read_and_never_everybodys(void **state)
{
    static const char key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    char folder[] = "/tmp/holdfast-peers-XXXXXX", path[64], text[TEXT_MAX];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/peer.key", folder);
    snprintf(
        text, sizeof(text), "%s  peer_key_file: %s\n",
        AGENT("  peer: 10.0.0.1:7401\n  peers: {a: \"10.0.0.1:7401\", b: \"10.0.0.2:7401\"}\n"),
        path);

    assert_null(load(text));
    assert_non_null(strstr(told, "cannot be read (No such file or directory): make one with "
                                 "`holdfast keygen`"));
    write_key(path, "not a key", 0600);
    assert_null(load(text));
    assert_non_null(strstr(told, "is no peer key: write 64 hex digits"));
    FILE *odd = fopen(path, "we");
    assert_true(odd != NULL && fwrite("ab\0cd\n", 1, 6, odd) == 6 && fclose(odd) == 0);
    assert_null(load(text));
    assert_non_null(strstr(told, "has a zero byte in it: write text alone"));
    write_key(path, key, 0600);
    struct hf_agent_config *config = load(text);
    assert_string_equal(told, "");
    assert_true(config->replication.has_key);
    assert_int_equal(config->replication.key[1], 0x11);

    struct hf_agent_config *same = load(text);
    assert_true(hf_agent_config_same_replication(config, same));
    hf_agent_config_free(&same);
    char other[sizeof(key)];
    memcpy(other, key, sizeof(key));
    other[0] = '1';
    write_key(path, other, 0600);
    same = load(text);
    assert_false(hf_agent_config_same_replication(config, same));
    hf_agent_config_free(&same);
    hf_agent_config_free(&config);

    assert_int_equal(chmod(path, 0644), 0);
    assert_null(load(text));
    assert_non_null(strstr(told, "can be read by everyone"));
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_they_are_and_which_of_them_it_is),
        cmocka_unit_test(alone_it_has_none),
        cmocka_unit_test(a_store_goes_with_them_or_without),
        cmocka_unit_test(what_the_mode_does_not_use_is_warned_of),
        cmocka_unit_test(a_store_may_stand_beside_another_mode),
        cmocka_unit_test(the_warnings_of_a_file_have_a_limit),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(a_key_is_read_and_never_everybodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
