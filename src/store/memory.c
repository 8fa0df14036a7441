#include "store/memory.h"
#include "base/assert.h"
#include <errno.h>
#include <malloc.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SPAN_UNITS = HF_MEMORY_SPAN / HF_MEMORY_UNIT,
    USABLE_STEP = 16, /* spans whose addresses become usable at once: 1 MiB a system call */
    SMALL_MAX = 2048, /* bytes; classes up to here are HF_MEMORY_UNIT apart */
    SMALL_CLASSES = (SMALL_MAX - HF_MEMORY_BLOCK_MIN) / HF_MEMORY_UNIT + 1,
    LARGE_SLOTS_MIN = 16, /* blocks of the largest class in a span */
    PACK_CANDIDATES = 64, /* spans looked at for the emptiest one */
    PACK_SLACK_SHARE = 64,
    MALLOC_HEADER = sizeof(size_t), /* glibc's, beside what malloc_usable_size tells */
    POISON_FROM = 64, /* bytes of a free block that packing and the free list may read */
};

static uint64_t span_count_max(const struct hf_memory *memory)
{
    return memory->addresses / HF_MEMORY_SPAN;
}

static bool refused(struct hf_memory *memory)
{
    return memory->refuse_in > 0 && --memory->refuse_in == 0;
}

/* Whether that many bytes more are too many. */
static bool exceeds(struct hf_memory *memory, size_t more, size_t limit)
{
    if (more <= limit && memory->used <= limit - more && !refused(memory))
        return false;
    memory->wanted = more;
    return true;
}

static void *reserve(size_t size, int protection)
{
    void *area = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return area == MAP_FAILED ? NULL : area;
}

static void init_classes(struct hf_memory *memory)
{
    _Static_assert(SMALL_CLASSES + LARGE_SLOTS_MIN == HF_MEMORY_CLASSES, "classes");
    unsigned size = 0;
    for (unsigned i = 0; i < HF_MEMORY_CLASSES; i++) {
        unsigned slots = 2 * LARGE_SLOTS_MIN - 1 - (i - SMALL_CLASSES);
        unsigned last = size;
        size = i < SMALL_CLASSES ? HF_MEMORY_BLOCK_MIN + i * HF_MEMORY_UNIT
                                 : HF_MEMORY_SPAN / slots / HF_MEMORY_UNIT * HF_MEMORY_UNIT;
        memory->classes[i].size = (uint16_t)size;
        memory->classes[i].slots = (uint16_t)(HF_MEMORY_SPAN / size);
        for (unsigned unit = last / HF_MEMORY_UNIT + (i > 0); unit <= size / HF_MEMORY_UNIT; unit++)
            memory->class_of[unit] = (uint8_t)i;
    }
    REQUIRE(size == HF_MEMORY_BLOCK_MAX);
}

/* Addresses without memory cost nothing, but some count them: ulimit -v, a kernel that does not
 * overcommit, a program that watches this one. There as many as the limit needs will do. */
static char *reserve_blocks(struct hf_memory *memory, size_t limit)
{
    uint64_t addresses = HF_MEMORY_ADDRESSES;
    uint64_t least = limit < HF_MEMORY_ADDRESSES ? limit : HF_MEMORY_ADDRESSES;
    if (least < HF_MEMORY_ADDRESSES_MIN)
        least = HF_MEMORY_ADDRESSES_MIN;
    for (; memory->base == NULL && addresses >= least; addresses /= 2) {
        memory->base = reserve(addresses, PROT_NONE);
        memory->addresses = addresses;
    }
    return memory->base;
}

int hf_memory_init(struct hf_memory *memory, size_t limit)
{
    *memory = (struct hf_memory){.limit = limit, .span_count = 1};
    init_classes(memory);
    if (reserve_blocks(memory, limit) == NULL)
        return -ENOMEM;
    size_t size = span_count_max(memory) * sizeof(*memory->spans);
    memory->spans = reserve(size, PROT_READ | PROT_WRITE);
    if (memory->spans != NULL)
        return 0;
    munmap(memory->base, memory->addresses);
    memory->base = NULL;
    return -ENOMEM;
}

void hf_memory_fini(struct hf_memory *memory)
{
    if (memory->base == NULL)
        return;
    ASAN_UNPOISON_MEMORY_REGION(memory->base, (size_t)memory->usable_count * HF_MEMORY_SPAN);
    munmap(memory->base, memory->addresses);
    munmap(memory->spans, span_count_max(memory) * sizeof(*memory->spans));
    *memory = (struct hf_memory){0};
}

/* ---- spans ---- */

static char *span_bytes(const struct hf_memory *memory, uint32_t number)
{
    return memory->base + (uint64_t)number * HF_MEMORY_SPAN;
}

static void list_span(struct hf_memory *memory, uint32_t number)
{
    struct hf_memory_span *span = &memory->spans[number];
    struct hf_memory_class *class = &memory->classes[span->class];
    span->previous = 0;
    span->next = class->partial;
    if (class->partial != 0)
        memory->spans[class->partial].previous = number;
    class->partial = number;
    span->listed = 1;
}

static void unlist_span(struct hf_memory *memory, uint32_t number)
{
    struct hf_memory_span *span = &memory->spans[number];
    if (span->previous != 0)
        memory->spans[span->previous].next = span->next;
    else
        memory->classes[span->class].partial = span->next;
    if (span->next != 0)
        memory->spans[span->next].previous = span->previous;
    span->listed = 0;
}

/* A span with memory, of no class; 0 = none. */
static uint32_t take_span(struct hf_memory *memory, size_t limit)
{
    uint32_t number = memory->idle;
    if (number != 0) {
        memory->idle = memory->spans[number].next;
        memory->idle_count--;
        return number;
    }
    if (exceeds(memory, HF_MEMORY_SPAN + sizeof(struct hf_memory_span), limit))
        return 0;
    number = memory->gone;
    if (number != 0) {
        memory->gone = memory->spans[number].next;
        memory->used += HF_MEMORY_SPAN;
        return number;
    }
    if (memory->span_count >= memory->usable_count) {
        size_t size = (size_t)USABLE_STEP * HF_MEMORY_SPAN;
        if (memory->usable_count + USABLE_STEP > span_count_max(memory) ||
            mprotect(span_bytes(memory, memory->usable_count), size, PROT_READ | PROT_WRITE) != 0)
            return 0;
        memory->usable_count += USABLE_STEP;
    }
    memory->used += HF_MEMORY_SPAN + sizeof(struct hf_memory_span);
    return memory->span_count++;
}

static bool add_span(struct hf_memory *memory, unsigned number_class, size_t limit)
{
    uint32_t number = take_span(memory, limit);
    if (number == 0)
        return false;
    struct hf_memory_class *class = &memory->classes[number_class];
    memory->spans[number] = (struct hf_memory_span){.class = (uint8_t)number_class};
    ASAN_POISON_MEMORY_REGION(span_bytes(memory, number), HF_MEMORY_SPAN);
    list_span(memory, number);
    memory->grown = true;
    class->spans++;
    class->free += class->slots;
    memory->slack += (uint64_t) class->slots * class->size;
    return true;
}

static void drop_span(struct hf_memory *memory, uint32_t number)
{
    struct hf_memory_span *span = &memory->spans[number];
    struct hf_memory_class *class = &memory->classes[span->class];
    if (span->listed)
        unlist_span(memory, number);
    if (memory->packing == number)
        memory->packing = 0;
    class->spans--;
    class->free -= class->slots;
    memory->slack -= (uint64_t) class->slots * class->size;
    span->next = memory->idle;
    memory->idle = number;
    memory->idle_count++;
}

void hf_memory_trim(struct hf_memory *memory, unsigned count, unsigned keep)
{
    for (; count > 0 && memory->idle_count > keep; count--) {
        uint32_t number = memory->idle;
        memory->idle = memory->spans[number].next;
        memory->idle_count--;
        ASAN_UNPOISON_MEMORY_REGION(span_bytes(memory, number), HF_MEMORY_SPAN);
        madvise(span_bytes(memory, number), HF_MEMORY_SPAN, MADV_DONTNEED);
        memory->spans[number].next = memory->gone;
        memory->gone = number;
        memory->used -= HF_MEMORY_SPAN;
    }
}

/* ---- blocks ---- */

static char *slot_bytes(const struct hf_memory *memory, uint32_t number, unsigned slot)
{
    unsigned size = memory->classes[memory->spans[number].class].size;
    return span_bytes(memory, number) + (size_t)slot * size;
}

static uint32_t handle_of(const struct hf_memory *memory, const char *block)
{
    return (uint32_t)((uint64_t)(block - memory->base) / HF_MEMORY_UNIT);
}

uint32_t hf_memory_acquire(struct hf_memory *memory, unsigned class_number, size_t limit)
{
    REQUIRE(class_number < HF_MEMORY_CLASSES);
    struct hf_memory_class *class = &memory->classes[class_number];
    limit = limit < memory->limit ? limit : memory->limit;
    if (class->partial == 0 && !add_span(memory, class_number, limit))
        return 0;
    uint32_t number = class->partial;
    struct hf_memory_span *span = &memory->spans[number];
    unsigned slot = span->free > 0 ? span->free - 1u : span->fresh;
    char *block = slot_bytes(memory, number, slot);
    if (span->free > 0)
        memcpy(&span->free, block, sizeof(span->free));
    else
        span->fresh++;
    ASAN_UNPOISON_MEMORY_REGION(block, class->size);
    block[HF_MEMORY_MARK] = 0;
    span->live++;
    class->free--;
    memory->slack -= class->size;
    if (span->live == class->slots)
        unlist_span(memory, number);
    return handle_of(memory, block);
}

void hf_memory_release(struct hf_memory *memory, uint32_t handle)
{
    uint32_t number = handle / SPAN_UNITS;
    REQUIRE(number > 0 && number < memory->span_count);
    struct hf_memory_span *span = &memory->spans[number];
    struct hf_memory_class *class = &memory->classes[span->class];
    char *block = hf_memory_at(memory, handle);
    REQUIRE((uint8_t)block[HF_MEMORY_MARK] != HF_MEMORY_FREE && span->live > 0);
    block[HF_MEMORY_MARK] = (char)HF_MEMORY_FREE;
    memcpy(block, &span->free, sizeof(span->free));
    if (class->size > POISON_FROM)
        ASAN_POISON_MEMORY_REGION(block + POISON_FROM, class->size - POISON_FROM);
    span->free = (uint16_t)((size_t)(block - span_bytes(memory, number)) / class->size + 1);
    span->live--;
    class->free++;
    memory->slack += class->size;
    if (span->live == 0)
        drop_span(memory, number);
    else if (!span->listed && memory->packing != number)
        list_span(memory, number);
}

/* ---- packing ---- */

/* The emptiest of the first spans with room, if the others have room for its blocks. */
static uint32_t sparse_span(const struct hf_memory *memory, const struct hf_memory_class *class)
{
    if (class->free < class->slots)
        return 0;
    uint32_t best = class->partial, number = class->partial;
    for (unsigned i = 0; i < PACK_CANDIDATES && number != 0; i++) {
        if (memory->spans[number].live < memory->spans[best].live)
            best = number;
        number = memory->spans[number].next;
    }
    return best;
}

static bool begin_packing(struct hf_memory *memory)
{
    for (unsigned i = 0; i < HF_MEMORY_CLASSES; i++) {
        memory->packing_class = (memory->packing_class + 1) % HF_MEMORY_CLASSES;
        uint32_t number = sparse_span(memory, &memory->classes[memory->packing_class]);
        if (number == 0)
            continue;
        unlist_span(memory, number);
        memory->packing = number;
        memory->packing_slot = 0;
        return true;
    }
    return false;
}

static bool wanted(const struct hf_memory *memory, bool hard)
{
    size_t spans = memory->used - (size_t)memory->idle_count * HF_MEMORY_SPAN;
    return memory->packing != 0 || hard || memory->slack > spans / PACK_SLACK_SHARE;
}

/* Moves the next live block of the span being emptied. */
static void pack_slot(struct hf_memory *memory, hf_memory_moved_fn moved, void *user)
{
    uint32_t number = memory->packing;
    struct hf_memory_span *span = &memory->spans[number];
    struct hf_memory_class *class = &memory->classes[span->class];
    REQUIRE(memory->packing_slot < span->fresh);
    char *block = slot_bytes(memory, number, memory->packing_slot++);
    if ((uint8_t)block[HF_MEMORY_MARK] == HF_MEMORY_FREE)
        return;
    REQUIRE(class->partial != 0); /* sparse_span saw that there is room, and blocks only left */
    uint32_t to = hf_memory_acquire(memory, span->class, 0);
    memcpy(hf_memory_at(memory, to), block, class->size);
    moved(user, handle_of(memory, block), to);
    hf_memory_release(memory, handle_of(memory, block));
}

bool hf_memory_pack(struct hf_memory *memory, unsigned budget, bool hard, hf_memory_moved_fn moved,
                    void *user)
{
    memory->grown = false;
    for (; budget > 0; budget--) {
        if (!wanted(memory, hard))
            return false;
        if (memory->packing == 0 && !begin_packing(memory))
            return false;
        const struct hf_memory_class *class =
            &memory->classes[memory->spans[memory->packing].class];
        if (class->partial == 0) { /* others took the room meanwhile */
            uint32_t number = memory->packing;
            memory->packing = 0;
            list_span(memory, number);
            continue;
        }
        pack_slot(memory, moved, user);
    }
    return wanted(memory, hard);
}

/* ---- larger values ---- */

void *hf_memory_large_acquire(struct hf_memory *memory, size_t size, size_t limit)
{
    limit = limit < memory->limit ? limit : memory->limit;
    if (exceeds(memory, size, limit))
        return NULL;
    void *large = malloc(size);
    if (large == NULL)
        return NULL;
    size_t taken = malloc_usable_size(large) + MALLOC_HEADER;
    if (exceeds(memory, taken, limit)) {
        free(large);
        return NULL;
    }
    memory->used += taken;
    return large;
}

void hf_memory_large_release(struct hf_memory *memory, void *large)
{
    if (large == NULL)
        return;
    memory->used -= malloc_usable_size(large) + MALLOC_HEADER;
    free(large);
}

/* ---- tables ---- */

int hf_memory_table_init(struct hf_memory *memory, struct hf_memory_table *table, size_t size_max)
{
    *table = (struct hf_memory_table){.size_max = size_max};
    if (refused(memory))
        return -ENOMEM;
    table->bytes = reserve(size_max, PROT_NONE);
    return table->bytes == NULL ? -ENOMEM : 0;
}

void hf_memory_table_fini(struct hf_memory *memory, struct hf_memory_table *table)
{
    if (table->bytes == NULL)
        return;
    munmap(table->bytes, table->size_max);
    memory->used -= table->size;
    *table = (struct hf_memory_table){0};
}

bool hf_memory_table_grow(struct hf_memory *memory, struct hf_memory_table *table, size_t size)
{
    if (size <= table->size)
        return true;
    size_t more = (size - table->size + HF_MEMORY_TABLE_STEP - 1) / HF_MEMORY_TABLE_STEP *
                  HF_MEMORY_TABLE_STEP;
    if (table->size + more > table->size_max || exceeds(memory, more, memory->limit))
        return false;
    if (mprotect(table->bytes + table->size, more, PROT_READ | PROT_WRITE) != 0)
        return false;
    table->size += more;
    memory->used += more;
    return true;
}

void hf_memory_check(const struct hf_memory *memory)
{
    uint64_t slack = 0;
    for (unsigned i = 0; i < HF_MEMORY_CLASSES; i++) {
        const struct hf_memory_class *class = &memory->classes[i];
        uint64_t live = 0;
        for (uint32_t at = class->partial; at != 0; at = memory->spans[at].next) {
            const struct hf_memory_span *span = &memory->spans[at];
            REQUIRE(span->class == i && span->listed && span->live < class->slots);
            live += span->live;
        }
        REQUIRE(live + class->free <= (uint64_t) class->spans * class->slots);
        slack += class->free * class->size;
    }
    REQUIRE(slack == memory->slack);
}
