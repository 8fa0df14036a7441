/* An intrusive doubly linked list. Never allocates. Threads: the owner's. Layer: base. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct hf_list { /* a head, or a member's node; a node in no list points to itself */
    struct hf_list *next, *previous;
};

#define hf_container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void hf_list_init(struct hf_list *node)
{
    node->next = node->previous = node;
}

static inline bool hf_list_empty(const struct hf_list *node)
{
    return node->next == node;
}

static inline void hf_list_insert_after(struct hf_list *at, struct hf_list *node)
{
    node->next = at->next;
    node->previous = at;
    at->next->previous = node;
    at->next = node;
}

static inline void hf_list_push_front(struct hf_list *head, struct hf_list *node)
{
    hf_list_insert_after(head, node);
}

static inline void hf_list_push_back(struct hf_list *head, struct hf_list *node)
{
    hf_list_insert_after(head->previous, node);
}

/* Takes the node out of whatever list it is in; harmless when it is in none. */
static inline void hf_list_remove(struct hf_list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    hf_list_init(node);
}

static inline struct hf_list *hf_list_pop_front(struct hf_list *head)
{
    struct hf_list *node = head->next;
    if (node == head)
        return NULL;
    hf_list_remove(node);
    return node;
}

/* Moves all members of `from` behind those of `to`; both are heads. */
static inline void hf_list_splice_back(struct hf_list *to, struct hf_list *from)
{
    if (hf_list_empty(from))
        return;
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    hf_list_init(from);
}

/* Safe against removal of `node` inside the body, not of its successor. */
#define HF_LIST_EACH(head, node)                                                                   \
    for (struct hf_list *node = (head)->next, *node##_next = node->next; node != (head);           \
         node = node##_next, node##_next = node->next)
