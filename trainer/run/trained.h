/* A trained network out of a checkpoint, ready for inference: what resnet-eval uses. */
#ifndef TRAINER_RUN_TRAINED_H
#define TRAINER_RUN_TRAINED_H

#include <limits.h>

#include <jansson.h>

#include "nn/core/status.h"
#include "nn/models/network.h"
#include "trainer/data/augment.h"
#include "trainer/data/views.h"
#include "trainer/state/network_entries.h"

struct trained {
	char folder[PATH_MAX]; /* the checkpoint */
	json_t *state;	       /* its state.json: arch, classes, normalization, ... */
	struct graph graph;
	struct network *network;
	size_t batch; /* most images at a time */
	struct network_entries entries;
	struct augment augment; /* for evaluation */
	float *pixel_mean;	/* of augment; NULL: none */
};

/* folder = the checkpoint that `path` names: a checkpoint folder, `latest`, or a run folder. warning as from checkpoint_resolve.
 * Errors: NN_ERR_CHECKPOINT. Not collective. */
enum nn_status trained_find(char folder[PATH_MAX], char *warning, size_t warning_size, const char *path);

/* Loads the checkpoint in `folder` for batches of up to `batch` images. Ownership: trained_close in any case.
 * Errors: NN_ERR_CHECKPOINT, NN_ERR_MEMORY, NN_ERR_USAGE. Not collective. */
enum nn_status trained_open(struct trained *trained, const char *folder, const struct kernels *kernels, size_t batch, int threads);
void trained_close(struct trained *trained);

/* Name of a class as it was in training, as dataset_class_text gives it. */
const char *trained_class(const struct trained *trained, int label);

/* Scores of one picture shown as the protocol says: probabilities (classes) in the order of labels.
 * Errors: NN_ERR_DATA, NN_ERR_MEMORY; NN_ERR_USAGE for a picture too small for the net. */
enum nn_status trained_classify(double *probabilities, struct trained *trained, const struct kernels *kernels,
				const struct protocol *protocol, int threads, const char *image_file);

#endif
