/* Any bytes as a configuration: the loader may refuse them, never crash, leak or hang, and what it
 * accepts can be given up. */
#include "config/config.h"

#include "fuzz.h"
#include <errno.h>

static void judge_report(int rc, struct hf_config_report *report)
{
    REQUIRE(rc == 0 || rc == -EINVAL);
    REQUIRE((rc == 0) == (report->count == 0));
    for (unsigned i = 0; i < report->count; i++)
        REQUIRE(report->messages[i].text[0] != '\0');
    for (unsigned i = 0; i < report->warning_count; i++)
        REQUIRE(report->warnings[i].text[0] != '\0');
    hf_config_report_fini(report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size);
    struct hf_slice text = hf_slice(copy, size);
    struct hf_config_report report;
    struct hf_config *config = NULL;
    int rc = hf_config_load_text(text, "/nonexistent/fuzz.yaml", false, &config, &report);
    REQUIRE((rc == 0) == (config != NULL));
    judge_report(rc, &report);
    if (config != NULL) {
        char *promise = hf_config_recovery_text(config);
        REQUIRE(promise != NULL);
        free(promise);
        REQUIRE(config->listener_count > 0 && config->pool_count > 0);
    }
    hf_config_unref(&config);
    rc = hf_config_check_agent_text(text, "/nonexistent/fuzz.yaml", &report);
    judge_report(rc, &report);
    free(copy);
    return 0;
}
