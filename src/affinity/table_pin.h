/* Strategies with a table: the client's key names an entry, the entry a server. What `learn` and
 * `source_ip: table` share; they differ in the key, and in who may make an entry.
 * Threads: the worker's; the tables are everyone's. Layer: affinity. */
#pragma once
#include "affinity/strategy.h"

/* Takes hold of the tables that the configuration's strategies name. 0 or negative errno. */
int hf_table_pin_open(struct hf_affinity_worker *worker, const struct hf_config *config);
void hf_table_pin_close(struct hf_affinity_worker *worker);
/* hf_strategy_fn */
enum hf_affinity_verdict hf_table_pin_identify(struct hf_affinity_worker *worker,
                                               const struct hf_pool *pool,
                                               const struct hf_affinity *affinity,
                                               const struct hf_affinity_request *request,
                                               struct hf_affinity_choice *choice);
/* Makes the entries of the strategies [0, asked) for the server that was chosen, before it is
 * asked: of first requests that come together one wins, and the others follow him. */
void hf_table_pin_claim(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                        const struct hf_affinity_request *request, unsigned asked,
                        struct hf_affinity_choice *choice);
/* pool->servers[served] answered: the entry moves there when its owner is judged unusable, and a
 * new entry when another than the chosen one answered. The only place where entries move. Answers
 * whether a client moved. */
bool hf_table_pin_settle(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                         const struct hf_affinity_request *request,
                         const struct hf_affinity_choice *choice, unsigned served);
