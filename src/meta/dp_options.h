/* meta/dp_options.h: options that private meta-learners share. */
#ifndef WH_META_DP_OPTIONS_H
#define WH_META_DP_OPTIONS_H

#define WH_META_NOISE_OPTIONS                                                                                          \
    {"rate", WHIST_OPTION_REAL, NULL, 1e-9, 1, NULL, "probability with which each is drawn, every time"},              \
        {"batch",                                                                                                      \
         WHIST_OPTION_REAL,                                                                                            \
         "0",                                                                                                          \
         0,                                                                                                            \
         1e9,                                                                                                          \
         NULL,                                                                                                         \
         "what sums are divided by, a public number; 0: rate times the public bound"},                                 \
        {"clip", WHIST_OPTION_REAL, "1", 1e-3, 1e3, NULL, "L2 bound of what one puts into a sum"},                     \
    {                                                                                                                  \
        "noise", WHIST_OPTION_REAL, NULL, 1e-3, 1e4, NULL, "standard deviation of the noise over the sensitivity"      \
    }

#endif
