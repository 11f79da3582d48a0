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

static double sample_loss(float *d_logits, const float *logits, int label, const struct kernels *kernels, int classes,
			  double smoothing, double scale)
{
	double largest = (double)logits[0], sum = 0, mean = 0, log_sum;
	double share = smoothing / classes;

	for (int k = 1; k < classes; k++)
		if ((double)logits[k] > largest)
			largest = (double)logits[k];
	for (int k = 0; k < classes; k++) {
		sum += kernels->exp((double)logits[k] - largest);
		mean += ((double)logits[k] - largest) / classes;
	}
	log_sum = kernels->log(sum);
	for (int k = 0; d_logits && k < classes; k++) {
		double target = share + (k == label ? 1 - smoothing : 0);

		d_logits[k] = (float)(scale * (kernels->exp((double)logits[k] - largest) / sum - target));
	}
	return log_sum - (1 - smoothing) * ((double)logits[label] - largest) - smoothing * mean;
}

void loss_softmax(double *loss, int *rank, float *d_logits, const float *logits, const int32_t *labels,
		  const struct kernels *kernels, int classes, double smoothing, double scale, size_t samples)
{
	for (size_t n = 0; n < samples; n++) {
		const float *z = logits + n * (size_t)classes;

		loss[n] =
		    sample_loss(d_logits ? d_logits + n * (size_t)classes : NULL, z, labels[n], kernels, classes, smoothing, scale);
		rank[n] = true_rank(z, labels[n], classes);
	}
}
