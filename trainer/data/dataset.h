/* A set of labelled images on disk: an image folder, CIFAR's binary files or a packed folder, found by looking. */
#ifndef TRAINER_DATA_DATASET_H
#define TRAINER_DATA_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"
#include "trainer/data/colours.h"
#include "trainer/data/escape.h"
#include "trainer/data/image.h"

enum data_split { SPLIT_TRAIN, SPLIT_VAL };

/* Bytes of an image's name, and of a class's name as text, with their 0. A name of a folder has at most 255 bytes. */
enum { DATASET_NAME_MAX = 1024, DATASET_CLASS_TEXT = ESCAPE_BYTES(255) };

struct dataset;

/* Opens one split of the data in the folder `path`.
 * Layouts: an image folder, train/CLASS/FILE and val/CLASS/FILE (or test/CLASS/FILE when there is no val), every file a PNG or JPEG
 * image, classes and files in byte order of their names, names with a leading dot left out, links followed; CIFAR-10 binary
 * (data_batch_1.bin to data_batch_5.bin, of which only the first is required, test_batch.bin, names in batches.meta.txt); CIFAR-100
 * binary (train.bin, test.bin, fine labels, names in fine_label_names.txt). Labels are positions in the training split's classes,
 * for both splits; in a folder without a training split, in its own. Ownership: the caller's, closed by dataset_close. Files are
 * opened when read; CIFAR and packed files stay open. Errors: NN_ERR_DATA (missing, empty, damaged, a class that training does not
 * have, two data sets in one folder), NN_ERR_MEMORY; *out is then NULL. */
enum nn_status dataset_open(struct dataset **out, const char *path, enum data_split split);

/* Opens path/CLASS/FILE, which is no split of anything: images are then called ./CLASS/FILE. The rest as above. */
enum nn_status dataset_open_classes(struct dataset **out, const char *path);

/* Opens the images `images` (`count` numbers, at least 1, copied) of another data set as a split called `split`, "train" or "val":
 * there they have the same class and the same file, under that split. Ownership: the caller's; `whole` and `split` must live
 * longer. Errors: NN_ERR_MEMORY; *out is then NULL. */
enum nn_status dataset_open_subset(struct dataset **out, const struct dataset *whole, const uint32_t *images, size_t count,
				   const char *split);

/* Whether the folder `path` holds this split at all. */
bool dataset_has_split(const char *path, enum data_split split);

/* Whether the folder `path` is a packed data set, and no other kind. */
bool dataset_is_packed(const char *path);

/* Accepts NULL. */
void dataset_close(struct dataset *dataset);

/* Number of images; at least 1 and at most UINT32_MAX. */
size_t dataset_count(const struct dataset *dataset);

/* Number of classes. */
int dataset_classes(const struct dataset *dataset);

/* Name of a class; valid until dataset_close. */
const char *dataset_class_name(const struct dataset *dataset, int label);

/* text = the class's name as text that names it exactly: see escape_name. What a checkpoint keeps and people read. */
void dataset_class_text(char text[DATASET_CLASS_TEXT], const struct dataset *dataset, int label);

/* Class of an image, in [0, dataset_classes). */
int dataset_label(const struct dataset *dataset, size_t index);

/* The image's name for messages: its path inside the data folder, or for CIFAR "data_batch_2.bin record 17" (from 0). */
void dataset_file_name(const struct dataset *dataset, size_t index, char name[DATASET_NAME_MAX]);

/* Reads an image. Errors: NN_ERR_DATA naming the file, NN_ERR_MEMORY. Thread-safe for different images. */
enum nn_status dataset_read(const struct dataset *dataset, size_t index, struct image *image);

/* Whether images are files, whose bytes dataset_load gives. */
bool dataset_has_files(const struct dataset *dataset);

/* Loads the bytes of an image's file, whatever they are, into image->encoded. *size = how many.
 * Errors: NN_ERR_DATA naming the file, NN_ERR_MEMORY. Thread-safe for different images. */
enum nn_status dataset_load(const struct dataset *dataset, size_t index, struct image *image, size_t *size);

/* Says that images [first, last) will be read soon; a hint, for files in which they lie one behind the other. Thread-safe. */
void dataset_will_read(const struct dataset *dataset, size_t first, size_t last);

/* *sums = exact sums over the pixels of all images, which packed sets keep; false when they are not known, as when one image could
 * not be read. */
bool dataset_colours(const struct dataset *dataset, struct colour_sums *sums);

/* Whether this is a validation split that its folder calls a test set, on which no choice should be made. */
bool dataset_is_test(const struct dataset *dataset);

/* XXH3 (64 bits) over class names, names of images and labels, in order; not over pixels, and not over where the folder lies. */
uint64_t dataset_digest(const struct dataset *dataset);

/* Checks that two splits number their classes alike, as those opened from one folder do.
 * Errors: NN_ERR_DATA naming a class of `val` that is not the same class of `train`. */
enum nn_status dataset_check_classes(const struct dataset *train, const struct dataset *val);

#endif
