/* What is told of servers' states, to a real agent's links. */
#include "config/config.h"
#include "fabric/links_node.h"
#include "proxy/telling.h"
#include <stdio.h>
#include <stdlib.h>

/* One agent beside a server of each pool, another beside the second server of the first. */
static const char file[] =
    "listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
    "routes: [{path: /, pool: shop}]\n"
    "state_dir: /nonexistent\n"
    "pools:\n"
    "- name: shop\n"
    "  affinity: [{source_ip: hash}]\n"
    "  servers: [{name: app1, address: \"127.0.0.1:1\", agent: \"%s\"}, {name: app2, address: "
    "\"127.0.0.1:2\", agent: \"127.0.0.1:3\"}]\n"
    "- name: api\n"
    "  affinity: [{source_ip: hash}]\n"
    "  servers: [{name: app1, address: \"127.0.0.1:4\", agent: \"%s\"}]\n";

static struct hf_links_node *const nodes = hf_links_nodes.nodes;
static struct hf_telling *telling;
static struct hf_config *config;

static void load(bool with_key)
{
    char address[HF_ADDRESS_TEXT_MAX], text[sizeof(file) + 2 * HF_ADDRESS_TEXT_MAX];
    struct hf_config_report report;
    hf_address_format(&hf_links_nodes.addresses[0], address);
    snprintf(text, sizeof(text), file, address, address);
    int result = hf_config_load_text(hf_slice_text(text), "x", false, &config, &report);
    if (result != 0)
        fail_msg("%s", report.messages[0].text);
    config->has_agent_key = with_key;
    if (with_key)
        memcpy(config->agent_key, hf_links_node_settings(0).key, sizeof(config->agent_key));
}

static int set_up(void **state)
{
    int result = hf_links_node_set_up(state);
    load(true);
    hf_links_node_start(0);
    assert_int_equal(hf_telling_new(hf_links_nodes.loop, &telling), 0);
    assert_int_equal(hf_telling_apply(telling, config), 0);
    return result;
}

static int tear_down(void **state)
{
    hf_telling_free(&telling);
    hf_config_unref(&config);
    return hf_links_node_tear_down(state);
}

static struct hf_server *server(unsigned pool, unsigned number)
{
    return config->pools[pool].servers[number].server;
}

static void set(unsigned pool, unsigned number, enum hf_admin_state state)
{
    atomic_store(&server(pool, number)->admin, (uint8_t)state);
    hf_telling_look(telling);
}

static bool drained(void)
{
    return hf_links_drains(nodes[0].links);
}

static bool not_drained(void)
{
    return !drained();
}

/* A value of the exposition; 0: there is no such row. */
static double counted(const char *row)
{
    char *text = hf_metrics_text(&(size_t){0}), *found = strstr(text, row);
    double value = found != NULL ? strtod(found + strlen(row), NULL) : 0;
    free(text);
    return value;
}

static double drains_before;

static bool drain_is_counted(void)
{
    return counted("\nholdfast_agents_told_total{what=\"drain\"} ") == drains_before + 1;
}

static bool ready_is_counted(void)
{
    return counted("\nholdfast_agents_told_total{what=\"ready\"} ") == 1;
}

static void an_agent_is_drained_with_the_last_of_its_servers(void **state)
{
    drains_before = counted("\nholdfast_agents_told_total{what=\"drain\"} ");
    set(0, 0, HF_ADMIN_DRAIN);
    hf_links_node_for(50);
    assert_false(drained());
    set(1, 0, HF_ADMIN_MAINTENANCE);
    hf_links_node_until(drained);
    hf_links_node_until(drain_is_counted);
    set(0, 0, HF_ADMIN_READY);
    hf_links_node_until(not_drained);
    hf_links_node_until(ready_is_counted);
}

/* Nobody says that something changed. */
static void a_change_is_seen_by_itself(void **state)
{
    atomic_store(&server(0, 0)->admin, (uint8_t)HF_ADMIN_DRAIN);
    atomic_store(&server(1, 0)->admin, (uint8_t)HF_ADMIN_DRAIN);
    hf_links_node_until(drained);
}

static bool death_is_counted(void)
{
    return counted("\nholdfast_agents_told_total{what=\"dead\"} ") == 1;
}

static void of_a_death_the_others_are_told(void **state)
{
    atomic_store(&server(0, 0)->health, (uint8_t)HF_HEALTH_DOWN); /* its own is not its business */
    hf_telling_look(telling);
    hf_links_node_for(50);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TELLERS), 0);
    atomic_store(&server(0, 1)->health, (uint8_t)HF_HEALTH_DOWN);
    hf_telling_look(telling);
    hf_links_node_until(death_is_counted);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TOLD_DEAD), 1);
    assert_false(drained());
}

static bool nobody_tells(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_TELLERS) == 0;
}

static bool refused(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_PROOF) > 0;
}

/* As after a reload that brought another key, or took the agents away. */
static void another_snapshot_is_gone_on_with(void **state)
{
    struct hf_config *before = config;
    set(0, 0, HF_ADMIN_DRAIN);
    set(1, 0, HF_ADMIN_DRAIN);
    hf_links_node_until(drained);
    assert_int_equal(hf_telling_apply(telling, config), 0); /* the same: its connection stays */
    hf_links_node_for(50);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TELLERS), 1);
    load(false);
    assert_int_equal(hf_telling_apply(telling, config), 0);
    hf_config_unref(&before);
    hf_links_node_until(nobody_tells);
    hf_links_node_until(refused);
}

static bool unknown_is_counted(void)
{
    return counted(
               "\nholdfast_sessions_confirmed_total{answer=\"unknown\",cause=\"maintenance\"} ") ==
           2;
}

static void a_question_is_counted_by_its_cause(void **state)
{
    struct hf_address nobody;
    assert_int_equal(hf_address_parse(HF_SLICE("127.0.0.1:9"), &nobody), 0);
    hf_telling_ask(telling, &hf_links_nodes.addresses[0], HF_SLICE("id"), 1);
    hf_telling_ask(telling, &nobody, HF_SLICE("id"), 1); /* configured no more */
    hf_links_node_until(unknown_is_counted);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_ASKED), 1);
}

int main(void)
{
#define TELLING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TELLING_TEST(an_agent_is_drained_with_the_last_of_its_servers),
        TELLING_TEST(a_change_is_seen_by_itself),
        TELLING_TEST(of_a_death_the_others_are_told),
        TELLING_TEST(another_snapshot_is_gone_on_with),
        TELLING_TEST(a_question_is_counted_by_its_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
