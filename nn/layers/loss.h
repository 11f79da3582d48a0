/* Softmax cross-entropy with label smoothing (Szegedy et al. 2016, section 7), and the rank of the true class. */
#ifndef NN_LAYERS_LOSS_H
#define NN_LAYERS_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "nn/kernels/kernels.h"

/* For each sample n: loss[n] = -sum_k t_k log softmax(logits[n])_k with t = (1 - smoothing) onehot(label) + smoothing / classes;
 * rank[n] = how many classes score higher than the true one (equal scores count when they come first; a score that is not a
 * number makes the rank `classes`): top-1 is right when 0, top-5 when < 5. d_logits (samples, classes), when not NULL, gets
 * scale * dloss/dlogits. Each sample by itself, in double. labels[n] in [0, classes). */
void loss_softmax(double *loss, int *rank, float *d_logits, const float *logits, const int32_t *labels,
		  const struct kernels *kernels, int classes, double smoothing, double scale, size_t samples);

/* The same with mixed labels: the target is share[n] onehot(label) + (1 - share[n]) onehot(other), smoothed; the rank is that of
 * the one with the greater share. others and shares NULL: as above. Source: Zhang et al. 2017, "mixup". */
void loss_softmax_mixed(double *loss, int *rank, float *d_logits, const float *logits, const int32_t *labels, const int32_t *others,
			const float *shares, const struct kernels *kernels, int classes, double smoothing, double scale,
			size_t samples);

#endif
