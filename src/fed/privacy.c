/* fed/privacy.c: the words of a promise. */
#include <whist/fed.h>

const char *whist_privacy_noise_name(whist_privacy_noise noise)
{
    static const char *const names[] = {"local", "distributed", "central"};
    return names[noise];
}

const char *whist_privacy_mechanism_name(whist_privacy_mechanism mechanism)
{
    static const char *const names[] = {"gaussian", "discrete-gaussian", "skellam"};
    return names[mechanism];
}

const char *whist_privacy_trust(whist_privacy_noise noise)
{
    static const char *const sentences[] = {
        "local: the coordinator sees each noised update",
        "distributed: the coordinator sees nothing but the noised sum",
        "central: the coordinator adds the noise and sees the plain sum",
    };
    return sentences[noise];
}
