/* Whole networks in float against the double reference: logits, loss, and gradients by central differences. */
#include <math.h>
#include <stdlib.h>

#include "nn/core/rng.h"
#include "nn/models/internal.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

static int node_of(const struct graph *graph, int param)
{
	int node = 0;

	for (int i = 0; i < graph->node_count; i++)
		if (graph->nodes[i].param >= 0 && graph->nodes[i].param <= param)
			node = i;
	return node;
}

/* Every element of the parameter moves by +-step at once, so that an error in any of them shows. The step changes the loss by about
 * 1e-8, far above rounding (1e-15) and so little that ReLUs stay on their sides. The bound is relative to the gradient's norm; the
 * constant is for gradients that are 0 but for rounding (a shift that the next batch norm takes away). */
static void check_param(struct reference *reference, const struct fixture *fixture, const float *gradient, int p, double smoothing,
			double bound)
{
	const struct param *param = &fixture->graph.params[p];
	double *direction = reference_alloc(param->count * sizeof(double));
	double along = 0, squares = 0, step, loss[2];
	struct rng rng = rng_stream(4, (uint64_t)p, 0);

	for (size_t i = 0; i < param->count; i++) {
		double d = (double)gradient[param->offset + i];

		direction[i] = rng_below(&rng, 2) ? 1 : -1;
		along += d * direction[i];
		squares += d * d;
	}
	step = 1e-8 / fmax(sqrt(squares), 1e-2);
	reference->moved = p;
	reference->direction = direction;
	for (int side = 0; side < 2; side++) {
		reference->step = side ? -step : step;
		reference_run(reference, node_of(&fixture->graph, p));
		loss[side] = reference_mean_loss(reference, fixture->labels, smoothing);
	}
	reference->moved = -1;
	CU_ASSERT_DOUBLE_EQUAL(along, (loss[0] - loss[1]) / (2 * step), bound * sqrt(squares) + 5e-6);
	free(direction);
}

/* Moves every batch norm's output far from 0: channels that a ReLU passes for all samples, and, a third of them, that it stops.
 * Otherwise a deep net has ReLUs that rounding switches, each of them a percent of the gradient of a batch so small. */
static void separate(const struct fixture *fixture)
{
	for (int i = 0; i < fixture->graph.param_count; i++) {
		const struct param *param = &fixture->graph.params[i];

		for (size_t k = 0; k < param->count && param->kind == PARAM_BETA; k++)
			network_parameters(fixture->network)[param->offset + k] += k % 3 ? 3 : -3;
	}
}

/* Nets so deep that Winograd's rounding, grown through all layers, would pass the bound are checked without it. */
static bool is_deep(const struct graph *graph)
{
	return graph->node_count > 200;
}

/* Checks the last parameter and every `every`-th before it. Walks from the back: the values in front of a moved parameter stay. */
static void check_graph_by(const struct kernels *kernels, bool winograd, struct graph graph, size_t samples, int every,
			   double bound, bool separated)
{
	const double smoothing = 0.1;
	struct network_setup setup = fixture_setup(kernels, samples, 1);
	struct fixture fixture;
	struct reference reference;
	struct batch_result result;
	const float *logits;
	size_t first, local, last, count;
	double size = 0;

	setup.winograd = winograd;
	bound *= setup.winograd ? 2 : 1; /* its rounding is the larger one */
	fixture_init(&fixture, graph, &setup, samples);
	if (separated)
		separate(&fixture);
	last = (size_t)fixture.graph.node_count - 1;
	count = samples * (size_t)fixture.graph.classes;
	reference_init(&reference, &fixture.graph, network_parameters(fixture.network), fixture.images, samples);
	reference_run(&reference, 1);
	for (size_t i = 0; i < count; i++)
		size = fmax(size, fabs(reference.values[last][i]));
	network_begin_batch(fixture.network, samples, &first, &local);
	CU_ASSERT_EQUAL(network_forward(&logits, fixture.network, fixture.images, true), NN_OK);
	CU_ASSERT(reference_distance(logits, reference.values[last], count) < bound * size);
	CU_ASSERT_EQUAL(fixture_step(&result, &fixture, smoothing), NN_OK);
	CU_ASSERT_DOUBLE_EQUAL(result.loss / (double)samples, reference_mean_loss(&reference, fixture.labels, smoothing), bound);
	for (int p = fixture.graph.param_count - 1; p >= 0; p -= every) {
		int partials;

		check_param(&reference, &fixture, network_gradients(fixture.network, &partials)[0], p, smoothing, 10 * bound);
	}
	reference_release(&reference);
	fixture_release(&fixture);
}

static void check_graph(struct graph graph, size_t samples, int every, double bound, bool separated)
{
	check_graph_by(reference_set(0), !is_deep(&graph), graph, samples, every, bound, separated);
}

static void every_kernel_set_has_the_gradients_of_the_loss_directly_and_by_winograd(void)
{
	for (int s = 0; reference_set(s); s++)
		for (int winograd = 0; winograd < 2; winograd++)
			check_graph_by(reference_set(s), winograd, fixture_graph("resnet20", 9, 10, SHORTCUT_B), 4, 5, 1e-5, false);
}

static void resnet20_with_each_shortcut_has_the_gradients_of_its_loss(void)
{
	check_graph(fixture_graph("resnet20", 8, 10, SHORTCUT_A), 4, 1, 1e-5, false);
	check_graph(fixture_graph("resnet20", 9, 10, SHORTCUT_B), 4, 2, 1e-5, false);
	check_graph(fixture_graph("resnet20", 8, 10, SHORTCUT_C), 4, 2, 1e-5, false);
}

static void plain20_has_the_gradients_of_its_loss(void)
{
	check_graph(fixture_graph("plain20", 8, 10, SHORTCUT_DEFAULT), 4, 1, 1e-5, false);
}

/* All kinds of blocks that only deep nets have, two in each of three stages. */
static void shallow_nets_of_every_block_have_the_gradients_of_their_loss(void)
{
	static const struct architecture kinds[] = {{"basic", FAMILY_PREACTIVATION, false, false, {2, 2, 2, 0}},
						    {"bottleneck", FAMILY_PREACTIVATION, false, true, {2, 2, 2, 0}},
						    {"bottleneck", FAMILY_CIFAR, false, true, {2, 2, 2, 0}}};

	for (int kind = 0; kind < 9; kind++) {
		const struct architecture *arch = &kinds[kind / 3];
		struct model_options options = {.arch = arch->name,
						.classes = 10,
						.shortcut = (enum shortcut)(SHORTCUT_A + kind % 3),
						.stride_in = kind % 2 ? STRIDE_IN_1X1 : STRIDE_IN_3X3};
		struct graph graph;

		CU_ASSERT_EQUAL(graph_init(&graph, arch->name, 9, 8, 3), NN_OK);
		CU_ASSERT_EQUAL(arch->family == FAMILY_CIFAR ? build_resnet(&graph, arch, &options)
							     : build_preactivation(&graph, arch, &options),
				NN_OK);
		check_graph(graph, 4, 2, 1e-5, false);
	}
}

/* 576 pixels are more than two parts of a 1 x 1 convolution hold. */
static void a_net_that_works_on_parts_of_samples_has_the_gradients_of_its_loss(void)
{
	static const struct architecture kinds[] = {{"bottleneck", FAMILY_CIFAR, false, true, {2, 1, 0, 0}},
						    {"bottleneck", FAMILY_PREACTIVATION, false, true, {2, 1, 0, 0}}};

	for (int kind = 0; kind < 2; kind++) {
		struct model_options options = {.arch = "bottleneck", .classes = 10, .shortcut = SHORTCUT_B};
		struct graph graph;
		int parts = 1;

		CU_ASSERT_EQUAL(graph_init(&graph, "bottleneck", 24, 24, 3), NN_OK);
		CU_ASSERT_EQUAL(kind == 0 ? build_resnet(&graph, &kinds[kind], &options)
					  : build_preactivation(&graph, &kinds[kind], &options),
				NN_OK);
		for (int i = 1; i < graph.node_count; i++)
			if (graph.nodes[i].op == OP_CONV && conv_parts(&graph.nodes[i].conv) > parts)
				parts = conv_parts(&graph.nodes[i].conv);
		CU_ASSERT_EQUAL(parts, 3);
		check_graph(graph, 3, 1, 1e-5, true);
	}
}

static void preresnet110_has_the_gradients_of_its_loss(void)
{
	check_graph(fixture_graph("preresnet110", 8, 10, SHORTCUT_A), 4, 29, 3e-5, false);
}

static void resnet50_has_the_gradients_of_its_loss(void)
{
	check_graph(fixture_graph("resnet50", 32, 3, SHORTCUT_B), 6, 40, 5e-5, true);
}

/* VGG in small: biases, max pools, overlapping averages, two linear layers. */
static void a_net_with_biases_and_pools_has_the_gradients_of_its_loss(void)
{
	struct graph graph;
	int x;

	CU_ASSERT_EQUAL(graph_init(&graph, "small", 20, 20, 3), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &x, 0, 9, 3, 1, 1, "features.0"), NN_OK);
	CU_ASSERT_EQUAL(graph_bias_relu(&graph, &x, x, "features.0", true), NN_OK);
	CU_ASSERT_EQUAL(graph_maxpool(&graph, &x, x, 2, 2, 0), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &x, x, 17, 5, 1, 2, "features.3"), NN_OK);
	CU_ASSERT_EQUAL(graph_bias_relu(&graph, &x, x, "features.3", true), NN_OK);
	CU_ASSERT_EQUAL(graph_avgpool(&graph, &x, x, 7), NN_OK);
	CU_ASSERT_EQUAL(graph_linear(&graph, &x, x, 33, "classifier.0"), NN_OK);
	CU_ASSERT_EQUAL(graph_bias_relu(&graph, &x, x, NULL, true), NN_OK);
	CU_ASSERT_EQUAL(graph_linear(&graph, &x, x, 5, "classifier.3"), NN_OK);
	check_graph(graph, 3, 1, 1e-5, false);
}

/* No model does this; the builder of graphs allows it. */
static void a_value_that_is_added_twice_collects_all_its_gradients(void)
{
	struct graph graph;
	int shared, x;

	CU_ASSERT_EQUAL(graph_init(&graph, "twice", 6, 6, 3), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &x, 0, 8, 3, 1, 1, "conv1"), NN_OK);
	CU_ASSERT_EQUAL(graph_batchnorm(&graph, &shared, x, -1, true, false, "bn1"), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &x, shared, 8, 3, 1, 1, "conv2"), NN_OK);
	CU_ASSERT_EQUAL(graph_batchnorm(&graph, &x, x, shared, true, false, "bn2"), NN_OK);
	CU_ASSERT_EQUAL(graph_conv(&graph, &x, x, 8, 3, 1, 1, "conv3"), NN_OK);
	CU_ASSERT_EQUAL(graph_batchnorm(&graph, &x, x, shared, true, false, "bn3"), NN_OK);
	CU_ASSERT_EQUAL(graph_avgpool(&graph, &x, x, 1), NN_OK);
	CU_ASSERT_EQUAL(graph_linear(&graph, &x, x, 5, "fc"), NN_OK);
	check_graph(graph, 4, 1, 1e-5, false);
}

void suite_gradients(void)
{
	static const struct test_row rows[] = {
	    TEST(every_kernel_set_has_the_gradients_of_the_loss_directly_and_by_winograd),
	    TEST(resnet20_with_each_shortcut_has_the_gradients_of_its_loss),
	    TEST(plain20_has_the_gradients_of_its_loss),
	    TEST(shallow_nets_of_every_block_have_the_gradients_of_their_loss),
	    TEST(a_net_that_works_on_parts_of_samples_has_the_gradients_of_its_loss),
	    TEST(preresnet110_has_the_gradients_of_its_loss),
	    TEST(resnet50_has_the_gradients_of_its_loss),
	    TEST(a_net_with_biases_and_pools_has_the_gradients_of_its_loss),
	    TEST(a_value_that_is_added_twice_collects_all_its_gradients),
	};

	ADD_SUITE("gradients", rows);
}
