/* From the logits of a picture's views to one verdict: softmax averaged over views. */
#ifndef TRAINER_RUN_SCORES_H
#define TRAINER_RUN_SCORES_H

#include <stddef.h>
#include <stdint.h>

#include "nn/kernels/kernels.h"

/* Sums over the views of one picture; `classes` doubles each, the caller's. */
struct scores {
	double *logits;
	double *probabilities;
	int views;
};

/* Empties the sums. */
void scores_clear(struct scores *scores, int classes);

/* Adds one view's logits and their softmax. */
void scores_add(struct scores *scores, const float *logits, const struct kernels *kernels, int classes);

/* Sums become means over views. */
void scores_finish(struct scores *scores, int classes);

/* *loss = -log of the label's probability; *rank = classes that are more probable than the label (equal ones count when they come
 * first; `classes` when a probability is not a number), of finished scores. */
void scores_judge(double *loss, int *rank, const struct scores *scores, int32_t label, const struct kernels *kernels, int classes);

#endif
