/* nn/models_test.h: models and options as the tests of this room write them down, and numbers to fill them with. */
#ifndef WH_NN_MODELS_TEST_H
#define WH_NN_MODELS_TEST_H

#include <string.h>

#include "base/settings.h"
#include "test.h"
#include "whist/nn.h"

#define IMAGE(c, h, w, k)                                                                                              \
    {                                                                                                                  \
        .n_features = (c) * (h) * (w), .n_outputs = (k), .target = WHIST_TARGET_CLASS, .channels = (c), .height = (h), \
        .width = (w)                                                                                                   \
    }
#define TOKENS(t, v, k, y)                                                                                             \
    {                                                                                                                  \
        .n_features = (t), .n_outputs = (k), .target = WHIST_TARGET_CLASS, .vocabulary = (v), .n_targets = (y)         \
    }

/* [-1, 1), splitmix64 */
static inline double test_uniform(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)(int64_t)((z ^ (z >> 31)) >> 40) / 0x1p23 - 1.0;
}

/* text: "key=value;key=value" */
static inline whist_settings *test_settings(const whist_option *options, const char *text)
{
    whist_settings *settings = NULL;
    assert_ok(whist_settings_new(&settings, options));
    char copy[200];
    assert_true(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    for (char *rest = copy, *pair; (pair = strsep(&rest, ";")) && *pair;) {
        char *key = strsep(&pair, "=");
        assert_ok(whist_settings_set(settings, key, pair));
    }
    return settings;
}

#endif
