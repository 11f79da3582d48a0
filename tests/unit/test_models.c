#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* Exact counts of parameters, and multiply-adds in millions with the unit of their last digit. */
static const struct known {
	const char *arch;
	enum shortcut shortcut;
	enum stride_in stride_in;
	int image_size, classes;
	size_t parameters;
	double macs, unit;
} known[] = {
    {"resnet20", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 32, 10, 269722, 40.6, 0.1},
    {"resnet32", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 32, 10, 464154, 68.9, 0.1},
    {"resnet44", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 32, 10, 658586, 97.2, 0.1},
    {"resnet56", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 32, 10, 853018, 125.5, 0.1},
    {"resnet110", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 32, 10, 1727962, 252.9, 0.1},
    {"resnet1202", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 32, 10, 19421274, 2829, 1},
    {"plain20", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 32, 10, 269722, 40.6, 0.1},
    {"resnet18", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 224, 1000, 11689512, 1810, 10},
    {"resnet18", SHORTCUT_B, STRIDE_IN_1X1, 224, 1000, 11689512, 1810, 10},
    {"resnet18", SHORTCUT_A, STRIDE_IN_3X3, 224, 1000, 11515688, 1790, 20},
    {"plain18", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 224, 1000, 11515688, 1790, 20},
    {"resnet34", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 224, 1000, 21797672, 3660, 10},
    {"resnet34", SHORTCUT_A, STRIDE_IN_3X3, 224, 1000, 21623848, 3640, 20},
    {"resnet34", SHORTCUT_C, STRIDE_IN_3X3, 224, 1000, 22716840, 3840, 100},
    {"resnet50", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 224, 1000, 25557032, 4090, 10},
    {"resnet50", SHORTCUT_DEFAULT, STRIDE_IN_1X1, 224, 1000, 25557032, 3860, 10},
    {"resnet101", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 224, 1000, 44549160, 7800, 10},
    {"resnet101", SHORTCUT_DEFAULT, STRIDE_IN_1X1, 224, 1000, 44549160, 7570, 10},
    {"resnet152", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 224, 1000, 60192808, 11510, 10},
    {"resnet152", SHORTCUT_DEFAULT, STRIDE_IN_1X1, 224, 1000, 60192808, 11280, 10},
    {"vgg19", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 224, 1000, 143667240, 19630, 10},
};

static void parameters_and_multiply_adds_are_those_published(void)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct known *k = &known[i];
		struct model_options options = {k->arch, k->image_size, k->classes, k->shortcut, k->stride_in, false};
		struct graph graph;

		CU_ASSERT_EQUAL(model_build(&graph, &options), NN_OK);
		CU_ASSERT_EQUAL(graph.parameters, k->parameters);
		CU_ASSERT_DOUBLE_EQUAL(graph_macs(&graph) / 1e6, k->macs, k->unit / 2);
		graph_release(&graph);
	}
}

static const struct param *find(const struct graph *graph, const char *name)
{
	for (int i = 0; i < graph->param_count; i++)
		if (strcmp(graph->params[i].name, name) == 0)
			return &graph->params[i];
	return NULL;
}

static void check_shape(const struct graph *graph, const char *name, int o, int i, int h, int w)
{
	const struct param *param = find(graph, name);

	CU_ASSERT_PTR_NOT_NULL(param);
	if (param) {
		CU_ASSERT(param->shape[0] == o && param->shape[1] == i && param->shape[2] == h && param->shape[3] == w);
		CU_ASSERT_EQUAL(param->count, (size_t)o * (size_t)i * (size_t)h * (size_t)w);
	}
}

static void names_and_shapes_of_resnet18_are_those_of_torchvision(void)
{
	struct graph graph = fixture_graph("resnet18", 224, 1000, SHORTCUT_DEFAULT);

	CU_ASSERT_EQUAL(graph.param_count, 62);
	CU_ASSERT_EQUAL(graph.buffer_count, 2 * 20);
	CU_ASSERT_EQUAL(graph.blocks, 8);
	CU_ASSERT_STRING_EQUAL(graph.params[0].name, "conv1.weight");
	CU_ASSERT_STRING_EQUAL(graph.params[61].name, "fc.bias");
	CU_ASSERT_STRING_EQUAL(graph.buffers[0].name, "bn1.running_mean");
	CU_ASSERT_STRING_EQUAL(graph.buffers[1].name, "bn1.running_var");
	check_shape(&graph, "conv1.weight", 64, 3, 7, 7);
	check_shape(&graph, "layer1.0.conv1.weight", 64, 64, 3, 3);
	check_shape(&graph, "layer2.0.downsample.0.weight", 128, 64, 1, 1);
	check_shape(&graph, "layer2.0.downsample.1.weight", 128, 1, 1, 1);
	check_shape(&graph, "layer2.0.downsample.1.bias", 128, 1, 1, 1);
	check_shape(&graph, "layer4.1.bn2.bias", 512, 1, 1, 1);
	check_shape(&graph, "fc.weight", 1000, 512, 1, 1);
	CU_ASSERT_PTR_NULL(find(&graph, "layer1.0.downsample.0.weight"));
	graph_release(&graph);
}

static void names_and_shapes_of_resnet50_are_those_of_torchvision(void)
{
	struct graph graph = fixture_graph("resnet50", 224, 1000, SHORTCUT_DEFAULT);

	CU_ASSERT_EQUAL(graph.param_count, 161);
	CU_ASSERT_EQUAL(graph.buffer_count, 2 * 53);
	CU_ASSERT_EQUAL(graph.blocks, 16);
	check_shape(&graph, "layer1.0.conv1.weight", 64, 64, 1, 1);
	check_shape(&graph, "layer1.0.downsample.0.weight", 256, 64, 1, 1);
	check_shape(&graph, "layer3.5.conv2.weight", 256, 256, 3, 3);
	check_shape(&graph, "layer4.0.downsample.1.bias", 2048, 1, 1, 1);
	check_shape(&graph, "layer4.2.conv3.weight", 2048, 512, 1, 1);
	check_shape(&graph, "layer4.2.bn3.weight", 2048, 1, 1, 1);
	check_shape(&graph, "fc.bias", 1000, 1, 1, 1);
	CU_ASSERT_PTR_NULL(find(&graph, "layer4.1.downsample.0.weight"));
	graph_release(&graph);
}

static void names_of_vgg19_are_those_of_torchvision(void)
{
	struct graph graph = fixture_graph("vgg19", 224, 1000, SHORTCUT_DEFAULT);

	CU_ASSERT_EQUAL(graph.param_count, 38);
	check_shape(&graph, "features.0.bias", 64, 1, 1, 1);
	check_shape(&graph, "features.10.weight", 256, 128, 3, 3);
	check_shape(&graph, "features.34.weight", 512, 512, 3, 3);
	check_shape(&graph, "classifier.0.weight", 4096, 512, 7, 7);
	check_shape(&graph, "classifier.6.bias", 1000, 1, 1, 1);
	graph_release(&graph);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct param *)a)->name, ((const struct param *)b)->name);
}

/* Offsets without gaps in the order of the nodes; no two names equal. */
static void every_model_builds_with_a_gapless_layout_and_unique_names(void)
{
	int models = 0;

	for (; model_name(models); models++) {
		struct graph graph =
		    fixture_graph(model_name(models), model_is_cifar(model_name(models)) ? 32 : 224, 7, SHORTCUT_DEFAULT);
		const struct node *last = &graph.nodes[graph.node_count - 1];
		size_t offset = 0;

		CU_ASSERT(last->h == 1 && last->w == 1 && last->c == 7);
		CU_ASSERT_EQUAL(graph.classes, 7);
		CU_ASSERT_STRING_EQUAL(graph.arch, model_name(models));
		for (int i = 0; i < graph.param_count; i++) {
			CU_ASSERT_EQUAL(graph.params[i].offset, offset);
			offset += graph.params[i].count;
		}
		CU_ASSERT_EQUAL(offset, graph.parameters);
		qsort(graph.params, (size_t)graph.param_count, sizeof(*graph.params), by_name);
		for (int i = 1; i < graph.param_count; i++)
			CU_ASSERT_NOT_EQUAL(by_name(&graph.params[i - 1], &graph.params[i]), 0);
		graph_release(&graph);
	}
	CU_ASSERT_EQUAL(models, 22);
	CU_ASSERT_PTR_NULL(model_name(-1));
}

/* Height and channels of the value in front of the global average. */
static void check_features(const char *arch, int image_size, int classes, enum shortcut shortcut, int h, int c)
{
	struct graph graph = fixture_graph(arch, image_size, classes, shortcut);

	CU_ASSERT_EQUAL(graph.nodes[graph.node_count - 3].h, h);
	CU_ASSERT_EQUAL(graph.nodes[graph.node_count - 3].w, h);
	CU_ASSERT_EQUAL(graph.nodes[graph.node_count - 3].c, c);
	CU_ASSERT_EQUAL(graph.nodes[graph.node_count - 1].c, classes);
	graph_release(&graph);
}

static void shapes_follow_image_size_and_classes(void)
{
	check_features("resnet18", 224, 1000, SHORTCUT_B, 7, 512);
	check_features("resnet50", 225, 2, SHORTCUT_C, 8, 2048);
	check_features("resnet50", 64, 1, SHORTCUT_A, 2, 2048);
	check_features("resnet20", 32, 10, SHORTCUT_A, 8, 64);
	check_features("resnet20", 33, 100, SHORTCUT_B, 9, 64);
	check_features("resnet20", 1, 3, SHORTCUT_C, 1, 64);
	check_features("preresnet164", 32, 10, SHORTCUT_DEFAULT, 8, 256);
	check_features("plain56", 8, 10, SHORTCUT_DEFAULT, 2, 64);
}

static void an_image_too_small_is_refused_with_its_size(void)
{
	static const struct model_options small[] = {{.arch = "vgg19", .image_size = 31, .classes = 10},
						     {.arch = "resnet50", .image_size = 0, .classes = 10},
						     {.arch = "resnet20", .image_size = -4, .classes = 10}};

	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		struct graph graph;

		CU_ASSERT_EQUAL(model_build(&graph, &small[i]), NN_ERR_USAGE);
		CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "too small"));
		CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "larger images"));
		graph_release(&graph);
	}
}

static void an_unknown_architecture_is_named_in_the_message(void)
{
	struct model_options options = {.arch = "resnet19", .image_size = 32, .classes = 10};
	struct graph graph;

	CU_ASSERT_EQUAL(model_build(&graph, &options), NN_ERR_USAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "resnet19"));
	graph_release(&graph);
	CU_ASSERT(!model_is_cifar("resnet19"));
	CU_ASSERT(!model_is_cifar("resnet18"));
	CU_ASSERT(model_is_cifar("plain20"));
	CU_ASSERT(model_is_cifar("preresnet110"));
}

/* How many parameters start at 0 because of zero_gamma; each must be called layerN.M.bn`last`.weight. */
static int zero_gammas(const char *arch, char last)
{
	struct model_options options = {.arch = arch, .image_size = 64, .classes = 10, .zero_gamma = true};
	struct graph graph;
	int count = 0;

	CU_ASSERT_EQUAL(model_build(&graph, &options), NN_OK);
	for (int i = 0; i < graph.param_count; i++)
		if (graph.params[i].zero_init) {
			const char *tail = strstr(graph.params[i].name, ".bn");

			CU_ASSERT(tail && tail[3] == last && strcmp(tail + 4, ".weight") == 0);
			CU_ASSERT(strncmp(graph.params[i].name, "layer", 5) == 0);
			count++;
		}
	graph_release(&graph);
	return count;
}

/* A gamma of 0 would stop the gradient for good where no shortcut leads around it, or where its ReLU follows at once. */
static void zero_gamma_hits_the_last_batchnorm_of_each_residual_block_only(void)
{
	CU_ASSERT_EQUAL(zero_gammas("resnet18", '2'), 8);
	CU_ASSERT_EQUAL(zero_gammas("resnet20", '2'), 9);
	CU_ASSERT_EQUAL(zero_gammas("resnet50", '3'), 16);
	CU_ASSERT_EQUAL(zero_gammas("plain20", '2'), 0);
	CU_ASSERT_EQUAL(zero_gammas("preresnet110", '2'), 0);
}

static void check_values(const struct param *param, const float *values)
{
	double mean = 0, squares = 0, wanted = 0;
	double inputs = (double)param->count / param->shape[0];

	for (size_t i = 0; i < param->count; i++) {
		mean += (double)values[i] / (double)param->count;
		squares += (double)values[i] * (double)values[i] / (double)param->count;
	}
	if (param->kind == PARAM_CONV)
		wanted = 2.0 / ((double)param->shape[0] * param->shape[2] * param->shape[3]);
	else if (param->kind == PARAM_LINEAR) /* uniform in +- 1 / sqrt(inputs) */
		wanted = 1 / inputs / 3;
	else if (param->kind == PARAM_GAMMA)
		wanted = param->zero_init ? 0 : 1;
	if (param->count > 4000 || param->kind == PARAM_GAMMA || param->kind == PARAM_BETA) {
		/* the mean square of n normal values spreads by sqrt(2 / n) */
		CU_ASSERT_DOUBLE_EQUAL(squares, wanted, wanted * 6 * sqrt(2 / (double)param->count));
		CU_ASSERT(param->kind == PARAM_GAMMA || fabs(mean) <= 5 * sqrt(wanted / (double)param->count));
	}
}

static void parameters_start_as_he_et_al_prescribe(void)
{
	struct model_options options = {.arch = "resnet18", .image_size = 64, .classes = 100, .zero_gamma = true};
	struct graph graph;
	float *params, *again, *buffers;
	size_t bytes;

	CU_ASSERT_EQUAL(model_build(&graph, &options), NN_OK);
	bytes = graph.parameters * sizeof(float);
	params = reference_alloc(bytes);
	again = reference_alloc(bytes);
	buffers = reference_alloc(graph.statistics * sizeof(float));
	graph_init_parameters(params, buffers, &graph, 7);
	for (int i = 0; i < graph.param_count; i++)
		check_values(&graph.params[i], params + graph.params[i].offset);
	for (int i = 0; i < graph.buffer_count; i++)
		for (size_t k = 0; k < graph.buffers[i].count; k++)
			CU_ASSERT_EQUAL(buffers[graph.buffers[i].offset + k], i % 2);
	graph_init_parameters(again, buffers, &graph, 7);
	CU_ASSERT(same_bits(params, again, bytes));
	graph_init_parameters(again, buffers, &graph, 8);
	for (int i = 0; i < graph.param_count; i++)
		if (graph.params[i].kind <= PARAM_BIAS)
			CU_ASSERT(!same_bits(params + graph.params[i].offset, again + graph.params[i].offset,
					     graph.params[i].count * sizeof(float)));
	free(params);
	free(again);
	free(buffers);
	graph_release(&graph);
}

static void every_failing_allocation_of_a_build_is_reported(void)
{
	static const char *const names[] = {"resnet20", "vgg19", "preresnet110"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct model_options options = {.arch = names[i], .image_size = 32, .classes = 10};
		long before = nn_alloc_count(), needed;
		struct graph graph;

		CU_ASSERT_EQUAL(model_build(&graph, &options), NN_OK);
		graph_release(&graph);
		needed = nn_alloc_count() - before;
		CU_ASSERT(needed >= 2);
		for (long n = 1; n <= needed; n++) {
			nn_alloc_fail_at(n);
			CU_ASSERT_EQUAL(model_build(&graph, &options), NN_ERR_MEMORY);
			graph_release(&graph);
		}
		nn_alloc_fail_at(0);
	}
}

void suite_models(void)
{
	static const struct test_row rows[] = {
	    TEST(parameters_and_multiply_adds_are_those_published),
	    TEST(names_and_shapes_of_resnet18_are_those_of_torchvision),
	    TEST(names_and_shapes_of_resnet50_are_those_of_torchvision),
	    TEST(names_of_vgg19_are_those_of_torchvision),
	    TEST(every_model_builds_with_a_gapless_layout_and_unique_names),
	    TEST(shapes_follow_image_size_and_classes),
	    TEST(an_image_too_small_is_refused_with_its_size),
	    TEST(an_unknown_architecture_is_named_in_the_message),
	    TEST(zero_gamma_hits_the_last_batchnorm_of_each_residual_block_only),
	    TEST(parameters_start_as_he_et_al_prescribe),
	    TEST(every_failing_allocation_of_a_build_is_reported),
	};

	ADD_SUITE("models", rows);
}
