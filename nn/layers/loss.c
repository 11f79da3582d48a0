#include "nn/layers/loss.h"

#include <math.h>

static int true_rank(const float *logits, int label, int classes)
{
	int rank = 0;

	for (int k = 0; k < classes; k++) {
		if (isnan(logits[k]))
			return classes;
		rank += logits[k] > logits[label] || (logits[k] == logits[label] && k < label);
	}
	return rank;
}

/* share onehot(label) + (1 - share) onehot(other), smoothed. */
struct target {
	int label, other;
	double share, smoothing;
};

static double sample_loss(float *d_logits, const float *logits, const struct target *target, const struct kernels *kernels,
			  int classes, double scale)
{
	double largest = (double)logits[0], sum = 0, mean = 0, log_sum;
	double even = target->smoothing / classes, own = (1 - target->smoothing) * target->share;
	double other = (1 - target->smoothing) * (1 - target->share);

	for (int k = 1; k < classes; k++)
		if ((double)logits[k] > largest)
			largest = (double)logits[k];
	for (int k = 0; k < classes; k++) {
		sum += kernels->exp((double)logits[k] - largest);
		mean += ((double)logits[k] - largest) / classes;
	}
	log_sum = kernels->log(sum);
	for (int k = 0; d_logits && k < classes; k++) {
		double t = even + (k == target->label ? own : 0) + (k == target->other ? other : 0);

		d_logits[k] = (float)(scale * (kernels->exp((double)logits[k] - largest) / sum - t));
	}
	return log_sum - own * ((double)logits[target->label] - largest) - other * ((double)logits[target->other] - largest) -
	       target->smoothing * mean;
}

void loss_softmax_mixed(double *loss, int *rank, float *d_logits, const float *logits, const int32_t *labels, const int32_t *others,
			const float *shares, const struct kernels *kernels, int classes, double smoothing, double scale,
			size_t samples)
{
	for (size_t n = 0; n < samples; n++) {
		const float *z = logits + n * (size_t)classes;
		struct target target = {labels[n], others ? others[n] : labels[n], shares ? (double)shares[n] : 1, smoothing};

		loss[n] = sample_loss(d_logits ? d_logits + n * (size_t)classes : NULL, z, &target, kernels, classes, scale);
		rank[n] = true_rank(z, target.share >= 0.5 ? target.label : target.other, classes);
	}
}

void loss_softmax(double *loss, int *rank, float *d_logits, const float *logits, const int32_t *labels,
		  const struct kernels *kernels, int classes, double smoothing, double scale, size_t samples)
{
	loss_softmax_mixed(loss, rank, d_logits, logits, labels, NULL, NULL, kernels, classes, smoothing, scale, samples);
}
