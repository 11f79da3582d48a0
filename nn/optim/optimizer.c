#include "nn/optim/optimizer.h"

#include <math.h>

static double lars_scale(const float *w, const float *g, const struct kernels *kernels, double trust, double decay, size_t count)
{
	double weight = sqrt(kernels->sum_squares(w, count)), gradient = sqrt(kernels->sum_squares(g, count));

	return weight > 0 && gradient > 0 ? trust * weight / (gradient + decay * weight) : 1;
}

static void step_param(float *w, float *v, const float *g, const struct optimizer *optimizer, const struct param *param,
		       const struct kernels *kernels, double rate)
{
	bool weight = param->kind == PARAM_CONV || param->kind == PARAM_LINEAR;
	double decay = weight || optimizer->decay_bn ? optimizer->weight_decay : 0;

	if (optimizer->kind == OPTIMIZER_SGD) {
		kernels->sgd(w, v, g, (float)rate, (float)optimizer->momentum, (float)decay, optimizer->nesterov, param->count);
		return;
	}
	if (weight)
		rate *= lars_scale(w, g, kernels, optimizer->trust, decay, param->count);
	kernels->lars(w, v, g, (float)rate, (float)optimizer->momentum, (float)decay, param->count);
}

void optimizer_step_range(float *parameters, float *velocity, const float *gradient, const struct optimizer *optimizer,
			  const struct graph *graph, const struct kernels *kernels, double rate, int threads, size_t offset,
			  size_t count)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
	for (int i = 0; i < graph->param_count; i++) {
		const struct param *param = &graph->params[i];

		if (param->offset >= offset && param->offset < offset + count)
			step_param(parameters + param->offset, velocity + param->offset, gradient + param->offset, optimizer, param,
				   kernels, rate);
	}
}

void optimizer_step(float *parameters, float *velocity, const float *gradient, const struct optimizer *optimizer,
		    const struct graph *graph, const struct kernels *kernels, double rate, int threads)
{
	optimizer_step_range(parameters, velocity, gradient, optimizer, graph, kernels, rate, threads, 0, graph->parameters);
}
