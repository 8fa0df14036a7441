/* A file that uses all of the contract is right but for what is not built: each such key is told
 * once, with its line, and nothing else is. */
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// clang-format off
static const char whole[] =
    "node: edge-1\n"                                                                      /*  1 */
    "workers: auto\n"
    "admin: {bind: \"127.0.0.1:9900\", token_file: /nowhere/admin.token}\n"
    "state_dir: /nowhere/state\n"
    "log: {level: warning, access: stdout, format: common}\n"
    "cookie_keys: [{id: 1, file: /nowhere/cookie.key}, {id: 2, file: /nowhere/old.key}]\n"
    "limits: {connections: 500, request_head: 16KiB, headers: 64, request_body: 1GiB}\n"
    "timeouts: {client_head: 5s, client_idle: 30s, connect: 1s, response_head: 20s,\n"
    "           response_idle: 20s, tunnel_idle: 2h}\n"
    "trusted_proxies: [10.1.0.0/16]\n"                                                    /* 10 */
    "listeners:\n"
    "- {name: plain, bind: \"0.0.0.0:80\"}\n"
    "- name: secure\n"
    "  bind: \"[::]:443\"\n"
    "  tls: {certificates: [{certificate: a.pem, key: a.key}], alpn: [h2], minimum: \"1.3\"}\n"
    "- {name: behind, bind: \"0.0.0.0:81\", proxy_protocol: yes}\n"
    "- {name: queue, bind: \"0.0.0.0:5672\", protocol: tcp, pool: queue}\n"
    "routes: [{host: \"*.example.com\", path: /v2/, pool: tenants}, {pool: forum}]\n"
    "pools:\n"
    "- name: forum\n"                                                                     /* 20 */
    "  balance: maglev\n"
    "  affinity:\n"
    "  - {cookie: FORUM, mode: prefix}\n"
    "  - {cookie: OTHER, hash: ring, bounded_load: 1.5}\n"
    "  - {source_ip: table, ipv4_prefix: 24, expire: 5m, size: 1000}\n"
    "  session: {cookie: connect.sid, format: express}\n"
    "  failback: return\n"
    "  on_loss: error\n"
    "  breaker: {connections: 10, pending: 0}\n"
    "  slow_start: 1m\n"                                                                  /* 30 */
    "  servers:\n"
    "  - {name: f1, address: \"10.1.0.1:80\", agent: \"10.1.0.1:7401\"}\n"
    "- name: tenants\n"
    "  balance: jump\n"
    "  failback: temporary\n"
    "  affinity: [{header: X-Org, hash: rendezvous}, {query: org, expire: 1h},\n"
    "             {path_param: org, size: 10}, {learn: SID, expire: 1h},\n"
    "             {route: JSESSIONID, separator: \"~\"}]\n"
    "  servers: [{name: t1, address: \"10.1.0.2:80\"}]\n"
    "- {name: queue, balance: rendezvous, servers: [{name: q1, address: \"10.1.0.3:5672\"}]}\n"
    "- {name: ring, balance: ring, on_loss: {redirect: /welcome},\n"
    "   servers: [{name: r1, address: \"unix:/run/r1\"}]}\n"
    "---\n"
    "node: f1\n"
    "admin: {bind: 127.0.0.1:9911}\n"
    "state_dir: /var/lib/agent\n"
    "log: {level: debug}\n"
    "agent:\n"
    "  redis: 127.0.0.1:6380\n"
    "  memcached: 127.0.0.1:11311\n"
    "  password_file: /nowhere/pass\n"                                                    /* 50 */
    "  peer: 10.1.0.1:7401\n"
    "  peer_key_file: /nowhere/peer.key\n"
    "  peers: {f1: \"10.1.0.1:7401\", f2: \"10.1.0.2:7401\", f3: \"10.1.0.3:7401\"}\n"
    "  mode: transition\n"
    "  backups: 2\n"
    "  acknowledge: memory\n"
    "  session_keys: [\"forum:{id}\", \"{id}.lock\"]\n"
    "  tombstones: {strict: [\"forum:\"], miss: []}\n"
    "  memory: 512MiB\n"
    "  when_full: evict\n"                                                                /* 60 */
    "  consistency: consistent\n"
    "  external: {url: \"redis+cluster://10.1.0.9:6379\", write: behind}\n"
    "---\n"
    "agent: {memcached: 127.0.0.1:11311, peer: 127.0.0.1:7401, peers: {dns: \"f.example:7401\"}}\n"
    "---\n"
    "agent: {redis: 127.0.0.1:6380, peer: 127.0.0.1:7401,\n"
    "        peers: {etcd: {endpoints: [\"http://127.0.0.1:2379\"], prefix: /x/}}}\n";

static const char *const told[] = {
    "15: not supported yet: tls of a listener: ",
    "16: not supported yet: proxy_protocol: true of a listener: ",
    "17: not supported yet: protocol: tcp of a listener: ",
    "65: not supported yet: dns of peers: ",
    "68: not supported yet: etcd of peers: ",
};
// clang-format on
enum { TOLD_COUNT = sizeof(told) / sizeof(told[0]), TOLD_OF_PROXY = 3 };

static void what_is_ahead_is_told_and_nothing_else(void **state)
{
    (void)state;
    struct hf_config_report report;
    struct hf_config *config = NULL;
    assert_int_equal(hf_config_load_text(hf_slice_text(whole), "x", true, &config, &report),
                     -EINVAL);
    assert_null(config);
    for (unsigned i = 0; i < report.count; i++) {
        char line[700];
        snprintf(line, sizeof(line), "%u: %s", report.messages[i].line, report.messages[i].text);
        if (i >= TOLD_COUNT || strncmp(line, told[i], strlen(told[i])) != 0)
            print_error("told: %s\n", line);
        assert_true(i < TOLD_COUNT && strncmp(line, told[i], strlen(told[i])) == 0);
        assert_true(strlen(line) > strlen(told[i])); /* what to write instead */
    }
    assert_int_equal(report.count, TOLD_COUNT);
    assert_int_equal(report.more, 0);
    hf_config_report_fini(&report);
}

static void agents_are_validated_alone_and_behind_a_proxy(void **state)
{
    (void)state;
    struct hf_config_report report;
    const char *agents = strstr(whole, "---\n");
    assert_non_null(agents);
    const char *texts[] = {whole, agents};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(hf_config_check_agent_text(hf_slice_text(texts[i]), "x", &report),
                         -EINVAL);
        assert_int_equal(report.count, TOLD_COUNT - TOLD_OF_PROXY);
        hf_config_report_fini(&report);
    }

    static const char bad[] = "node: f9\nagent: {redis: 127.0.0.1:6380, peer: 127.0.0.1:7401,\n"
                              "  peers: {f1: \"127.0.0.1:7401\"}}\n";
    assert_int_equal(hf_config_check_agent_text(HF_SLICE(bad), "x", &report), -EINVAL);
    assert_int_equal(report.count, 2);
    assert_int_equal(report.messages[0].line, 2);
    assert_string_equal(
        report.messages[0].text,
        "backups: 1 with 1 in 'peers': name at least 2 there, or write mode: local");
    assert_int_equal(report.messages[1].line, 3);
    assert_string_equal(report.messages[1].text, "'peers' does not name this node, 'f9': add f9 "
                                                 "with the address of 'peer'");
    hf_config_report_fini(&report);

    static const char none[] = "listeners: []\n";
    assert_int_equal(hf_config_check_agent_text(HF_SLICE(none), "x", &report), -EINVAL);
    assert_string_equal(report.messages[0].text,
                        "no 'agent' in the file: write agent: {redis: 127.0.0.1:6380}");
    hf_config_report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ahead_is_told_and_nothing_else),
        cmocka_unit_test(agents_are_validated_alone_and_behind_a_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
