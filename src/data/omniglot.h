/* data/omniglot.h: the two small background sets of Omniglot (Lake et al. 2015) as one set of 28 × 28 images. */
#ifndef WH_DATA_OMNIGLOT_H
#define WH_DATA_OMNIGLOT_H

#include "base/status.h"

/* Reads folder/images_background_small1.zip and …small2.zip; writes folder/omniglot-small28-images-idx3-ubyte,
 * -labels-idx1-short and -classes.csv (class, alphabet, fold): 242 characters of eight alphabets by 20 people. Folds
 * share no alphabet: Early Aramaic is for validation; Japanese, Sanskrit and Tagalog are for testing. */
WH_MUST_CHECK whist_status wh_omniglot_small_write(const char *folder);

#endif
