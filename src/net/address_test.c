#include "base/test.h"
#include "net/address.h"
#include <errno.h>

static struct hf_address parsed(const char *text)
{
    struct hf_address address;
    assert_int_equal(hf_address_parse(hf_slice_text(text), &address), 0);
    return address;
}

static struct hf_address parsed_ip(const char *text)
{
    struct hf_address address;
    assert_int_equal(hf_address_parse_ip(hf_slice_text(text), &address), 0);
    return address;
}

static void addresses_survive_parsing_and_formatting(void **state)
{
    static const char *const rows[][2] = {
        {"127.0.0.1:80", "127.0.0.1:80"},
        {"255.200.10.0:65535", "255.200.10.0:65535"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"[::1]:8080", "[::1]:8080"},
        {"[2001:DB8::1]:1", "[2001:db8::1]:1"},
        {"*:80", "[::]:80"},
        {"unix:/run/a:b.sock", "unix:/run/a:b.sock"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[HF_ADDRESS_TEXT_MAX];
        struct hf_address address = parsed(rows[i][0]);
        assert_int_equal(hf_address_format(&address, text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        struct hf_address again = parsed(text);
        assert_true(hf_address_equal(&address, &again));
    }
}

static void what_is_not_an_address_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:080",
        "1.2.3:80",
        "127.0.0.1:-1",
        "127.0.0.1: 80",
        "127.0.0.256:80",
        "01.2.3.4:80",
        "localhost:80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[fe80::1%lo]:80",
        "unix:",
        ":80",
        "**:80",
        "127.0.0.1:000080",
    };
    struct hf_address address = {.size = 77};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(hf_address_parse(hf_slice_text(rows[i]), &address), -EINVAL);
    assert_int_equal(hf_address_parse(hf_slice("1.2.3.4\0:80", 11), &address), -EINVAL);
    assert_int_equal(hf_address_parse(HF_SLICE("unix:/a\0b"), &address), -EINVAL);
    assert_int_equal(address.size, 77); /* untouched */
}

static void a_local_path_fits_or_is_refused(void **state)
{
    char text[200] = "unix:";
    struct hf_address address;
    char out[HF_ADDRESS_TEXT_MAX];
    size_t longest = sizeof(address.local.sun_path) - 1;
    memset(text + 5, 'x', sizeof(text) - 5);
    assert_int_equal(hf_address_parse(hf_slice(text, 5 + longest), &address), 0);
    assert_int_equal(hf_address_format(&address, out), 5 + longest);
    assert_int_equal(hf_address_parse(hf_slice(text, 6 + longest), &address), -EINVAL);
}

static void an_ip_stands_alone(void **state)
{
    static const char *const rows[][2] = {
        {"1.20.255.0", "1.20.255.0"},
        {"::1", "::1"},
        {"[::1]", "::1"},
        {"::ffff:9.8.7.6", "9.8.7.6"},
        {"[2001:db8::]", "2001:db8::"},
    };
    char text[HF_ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_address address = parsed_ip(rows[i][0]);
        assert_int_equal(hf_address_format_ip(&address, text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
    }
    static const char *const bad[] = {"", "1.2.3", "1.2.3.4:80", "[1.2.3.4]", "::1]", "unknown"};
    struct hf_address address;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(hf_address_parse_ip(hf_slice_text(bad[i]), &address), -EINVAL);
    struct hf_address local = parsed("unix:/x");
    hf_address_format_ip(&local, text);
    assert_string_equal(text, "unix:");
    struct hf_address none = {0};
    assert_int_equal(hf_address_format_ip(&none, text), 0);
    assert_int_equal(hf_address_format(&none, text), 0);
}

static void equality_looks_at_family_ip_and_port(void **state)
{
    static const char *const rows[] = {"1.2.3.4:5", "1.2.3.4:6", "1.2.3.5:5", "[::1]:5",
                                       "[::1]:6",   "[::2]:5",   "unix:/a",   "unix:/ab"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
            struct hf_address a = parsed(rows[i]);
            struct hf_address b = parsed(rows[j]);
            assert_int_equal(hf_address_equal(&a, &b), i == j);
        }
    struct hf_address none = {0};
    struct hf_address some = parsed(rows[0]);
    assert_true(hf_address_equal(&none, &none));
    assert_false(hf_address_equal(&none, &some));
}

static void networks_contain_what_they_say(void **state)
{
    static const struct {
        const char *network, *ip;
        bool contains;
    } rows[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.2", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "8.8.8.8", true},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"127.0.0.0/8", "::ffff:127.0.0.1", true},
        {"::1", "::1", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_network network;
        assert_int_equal(hf_network_parse(hf_slice_text(rows[i].network), &network), 0);
        struct hf_address address = parsed_ip(rows[i].ip);
        assert_int_equal(hf_network_contains(&network, &address), rows[i].contains);
    }
    struct hf_network all;
    assert_int_equal(hf_network_parse(HF_SLICE("::/0"), &all), 0);
    struct hf_address local = parsed("unix:/x");
    assert_false(hf_network_contains(&all, &local));
    static const char *const bad[] = {
        "", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "10/8", "/8", "10.0.0.0/-1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(hf_network_parse(hf_slice_text(bad[i]), &all), -EINVAL);
}

static void a_key_is_the_ip_cut_to_its_prefix(void **state)
{
    uint8_t a[16], b[16];
    struct hf_address first = parsed("192.168.7.200:1");
    struct hf_address second = parsed("[::ffff:192.168.7.1]:2");
    hf_address_key(&first, 24, 64, a);
    hf_address_key(&second, 24, 64, b);
    assert_memory_equal(a, b, 16);
    hf_address_key(&first, 32, 64, a);
    hf_address_key(&second, 32, 64, b);
    assert_memory_not_equal(a, b, 16);
    first = parsed("[2001:db8:1:2:3::4]:1");
    second = parsed("[2001:db8:1:2:ffff::]:1");
    hf_address_key(&first, 0, 64, a);
    hf_address_key(&second, 0, 64, b);
    assert_memory_equal(a, b, 16);
    first = parsed("unix:/x");
    hf_address_key(&first, 32, 128, a);
    static const uint8_t zeros[16];
    assert_memory_equal(a, zeros, 16);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_survive_parsing_and_formatting),
        cmocka_unit_test(what_is_not_an_address_is_refused),
        cmocka_unit_test(a_local_path_fits_or_is_refused),
        cmocka_unit_test(an_ip_stands_alone),
        cmocka_unit_test(equality_looks_at_family_ip_and_port),
        cmocka_unit_test(networks_contain_what_they_say),
        cmocka_unit_test(a_key_is_the_ip_cut_to_its_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
