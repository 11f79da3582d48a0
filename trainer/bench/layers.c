#include "trainer/bench/layers.h"

#include <string.h>

#include "nn/core/alloc.h"
#include "nn/core/rng.h"
#include "nn/kernels/gemm.h"
#include "nn/optim/optimizer.h"
#include "trainer/bench/timing.h"

enum { CEILING_REPETITIONS = 6 }; /* for each iteration of a pass */

/* One shape at work. */
struct layer {
	const struct bench_options *options;
	struct conv conv;
	struct conv part; /* as the network computes it, in parts of samples */
	size_t parts;	  /* of all samples */
	struct conv_env env;
	float *in, *out, *d_in, *weight, *packed;
	double *seconds;
};

const char *layer_pass_name(enum layer_pass pass)
{
	static const char *const names[] = {"forward", "data gradient", "weight gradient"};

	return names[pass];
}

double layers_rest(const struct layers *layers)
{
	return layers->step.median_seconds - layers->convolutions - layers->optimizer;
}

static double in_values(const struct layer *layer)
{
	return (double)layer->options->batch * layer->conv.in_h * layer->conv.in_w * layer->conv.in_c;
}

static double out_values(const struct layer *layer)
{
	return (double)layer->options->batch * layer->conv.out_h * layer->conv.out_w * layer->conv.out_c;
}

static double weight_values(const struct layer *layer)
{
	return (double)layer->conv.kernel * layer->conv.kernel * layer->conv.in_c * layer->conv.out_c;
}

static enum nn_status fill(float **values, double count)
{
	struct rng rng = rng_stream(0, 0, 0);
	enum nn_status status = nn_alloc(values, ((size_t)count + 64) * sizeof(float));

	for (size_t i = 0; status == NN_OK && i < (size_t)count; i++)
		(*values)[i] = (float)rng_below(&rng, 1000) * 1e-3f - 0.5f;
	return status;
}

/* In place; the other half of the memory is what convolutions may read too much. */
static void narrow(const struct layer *layer, float *values, double count)
{
	layer->env.kernels->narrow((uint16_t *)(void *)values, values, (size_t)count);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static enum nn_status prepare(struct layer *layer)
{
	size_t packed =
	    larger(conv_packed_size(&layer->part, &layer->env, false), conv_packed_size(&layer->part, &layer->env, true));
	size_t scratch =
	    larger(conv_scratch_size(&layer->part, &layer->env, false), conv_scratch_size(&layer->part, &layer->env, true));
	enum nn_status status = fill(&layer->in, in_values(layer));

	if (status == NN_OK)
		status = fill(&layer->out, out_values(layer));
	if (status == NN_OK)
		status = fill(&layer->d_in, in_values(layer));
	if (status == NN_OK)
		status = fill(&layer->weight, weight_values(layer));
	if (status == NN_OK && layer->env.bf16) {
		narrow(layer, layer->in, in_values(layer));
		narrow(layer, layer->out, out_values(layer));
	}
	if (status == NN_OK)
		status = nn_alloc(&layer->packed, packed * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&layer->env.scratch, scratch * sizeof(float));
	return status == NN_OK ? nn_alloc(&layer->seconds, (size_t)layer->options->iterations * sizeof(double)) : status;
}

static void release(struct layer *layer)
{
	nn_free(layer->in);
	nn_free(layer->out);
	nn_free(layer->d_in);
	nn_free(layer->weight);
	nn_free(layer->packed);
	nn_free(layer->env.scratch);
	nn_free(layer->seconds);
}

/* The weight gradient takes the weight's place: its values do not matter to any time. */
static void run_pass(struct layer *layer, enum layer_pass pass)
{
	struct source in = {.values = layer->in}, d_out = {.values = layer->out};
	struct sink none = {0};

	if (pass != LAYER_WEIGHT_GRADIENT)
		conv_pack(layer->packed, layer->weight, NULL, &layer->part, &layer->env, pass == LAYER_DATA_GRADIENT);
	if (pass == LAYER_FORWARD)
		conv_forward(layer->out, in, layer->packed, &layer->part, &layer->env, layer->parts, (struct conv_finish){0}, none);
	else
		conv_backward(pass == LAYER_WEIGHT_GRADIENT ? layer->weight : NULL,
			      pass == LAYER_DATA_GRADIENT ? layer->d_in : NULL, d_out, in, layer->packed, &layer->part, &layer->env,
			      0, layer->parts, false, none);
}

static void time_pass(struct layer_row *row, struct layer *layer)
{
	for (int i = -1; i < layer->options->iterations; i++) {
		double start = timing_now();

		run_pass(layer, row->pass);
		if (i >= 0)
			layer->seconds[i] = timing_now() - start;
	}
	row->seconds = timing_median(layer->seconds, (size_t)layer->options->iterations);
	row->gflops = 2e-9 * out_values(layer) * weight_values(layer) / layer->conv.out_c / row->seconds;
	row->bytes = (layer->env.bf16 ? sizeof(uint16_t) : sizeof(float)) * (in_values(layer) + out_values(layer)) +
		     sizeof(float) * weight_values(layer);
}

/* The passes of the shape whose forward row is the last one of `layers`; fills in that row and adds the others. */
static enum nn_status time_shape(struct layers *layers, const struct layer_row *shape, bool first,
				 const struct bench_options *options, const struct kernels *kernels)
{
	struct layer layer = {
	    .options = options,
	    .conv = shape->conv,
	    .part = conv_part(&shape->conv),
	    .parts = options->batch * (size_t)conv_parts(&shape->conv),
	    .env = {.kernels = kernels, .threads = options->threads, .winograd = options->winograd, .bf16 = options->bf16}};
	enum nn_status status = prepare(&layer);

	for (int pass = 0; status == NN_OK && pass < LAYER_PASSES; pass++) {
		struct layer_row *row = &layers->rows[layers->count];

		if (first && pass == LAYER_DATA_GRADIENT)
			continue;
		*row = *shape;
		row->pass = (enum layer_pass)pass;
		row->winograd = pass == LAYER_WEIGHT_GRADIENT ? conv_weight_by_winograd(&layer.part, &layer.env)
							      : conv_by_winograd(&layer.part, &layer.env);
		time_pass(row, &layer);
		layers->convolutions += row->layers * row->seconds;
		layers->count++;
	}
	release(&layer);
	return status;
}

/* shapes[] = the shapes of convolutions, in the order in which they come, with their counts; returns how many there are. The first
 * layer is a shape of its own. */
static int find_shapes(struct layer_row *shapes, const struct graph *graph)
{
	int count = 0;

	for (int i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		int at = count > 0 ? 1 : 0;

		if (node->op != OP_CONV)
			continue;
		while (at < count && memcmp(&shapes[at].conv, &node->conv, sizeof(node->conv)) != 0)
			at++;
		if (at == count)
			shapes[count++] = (struct layer_row){.conv = node->conv};
		shapes[at].layers++;
	}
	return count;
}

static enum nn_status time_shapes(struct layers *layers, const struct graph *graph, const struct bench_options *options,
				  const struct kernels *kernels)
{
	struct layer_row *shapes;
	enum nn_status status = nn_alloc(&shapes, (size_t)graph->node_count * sizeof(*shapes));
	int count = 0;

	if (status == NN_OK)
		status = nn_alloc(&layers->rows, LAYER_PASSES * (size_t)graph->node_count * sizeof(*layers->rows));
	if (status == NN_OK)
		count = find_shapes(shapes, graph);
	for (int i = 0; i < count && status == NN_OK; i++)
		status = time_shape(layers, &shapes[i], i == 0, options, kernels);
	nn_free(shapes);
	return status;
}

static enum nn_status time_optimizer(struct layers *layers, const struct graph *graph, const struct bench_options *options,
				     const struct kernels *kernels)
{
	static const struct optimizer sgd = {.kind = OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 1e-4, .decay_bn = true};
	size_t n = graph->parameters;
	float *memory;
	double *seconds = NULL;
	enum nn_status status = fill(&memory, 3 * (double)n);

	if (status == NN_OK)
		status = nn_alloc(&seconds, (size_t)options->iterations * sizeof(*seconds));
	for (int i = -1; status == NN_OK && i < options->iterations; i++) {
		double start = timing_now();

		optimizer_step(memory, memory + n, memory + 2 * n, &sgd, graph, kernels, 0.01, options->threads);
		if (i >= 0)
			seconds[i] = timing_now() - start;
	}
	if (status == NN_OK)
		layers->optimizer = timing_median(seconds, (size_t)options->iterations);
	nn_free(memory);
	nn_free(seconds);
	return status;
}

enum nn_status layers_measure(struct layers *layers, const struct bench_options *options)
{
	const struct kernels *kernels;
	struct graph graph = {0};
	enum nn_status status;

	*layers = (struct layers){0};
	status = kernels_select(&kernels, options->isa, options->bf16);
	gemm_init();
	if (status == NN_OK)
		status = bench_graph(&graph, options);
	if (status == NN_OK)
		status = time_shapes(layers, &graph, options, kernels);
	if (status == NN_OK)
		status = time_optimizer(layers, &graph, options, kernels);
	if (status == NN_OK)
		status = bench_run(&layers->step, options);
	if (status == NN_OK)
		status = peak_measure(&layers->ceiling, options->bf16 && kernels->bf16_products ? PEAK_BF16 : PEAK_MULTIPLY_ADD,
				      kernels, options->threads, CEILING_REPETITIONS * options->iterations);
	graph_release(&graph);
	return status;
}

void layers_release(struct layers *layers)
{
	nn_free(layers->rows);
}
