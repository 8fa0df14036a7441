#include "sim/population.h"

#include "base/assert.h"
#include "base/hash.h"
#include "sim/pages.h"
#include <arpa/inet.h>
#include <errno.h>

enum purpose { FOR_ADDRESS = 1, FOR_SHARING, FOR_COOKIES, FOR_KEY };
enum { SHARED_NET = 10 << 24, CLIENT_PORT = 40000 };

static uint64_t trait(const struct hf_population *population, uint32_t user, enum purpose purpose)
{
    return hf_hash_mix(population->seed + (uint64_t)purpose, user + 1);
}

int hf_population_init(struct hf_population *population, const struct hf_scenario *scenario,
                       const struct hf_scenario_nat *nat)
{
    const struct hf_scenario_users *users = &scenario->users;
    REQUIRE(users->count > 0 && nat->addresses > 0);
    struct hf_user *made = hf_pages_new(users->count * sizeof(*made));
    if (made == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < users->count; i++) {
        made[i].pinned = made[i].home = HF_USER_NOWHERE;
        made[i].away_from = HF_USER_NOWHERE;
        made[i].marks = users->session_key == HF_SESSION_KEY_KNOWN ? HF_USER_KEYED : 0;
    }
    *population = (struct hf_population){.users = made,
                                         .count = users->count,
                                         .seed = scenario->seed << 8,
                                         .nat = *nat,
                                         .without_cookies_percent = users->without_cookies_percent};
    return 0;
}

void hf_population_fini(struct hf_population *population)
{
    hf_pages_free(population->users, population->count * sizeof(*population->users));
    *population = (struct hf_population){0};
}

/* True for so many percent of the users. */
static bool is_of(const struct hf_population *population, uint32_t user, enum purpose purpose,
                  unsigned percent)
{
    return (trait(population, user, purpose) >> 32) * 100 >> 32 < percent;
}

struct hf_address hf_population_address(const struct hf_population *population, uint32_t user)
{
    uint64_t drawn = trait(population, user, FOR_ADDRESS) >> 32;
    uint32_t ip = (uint32_t)drawn;
    if (is_of(population, user, FOR_SHARING, population->nat.share_percent))
        ip = SHARED_NET + 1 + (uint32_t)(drawn * population->nat.addresses >> 32);
    struct hf_address address = {.size = sizeof(struct sockaddr_in)};
    address.v4 = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(CLIENT_PORT), .sin_addr = {.s_addr = htonl(ip)}};
    return address;
}

bool hf_population_keeps_cookies(const struct hf_population *population, uint32_t user)
{
    return !is_of(population, user, FOR_COOKIES, population->without_cookies_percent);
}

void hf_population_key(const struct hf_population *population, uint32_t user,
                       char out[HF_USER_KEY_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t key = trait(population, user, FOR_KEY);
    for (unsigned i = 0; i < HF_USER_KEY_SIZE; i++, key >>= 4)
        out[i] = digits[key & 15];
}
