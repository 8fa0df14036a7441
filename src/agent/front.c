/* What a connection offers to its front end, but for hf_connection_submit (connection.c). */
#include "agent/front.h"
#include "agent/connection.h"
#include "base/assert.h"
#include <openssl/crypto.h>
#include <openssl/sha.h>

void *hf_connection_state(struct hf_connection *connection)
{
    return connection->state;
}

void *hf_connection_shared(struct hf_connection *connection)
{
    return connection->door->shared;
}

struct hf_sessions *hf_connection_sessions(struct hf_connection *connection)
{
    return connection->door->settings.sessions;
}

uint64_t hf_connection_id(const struct hf_connection *connection)
{
    return connection->id;
}

const struct hf_address *hf_connection_peer(const struct hf_connection *connection)
{
    return &connection->peer;
}

const struct hf_front_counts *hf_connection_counts(const struct hf_connection *connection)
{
    return &connection->door->counts;
}

void hf_connection_need(struct hf_connection *connection, size_t size)
{
    connection->needed = size;
}

/* ---- output ---- */

struct hf_writer hf_connection_writer(struct hf_connection *connection, size_t room)
{
    struct hf_bytes *out = &connection->out;
    bool over =
        room > HF_CONNECTION_OUTPUT_MAX || hf_bytes_size(out) > HF_CONNECTION_OUTPUT_MAX - room;
    if (connection->broken || over || !hf_bytes_reserve(&connection->door->pool, out, room)) {
        connection->broken = true;
        return hf_writer(NULL, 0);
    }
    return hf_writer(out->bytes + out->end, out->room - out->end);
}

void hf_connection_wrote(struct hf_connection *connection, const struct hf_writer *writer)
{
    struct hf_bytes *out = &connection->out;
    if (connection->broken)
        return;
    if (!CHECK(hf_writer_fits(writer) && writer->size <= out->room - out->end)) {
        connection->broken = true;
        return;
    }
    if (hf_bytes_size(out) == 0)
        connection->sent_ms = hf_loop_now_ms(connection->door->loop);
    out->end += writer->size;
}

void hf_connection_write(struct hf_connection *connection, struct hf_slice bytes)
{
    struct hf_writer writer = hf_connection_writer(connection, bytes.size);
    hf_writer_slice(&writer, bytes);
    hf_connection_wrote(connection, &writer);
}

size_t hf_connection_written(const struct hf_connection *connection)
{
    return hf_bytes_size(&connection->out);
}

void hf_connection_unwrite(struct hf_connection *connection, size_t mark)
{
    REQUIRE(mark <= hf_bytes_size(&connection->out));
    connection->out.end = connection->out.start + mark;
}

/* ---- AUTH ---- */

bool hf_connection_has_password(const struct hf_connection *connection)
{
    return connection->door->settings.password.size > 0;
}

bool hf_connection_authenticated(const struct hf_connection *connection)
{
    return connection->authenticated;
}

/* Digests are compared, so that neither content nor length shows in the time taken. */
static bool same_secret(struct hf_slice a, struct hf_slice b)
{
    unsigned char a_digest[SHA256_DIGEST_LENGTH], b_digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)a.bytes, a.size, a_digest);
    SHA256((const unsigned char *)b.bytes, b.size, b_digest);
    return CRYPTO_memcmp(a_digest, b_digest, sizeof(a_digest)) == 0;
}

enum hf_connection_auth hf_connection_authenticate(struct hf_connection *connection,
                                                   struct hf_slice user, struct hf_slice password)
{
    bool known = user.size == 0 || hf_slice_equal(user, HF_SLICE("default"));
    bool right = same_secret(password, connection->door->settings.password);
    if (known && right && hf_connection_has_password(connection)) {
        connection->authenticated = true;
        connection->auth_failures = 0;
        return HF_CONNECTION_AUTH_OK;
    }
    connection->door->counts.auth_failures++;
    connection->auth_failures++;
    return connection->auth_failures >= HF_CONNECTION_AUTH_FAILURES_MAX ? HF_CONNECTION_AUTH_CLOSE
                                                                        : HF_CONNECTION_AUTH_WRONG;
}

void hf_connection_deauthenticate(struct hf_connection *connection)
{
    connection->authenticated = !hf_connection_has_password(connection);
}
