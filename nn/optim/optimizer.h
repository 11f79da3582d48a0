/* Stochastic gradient descent with momentum, and LARS, over the flat view of the parameters. */
#ifndef NN_OPTIM_OPTIMIZER_H
#define NN_OPTIM_OPTIMIZER_H

#include <stdbool.h>

#include "nn/kernels/kernels.h"
#include "nn/models/graph.h"

enum optimizer_kind {
	OPTIMIZER_SGD,	/* v = momentum v + g + decay w; w -= rate v (torch.optim.SGD), or Nesterov's form of it */
	OPTIMIZER_LARS, /* You et al. 2017: v = momentum v + rate trust |w| / (|g| + decay |w|) (g + decay w); w -= v. Batch norm
			 * parameters and biases are not scaled. */
};

struct optimizer {
	enum optimizer_kind kind;
	double momentum;
	bool nesterov;
	double weight_decay;
	bool decay_bn; /* weight decay on batch norm parameters and biases too */
	double trust;
};

/* One step: parameters and velocity (graph->parameters floats each) from the gradient of the mean loss. Every tensor by itself, in
 * a fixed order of operations: the same bits for every number of threads. */
void optimizer_step(float *parameters, float *velocity, const float *gradient, const struct optimizer *optimizer,
		    const struct graph *graph, const struct kernels *kernels, double rate, int threads);

/* The same for those parameters that begin in [offset, offset + count) of the flat view: a step may be taken range by range. */
void optimizer_step_range(float *parameters, float *velocity, const float *gradient, const struct optimizer *optimizer,
			  const struct graph *graph, const struct kernels *kernels, double rate, int threads, size_t offset,
			  size_t count);

#endif
