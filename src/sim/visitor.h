/* A user's request as the product sees it: a head that the product's parser read once, with the
 * user's key and address put into place, and a token that is kept as a struct instead of sealed.
 * Never keeps anything of a user. Threads: one a visitor. Layer: sim. */
#pragma once
#include "sim/fleet.h"
#include "sim/population.h"

enum { HF_VISITOR_TEXT_MAX = 8192, HF_VISITOR_PLACES_MAX = HF_AFFINITIES_MAX };

struct hf_visitor_head { /* one shape of request */
    char text[HF_VISITOR_TEXT_MAX];
    struct hf_head head;
    uint16_t key_at[HF_VISITOR_PLACES_MAX]; /* where the session key goes */
    unsigned key_count;
};

struct hf_visitor {
    struct hf_fleet *fleet;           /* borrowed */
    struct hf_population *population; /* borrowed */
    struct hf_visitor_head *heads;    /* owned; one for each set of keys that a user may bring */
    struct hf_affinity_request request;
    struct hf_address client;
    uint32_t user; /* whose request it is */
    uint64_t sealed, checked;
};

/* Shapes requests for the fleet's pool, and puts its own cipher into the fleet's worker. 0 or
 * -ENOMEM. */
int hf_visitor_init(struct hf_visitor *visitor, struct hf_fleet *fleet,
                    struct hf_population *population);
void hf_visitor_fini(struct hf_visitor *visitor);

enum hf_visit_end {
    HF_VISIT_ANSWERED,
    HF_VISIT_NO_SERVER, /* 503 */
    HF_VISIT_ON_LOSS,   /* error or redirect of the pool's on_loss */
};
struct hf_visit {
    enum hf_visit_end end;
    unsigned member; /* ANSWERED: who did */
    bool stood_in;   /* ANSWERED: by another than was chosen, and the pin stays */
};
/* One request of the user: identify, choose, try, stick, as the proxy's steps do. */
struct hf_visit hf_visitor_request(struct hf_visitor *visitor, uint32_t user, uint32_t now_ms);
