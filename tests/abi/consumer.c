/* tests/abi/consumer.c: a program of somebody else, who has the installed headers and library. */
#include <whist/base.h>

#include <stdio.h>
#include <string.h>

static const whist_option table[] = {
    {"rate", WHIST_OPTION_REAL, "0.5", 0, 1, NULL, "A step."},
    {NULL, WHIST_OPTION_INT, NULL, 0, 0, NULL, NULL},
};

int main(void)
{
    whist_settings *settings = NULL;
    if (whist_settings_new(&settings, table) != WHIST_OK) return 1;
    whist_status status = whist_settings_set(settings, "rate", "2");
    double rate = whist_settings_real(settings, "rate");
    whist_settings_free(settings);
    if (status != WHIST_E_FORMAT || !strstr(whist_detail_get()->text, "rate") || rate < 0.5 || rate > 0.5) return 1;
    printf("whist %s\n", whist_version());
    return 0;
}
