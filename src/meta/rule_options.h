/* meta/rule_options.h: options of one learner, which dp-meta has as well for its rule. `of`: what stands before their
 * words there, as "imaml: "; "" in the learner's own table. */
#ifndef WH_META_RULE_OPTIONS_H
#define WH_META_RULE_OPTIONS_H

#define WH_META_PER_FEDAVG_OPTIONS(of)                                                                                 \
    {"variant",                                                                                                        \
     WHIST_OPTION_CHOICE,                                                                                              \
     "hf",                                                                                                             \
     0,                                                                                                                \
     0,                                                                                                                \
     "fo|hf|exact",                                                                                                    \
     of "the Hessian's part: left out, by differences of gradients, or exact"},                                        \
    {                                                                                                                  \
        "delta", WHIST_OPTION_REAL, "0.001", 1e-9, 1, NULL, of "half step of the differences (variant hf)"             \
    }
#define WH_META_REPTILE_OPTIONS(of)                                                                                    \
    {                                                                                                                  \
        "inner_batch", WHIST_OPTION_INT, "0", 0, 1e6, NULL,                                                            \
            of "inner steps take the support in equal parts of about so many rows, in turns; 0: all"                   \
    }
#define WH_META_MAMLPP_OPTIONS(of)                                                                                     \
    {"multi_step",                                                                                                     \
     WHIST_OPTION_INT,                                                                                                 \
     "500",                                                                                                            \
     0,                                                                                                                \
     1e9,                                                                                                              \
     NULL,                                                                                                             \
     of "over so many steps the loss moves from the mean over all inner steps to the last one's"},                     \
        {"first_order", WHIST_OPTION_INT, "0", 0, 1e9, NULL, of "so many steps leave the Hessians out"},               \
    {                                                                                                                  \
        "norm_steps", WHIST_OPTION_BOOL, "true", 0, 0, NULL,                                                           \
            of "batch norms have a scale and a shift for each inner step, which are learned and which no step moves"   \
    }
#define WH_META_IMAML_OPTIONS(of)                                                                                      \
    {"proximal",                                                                                                       \
     WHIST_OPTION_REAL,                                                                                                \
     "2",                                                                                                              \
     1e-6,                                                                                                             \
     1e6,                                                                                                              \
     NULL,                                                                                                             \
     of "weight of the pull of the start, halved, times the distance squared"},                                        \
        {"conjugate", WHIST_OPTION_INT, "5", 1, 1000, NULL, of "iterations of conjugate gradients"},                   \
    {                                                                                                                  \
        "newton", WHIST_OPTION_INT, "0", 0, 100, NULL, of "Newton steps after the inner ones, to reach the minimum"    \
    }
#define WH_META_CAVIA_OPTIONS(of)                                                                                      \
    {                                                                                                                  \
        "context", WHIST_OPTION_INT, "5", 1, 4096, NULL,                                                               \
            of "numbers that the inner steps find for a task; they scale and shift the features"                       \
    }
#define WH_META_LSTM_OPTIONS(of)                                                                                       \
    {"keep",                                                                                                           \
     WHIST_OPTION_REAL,                                                                                                \
     "0.999",                                                                                                          \
     0.5,                                                                                                              \
     0.999999,                                                                                                         \
     NULL,                                                                                                             \
     of "where the forget gate starts; inner_lr: where the input gate does"},                                          \
    {                                                                                                                  \
        "log_range", WHIST_OPTION_REAL, "10", 0, 100, NULL,                                                            \
            of "gates see logarithms down to e^-this, and signs; 0: plain numbers"                                     \
    }
#define WH_META_ABML_OPTIONS(of)                                                                                       \
    {"deviation", WHIST_OPTION_REAL, "0.01", 1e-6, 10, NULL, of "standard deviation of every weight at the start"},    \
        {"kl",                                                                                                         \
         WHIST_OPTION_REAL,                                                                                            \
         "0.00001",                                                                                                    \
         1e-12,                                                                                                        \
         1e3,                                                                                                          \
         NULL,                                                                                                         \
         of "weight of the divergence from the prior beside the mean loss of a row"},                                  \
    {                                                                                                                  \
        "draws", WHIST_OPTION_INT, "5", 1, 1000, NULL, of "draws of the weights that a prediction averages"            \
    }

#endif
