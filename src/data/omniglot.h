/* data/omniglot.h: Omniglot (Lake et al. 2015), as published and as sets of 28 × 28 images. */
#ifndef WH_DATA_OMNIGLOT_H
#define WH_DATA_OMNIGLOT_H

#include "base/status.h"

/* Reads folder/images_background_small1.zip and …small2.zip; writes folder/omniglot-small28-images-idx3-ubyte,
 * -labels-idx1-short and -classes.csv (class, alphabet, fold): 242 characters of eight alphabets by 20 people. Folds
 * share no alphabet: Early Aramaic is for validation; Japanese, Sanskrit and Tagalog are for testing. */
WH_MUST_CHECK whist_status wh_omniglot_small_write(const char *folder);

/* Reads folder/images_background.zip and images_evaluation.zip; writes folder/omniglot28-images-idx3-ubyte.gz,
 * -labels-idx1-short.gz and -classes.csv (class, set, alphabet, character, vinyals_split, images): 1,623 characters by
 * 20 people. Classes are numbered by set, alphabet and character. The split is that of Vinyals et al. 2016 as Snell et
 * al. 2017 published it: the first 1,200 characters are for training, those of five alphabets among them for
 * validation, the others for testing. WHIST_E_FORMAT where an archive has other than 964 or 659 characters, or one of
 * them other than 20 drawings. */
WH_MUST_CHECK whist_status wh_omniglot_write(const char *folder);

#endif
