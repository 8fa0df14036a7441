#include "table/dictionary.h"

#include "base/assert.h"
#include "base/hash.h"
#include <errno.h>
#include <stdlib.h>

int hf_dictionary_init(struct hf_dictionary *dictionary)
{
    *dictionary = (struct hf_dictionary){0};
    pthread_mutex_init(&dictionary->lock, NULL);
    dictionary->ids = calloc(HF_DICTIONARY_MAX + 1, sizeof(*dictionary->ids));
    dictionary->places = calloc(HF_DICTIONARY_SLOTS, sizeof(*dictionary->places));
    if (dictionary->ids != NULL && dictionary->places != NULL)
        return 0;
    hf_dictionary_fini(dictionary);
    return -ENOMEM;
}

void hf_dictionary_fini(struct hf_dictionary *dictionary)
{
    free((void *)dictionary->ids);
    free((void *)dictionary->places);
    pthread_mutex_destroy(&dictionary->lock);
    *dictionary = (struct hf_dictionary){0};
}

/* The place of the identity, or the free one where it would go. acquire: the id stored before the
 * number was published. */
static unsigned find(const struct hf_dictionary *dictionary, uint64_t id, uint16_t *ret_number)
{
    unsigned at = (unsigned)hf_hash_mix(id, 0) & (HF_DICTIONARY_SLOTS - 1);
    for (;;) {
        uint16_t number = atomic_load_explicit(&dictionary->places[at], memory_order_acquire);
        *ret_number = number;
        if (number == 0 || hf_dictionary_id(dictionary, number) == id)
            return at;
        at = (at + 1) & (HF_DICTIONARY_SLOTS - 1);
    }
}

uint16_t hf_dictionary_number(struct hf_dictionary *dictionary, uint64_t id)
{
    REQUIRE(id != 0);
    uint16_t number;
    find(dictionary, id, &number);
    if (number != 0)
        return number;
    pthread_mutex_lock(&dictionary->lock);
    unsigned at = find(dictionary, id, &number);
    if (number == 0 && dictionary->count < HF_DICTIONARY_MAX) {
        number = (uint16_t)++dictionary->count;
        atomic_store_explicit(&dictionary->ids[number], id, memory_order_relaxed);
        atomic_store_explicit(&dictionary->places[at], number, memory_order_release);
    }
    pthread_mutex_unlock(&dictionary->lock);
    return number;
}

uint64_t hf_dictionary_id(const struct hf_dictionary *dictionary, uint16_t number)
{
    return atomic_load_explicit(&dictionary->ids[number], memory_order_relaxed);
}
