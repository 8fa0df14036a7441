#include "proto/resp_script.h"
#include "fuzz.h"

/* Input: the body of a script. Its normal form is no longer, its own normal form, and
 * taken for the same script. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_copy(data, size);
    char *once = malloc(HF_RESP_SCRIPT_FORM_MAX), *twice = malloc(HF_RESP_SCRIPT_FORM_MAX);
    REQUIRE(once != NULL && twice != NULL);
    struct hf_slice body = hf_slice(bytes, size);
    struct hf_slice form = hf_slice(once, hf_resp_script_normalise(body, once));
    REQUIRE(form.size <= HF_RESP_SCRIPT_FORM_MAX && form.size <= size);
    if (form.size > 0) {
        size_t again = hf_resp_script_normalise(form, twice);
        REQUIRE(hf_slice_equal(hf_slice(twice, again), form));
        REQUIRE(hf_resp_script_recognise(form) == hf_resp_script_recognise(body));
    } else {
        REQUIRE(hf_resp_script_recognise(body) == HF_RESP_SCRIPT_NONE);
    }
    REQUIRE(hf_resp_script_by_hash(body) == HF_RESP_SCRIPT_NONE ||
            size == HF_RESP_SCRIPT_HASH_SIZE);
    free(once);
    free(twice);
    free(bytes);
    return 0;
}
