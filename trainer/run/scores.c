#include "trainer/run/scores.h"

#include <float.h>
#include <math.h>
#include <string.h>

void scores_clear(struct scores *scores, int classes)
{
	memset(scores->logits, 0, (size_t)classes * sizeof(double));
	memset(scores->probabilities, 0, (size_t)classes * sizeof(double));
	scores->views = 0;
}

void scores_add(struct scores *scores, const float *logits, const struct kernels *kernels, int classes)
{
	double largest = (double)logits[0], sum = 0;

	for (int k = 1; k < classes; k++)
		if ((double)logits[k] > largest)
			largest = (double)logits[k];
	for (int k = 0; k < classes; k++)
		sum += kernels->exp((double)logits[k] - largest);
	for (int k = 0; k < classes; k++) {
		scores->logits[k] += (double)logits[k];
		scores->probabilities[k] += kernels->exp((double)logits[k] - largest) / sum;
	}
	scores->views++;
}

void scores_finish(struct scores *scores, int classes)
{
	for (int k = 0; k < classes; k++) {
		scores->logits[k] /= scores->views;
		scores->probabilities[k] /= scores->views;
	}
	scores->views = 1;
}

void scores_judge(double *loss, int *rank, const struct scores *scores, int32_t label, const struct kernels *kernels, int classes)
{
	const double *p = scores->probabilities;

	*rank = 0;
	*loss = -kernels->log(fmax(p[label], DBL_MIN));
	for (int k = 0; k < classes; k++) {
		if (isnan(p[k])) {
			*rank = classes;
			*loss = NAN;
			return;
		}
		*rank += p[k] > p[label] || (p[k] == p[label] && k < label);
	}
}
