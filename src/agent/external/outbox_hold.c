/* Operations that are answered when the store has their key, or the time for that is over. An
 * operation is owned by the fabric until it is finished, and then waits here. */
#include "agent/external/outbox_internal.h"
#include "base/assert.h"
#include <stdlib.h>

static void free_ticket(struct hf_outbox_ticket *ticket)
{
    ticket->op->held = NULL;
    hf_list_remove(&ticket->node);
    hf_list_remove(&ticket->timed);
    free(ticket);
}

void hf_outbox_hold(struct hf_outbox_key *key, struct hf_fabric_op *op)
{
    struct hf_outbox *outbox = key->outbox;
    struct hf_outbox_ticket *ticket = calloc(1, sizeof(*ticket));
    if (ticket == NULL)
        return; /* copies have it; the store in its time */
    REQUIRE(op->held == NULL);
    *ticket = (struct hf_outbox_ticket){.key = key,
                                        .op = op,
                                        .version = key->version,
                                        .until_ms = hf_outbox_now_ms(outbox) + HF_OUTBOX_HOLD_MS};
    op->held = ticket;
    hf_list_push_back(&key->tickets, &ticket->node);
    hf_list_push_back(&outbox->tickets, &ticket->timed);
}

/* What goes on may begin the next operation, and end others' wait. */
static void let_go(struct hf_outbox *outbox, struct hf_outbox_ticket *ticket)
{
    struct hf_fabric_op *op = ticket->op;
    uint64_t now_ms = hf_outbox_now_ms(outbox);
    hf_list_remove(&ticket->node);
    hf_list_remove(&ticket->timed);
    ticket->stored = true;
    if (!ticket->finished) {
        hf_list_push_back(&outbox->stored, &ticket->timed);
        return;
    }
    free_ticket(ticket);
    hf_replicated_set_time(outbox->settings.replicated, now_ms);
    hf_sessions_set_time(outbox->settings.sessions, now_ms, hf_loop_wall_ms(outbox->settings.loop));
    hf_replicated_resume(outbox->settings.replicated, op);
}

void hf_outbox_let_go(struct hf_outbox_key *key, uint64_t version)
{
    struct hf_outbox *outbox = key->outbox;
    struct hf_list gone, *node;
    hf_list_init(&gone);
    while (!hf_list_empty(&key->tickets)) {
        struct hf_outbox_ticket *ticket =
            hf_container_of(key->tickets.next, struct hf_outbox_ticket, node);
        if (ticket->version > version)
            break;
        hf_list_remove(&ticket->node);
        hf_list_push_back(&gone, &ticket->node);
    }
    while ((node = hf_list_pop_front(&gone)) != NULL)
        let_go(outbox, hf_container_of(node, struct hf_outbox_ticket, node));
}

void hf_outbox_let_go_late(struct hf_outbox *outbox)
{
    uint64_t now_ms = hf_outbox_now_ms(outbox);
    while (!hf_list_empty(&outbox->tickets)) {
        struct hf_outbox_ticket *ticket =
            hf_container_of(outbox->tickets.next, struct hf_outbox_ticket, timed);
        if (ticket->until_ms > now_ms)
            return;
        outbox->counts.kept++;
        let_go(outbox, ticket);
    }
}

bool hf_outbox_held(void *user, struct hf_fabric_op *op)
{
    struct hf_outbox_ticket *ticket = op->held;
    bool done = op->status == HF_FABRIC_OK || op->status == HF_FABRIC_DEGRADED;
    (void)user;
    ticket->finished = true;
    if (done && !ticket->stored)
        return true;
    free_ticket(ticket);
    return false;
}

void hf_outbox_let_go_all(struct hf_outbox *outbox)
{
    struct hf_list *node;
    HF_LIST_EACH(&outbox->tickets, ticket)
    {
        if (!hf_container_of(ticket, struct hf_outbox_ticket, timed)->finished)
            free_ticket(hf_container_of(ticket, struct hf_outbox_ticket, timed));
    }
    while ((node = hf_list_pop_front(&outbox->stored)) != NULL)
        free_ticket(hf_container_of(node, struct hf_outbox_ticket, timed));
    while (!hf_list_empty(&outbox->tickets))
        let_go(outbox, hf_container_of(outbox->tickets.next, struct hf_outbox_ticket, timed));
}
