/* Server identities by small numbers, so that an entry holds 16 bits instead of 64. A number
 * belongs to an identity, never to a position in a configuration, and is never given to another.
 * Threads: any; finding takes no lock. Layer: table, an inside of it. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
    HF_DICTIONARY_MAX = 65535,          /* identities in the life of a process */
    HF_DICTIONARY_SLOTS = 2 * 64 * 1024 /* a power of two beyond it */
};

struct hf_dictionary {
    pthread_mutex_t lock;     /* of adding */
    unsigned count;           /* under the lock */
    _Atomic uint64_t *ids;    /* owned, [HF_DICTIONARY_MAX + 1]; [0] unused */
    _Atomic uint16_t *places; /* owned, [HF_DICTIONARY_SLOTS]; 0 = free */
};

/* 0 or -ENOMEM. */
int hf_dictionary_init(struct hf_dictionary *dictionary);
void hf_dictionary_fini(struct hf_dictionary *dictionary);
/* The number of an identity (not 0), made if it is new. 0 when all are taken. */
uint16_t hf_dictionary_number(struct hf_dictionary *dictionary, uint64_t id);
/* The identity of a number that was given out. */
uint64_t hf_dictionary_id(const struct hf_dictionary *dictionary, uint16_t number);
