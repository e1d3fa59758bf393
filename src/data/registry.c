/* data/registry.c: known public data sets: where their publishers keep them, and what the bytes must be.
 *
 * A new set is a new entry here, or no entry at all: the table serves `whist data get`, and a study
 * takes any file. Hashes are of the bytes as published; a re-packed copy does not verify. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "crypt/hash.h"
#include "data/flamby.h"
#include "data/omniglot.h"
#include "data/table.h"

#define UCI "https://archive.ics.uci.edu/ml/machine-learning-databases/"
#define FLAMBY "https://raw.githubusercontent.com/owkin/FLamby/main/flamby/datasets/fed_tcga_brca/"
#define OMNIGLOT "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
#define MNIST(name)                                                                                                    \
    {                                                                                                                  \
        "https://ossci-datasets.s3.amazonaws.com/mnist/" name,                                                         \
            "https://storage.googleapis.com/cvdf-datasets/mnist/" name, "http://yann.lecun.com/exdb/mnist/" name       \
    }

static const whist_data_file heart_files[] = {
    {"processed.cleveland.data",
     {UCI "heart-disease/processed.cleveland.data"},
     "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8",
     18461},
    {"processed.hungarian.data",
     {UCI "heart-disease/processed.hungarian.data"},
     "d1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796",
     10263},
    {"processed.switzerland.data",
     {UCI "heart-disease/processed.switzerland.data"},
     "834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314",
     4109},
    {"processed.va.data",
     {UCI "heart-disease/processed.va.data"},
     "e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f",
     6737},
    {"flamby_split.csv", {NULL}, "c5b7a295f2a4322529e584762af0927ed184d8f1a70dcc72b3819bdefda541bf", 14918},
    {NULL},
};

static const whist_data_file brca_files[] = {
    {"brca.csv", {FLAMBY "brca.csv"}, "07cb53423f7d579d33cfdbf2cba57b2aee75318b85866c68ce39a75b1f1ba020", 113184},
    {"centers.csv", {FLAMBY "centers.csv"}, "d610df2dae0203ea229c9579747ed3eb8d28e137c5378f55acc6fe6b4632bb1d", 4274},
    {"train_test_split.csv",
     {FLAMBY "dataset_creation_scripts/train_test_split.csv"},
     "1249c6543a4060ff0fdaf8510fc37017755836db6c9fc5e6af96057c36510990",
     28946},
    {NULL},
};

static const whist_data_file mnist_files[] = {
    {"train-images-idx3-ubyte.gz", MNIST("train-images-idx3-ubyte.gz"),
     "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9912422},
    {"train-labels-idx1-ubyte.gz", MNIST("train-labels-idx1-ubyte.gz"),
     "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28881},
    {"t10k-images-idx3-ubyte.gz", MNIST("t10k-images-idx3-ubyte.gz"),
     "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1648877},
    {"t10k-labels-idx1-ubyte.gz", MNIST("t10k-labels-idx1-ubyte.gz"),
     "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4542},
    {NULL},
};

static const whist_data_file adult_files[] = {
    {"adult.data",
     {UCI "adult/adult.data"},
     "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
     3974305},
    {"adult.test",
     {UCI "adult/adult.test"},
     "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
     2003153},
    {"adult.names",
     {UCI "adult/adult.names"},
     "c248284c0b5de30c9e1958d6cdd168a34a654758b620e68f46aefa83fc0a576a",
     5229},
    {NULL},
};

static const whist_data_file breast_cancer_files[] = {
    {"breast_cancer.csv",
     {"https://raw.githubusercontent.com/scikit-learn/scikit-learn/1.2.1/sklearn/datasets/data/breast_cancer.csv"},
     "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed",
     119913},
    {NULL},
};

/* The hashes of the four archives of images are those that TensorFlow Datasets publishes
 * (url_checksums/omniglot.txt): two of them are the small sets', which are known here by their bytes. The MD5s that
 * torchvision publishes of the large ones are 68d2efa1b9178cc56df9314c21c6e718 and 6b91aef0f799c5bb55b94e3f2daec811; as
 * Git objects of the publisher's own repository they are 71fd167eb6fdd312049395fbd247147a4b234231 and
 * 8ccde0ed1565641f1fa8c57cdc6ff634e15fc5c1. The lists of classes are derived. */
static const whist_data_file omniglot_files[] = {
    {"images_background.zip",
     {OMNIGLOT "images_background.zip"},
     "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
     9464212},
    {"images_evaluation.zip",
     {OMNIGLOT "images_evaluation.zip"},
     "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
     6462886},
    {"images_background_small1.zip",
     {OMNIGLOT "images_background_small1.zip"},
     "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
     1319022},
    {"images_background_small2.zip",
     {OMNIGLOT "images_background_small2.zip"},
     "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
     1580917},
    {"all_runs.zip",
     {OMNIGLOT "one-shot-classification/all_runs.zip"},
     "437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325",
     352787},
    {"omniglot-small28-classes.csv", {NULL}, "b1bc5cf440c5042b63ffcb417ad95aa2c82e9a4a342a9c347344a860328653ff", 4892},
    {"omniglot28-classes.csv", {NULL}, "7a1074be6ef2abeffbfbbdda642c662fa66bc8722cc60bdeb0949a5568537d81", 78619},
    {NULL},
};

static const whist_data_file shakespeare_files[] = {
    {"input.txt",
     {"https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"},
     "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
     1115394},
    {NULL},
};

static const whist_data_set sets[] = {
    {"heart", "UCI heart disease: four hospitals, 920 patients", "CC BY 4.0",
     "Janosi, Steinbrunn, Pfisterer, Detrano: Heart Disease, UCI Machine Learning Repository, 1988. Split: Ogier du "
     "Terrail et al., FLamby, NeurIPS 2022.",
     "", heart_files},
    {"tcga_brca", "TCGA-BRCA: survival with breast cancer, six regions, 1088 patients",
     "FLamby: MIT; TCGA: GDC data use", "Ogier du Terrail et al., FLamby, NeurIPS 2022; The Cancer Genome Atlas.",
     "Data of real patients: you promise not to try to re-identify anybody.", brca_files},
    {"mnist", "MNIST: 70,000 handwritten digits, 28 x 28", "CC BY-SA 3.0",
     "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. IEEE 1998.", "",
     mnist_files},
    {"adult", "Adult: income in the US census of 1994, 48,842 people", "CC BY 4.0",
     "Becker, Kohavi: Adult, UCI Machine Learning Repository, 1996.", "", adult_files},
    {"breast_cancer", "WDBC: 569 tumours, benign or malignant", "CC BY 4.0",
     "Wolberg, Mangasarian, Street, Street: Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning Repository, "
     "1995.",
     "", breast_cancer_files},
    {"omniglot", "Omniglot: 1,623 handwritten characters by 20 people each, and the one-shot runs", "MIT",
     "Lake, Salakhutdinov, Tenenbaum: Human-level concept learning through probabilistic program induction, Science "
     "2015.",
     "", omniglot_files},
    {"tinyshakespeare", "Tiny Shakespeare: 1.1 million characters of plays, 364 speakers", "public domain",
     "Karpathy: The unreasonable effectiveness of recurrent neural networks, 2015.", "", shakespeare_files},
    {NULL},
};

const whist_data_set *whist_data_sets(void)
{
    return sets;
}

const whist_data_set *whist_data_find(const char *name)
{
    for (const whist_data_set *set = sets; name && set->name; set++)
        if (!strcmp(set->name, name)) return set;
    return NULL;
}

/* ---- Checks */

static whist_status hash_file(wh_digest *out, const char *path)
{
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_owned) piece = NULL;
    enum { PIECE = 1 << 18 };
    uint64_t size;
    wh_sha256 hash;
    WH_TRY(wh_file_size(&size, path));
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_alloc_raw(&piece, PIECE, 1));
    wh_sha256_init(&hash);
    for (uint64_t at = 0; at < size;) {
        size_t len = size - at < PIECE ? (size_t)(size - at) : PIECE;
        WH_TRY(wh_read_at(fd, piece, len, at));
        wh_sha256_update(&hash, piece, len);
        at += len;
    }
    wh_sha256_final(out, &hash);
    return WHIST_OK;
}

static whist_status verify_file(const whist_data_set *set, const whist_data_file *file, const char *folder)
{
    WH_AUTO(wh_owned) path = NULL;
    wh_digest digest, expected;
    uint64_t size;
    WH_TRY(wh_data_path((char **)&path, folder, file->name));
    if (!wh_file_exists(path))
        WH_FAIL(WHIST_E_IO, "%s is not there: fetch it by 'whist data get %s'", (const char *)path, set->name);
    WH_TRY(wh_file_size(&size, path));
    if (size != file->size)
        WH_FAIL(WHIST_E_FORMAT,
                "%s has %llu bytes and the published file %llu: remove it and fetch it again by 'whist "
                "data get %s'",
                (const char *)path, (unsigned long long)size, (unsigned long long)file->size, set->name);
    WH_TRY(wh_digest_parse(&expected, file->sha256));
    WH_TRY(hash_file(&digest, path));
    if (!wh_digest_equal(&digest, &expected))
        WH_FAIL(WHIST_E_FORMAT,
                "%s differs from the published file (SHA-256): remove it and fetch it again by 'whist "
                "data get %s'",
                (const char *)path, set->name);
    return WHIST_OK;
}

whist_status whist_data_verify(const whist_data_set *set, const char *folder)
{
    WH_ENSURE(set && folder, WHIST_E_ARG);
    for (const whist_data_file *file = set->files; file->name; file++) WH_TRY(verify_file(set, file, folder));
    return WHIST_OK;
}

whist_status whist_data_derive(const whist_data_set *set, const char *folder)
{
    WH_ENSURE(set && folder, WHIST_E_ARG);
    if (strcmp(set->name, "omniglot") == 0) {
        WH_TRY(wh_omniglot_small_write(folder));
        return wh_omniglot_write(folder);
    }
    return strcmp(set->name, "heart") == 0 ? wh_flamby_split_write(folder) : WHIST_OK;
}
