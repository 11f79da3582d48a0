/* Whole small networks against what PyTorch computed in float64: logits, loss, running statistics, gradients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/models/models.h"
#include "nn/models/network.h"
#include "tests/unit/fixture.h"
#include "tests/unit/suites.h"
#include "trainer/state/network_entries.h"

enum { CLASSES = 4, PASSES = 3, SAMPLES_MAX = 8 };

struct net_case {
	const char *name, *arch;
	enum shortcut shortcut;
	enum stride_in stride_in;
	int samples, size;
};

static const double tolerance = 5e-5;

/* Without surprises gradients agree to 1e-4; a ReLU input within rounding of zero that falls on the other side moves them by 1e-3.
 */
static const double gradient_tolerance = 5e-3;

/* Weights by the rule: gamma and beta not 1 and 0, so that a mix-up of names shows. */
static void fill(const struct network_entries *entries, const struct graph *graph)
{
	for (int i = 0; i < graph->param_count; i++) {
		const struct param *param = &graph->params[i];
		double outputs = (double)param->shape[0] * param->shape[2] * param->shape[3];
		double scale = param->kind == PARAM_CONV ? sqrt(6 / outputs) : param->kind == PARAM_GAMMA ? 0.25 : 0.1;
		double shift = param->kind == PARAM_GAMMA ? 1 : 0;

		if (param->kind == PARAM_GAMMA && strstr(param->name, "bn3.")) {
			scale = 0.05;
			shift = 0.2;
		}
		if (i >= graph->param_count - 2) /* fc */
			scale = 1 / sqrt((double)graph->params[graph->param_count - 2].shape[1]);
		fixture_fill(&entries->entries[i], scale, shift);
	}
}

static void check_entry(const struct safetensors *file, const char *case_name, const char *name, struct tensor_entry entry,
			double bound)
{
	size_t count = tensor_entry_count(&entry);
	const float *got = entry.values;

	CU_ASSERT_EQUAL_FATAL(nn_alloc(&entry.values, count * sizeof(float)), NN_OK);
	fixture_read_entry(file, case_name, name, entry);
	CU_ASSERT(fixture_error(got, entry.values, count) <= bound);
	nn_free(entry.values);
}

/* Every gradient and statistic that the file has. Returns how many these were. */
static int check_entries(const struct safetensors *file, const char *case_name, const char *prefix,
			 const struct network_entries *entries, double bound)
{
	int found = 0;

	for (int i = 0; i < entries->count; i++) {
		char name[96], full[128];

		snprintf(name, sizeof(name), "%s%s", prefix, entries->entries[i].name);
		snprintf(full, sizeof(full), "%s/%s", case_name, name);
		if (!file || !safetensors_find(file, full))
			continue;
		check_entry(file, case_name, name, entries->entries[i], bound);
		found++;
	}
	return found;
}

static void check_passes(const struct safetensors *file, const struct net_case *test, struct network *network,
			 const struct network_entries *model, const float *images)
{
	struct tensor_entry logits = {.dims = 2, .shape = {test->samples, CLASSES}};
	struct batch_result result = {0};
	struct network_entries gradient = {0};
	const float *out;
	size_t first, samples;
	int count;
	static const int32_t labels[SAMPLES_MAX] = {0, 1, 2, 3, 0, 1, 2, 3};
	float loss;

	for (int i = 0; i < PASSES; i++) {
		network_begin_batch(network, (size_t)test->samples, &first, &samples);
		CU_ASSERT_EQUAL(network_forward(&out, network, images, true), NN_OK);
	}
	CU_ASSERT_EQUAL(check_entries(file, test->name, "", model, tolerance), 2);
	network_begin_samples(network, samples);
	CU_ASSERT_EQUAL(network_forward(&out, network, images, false), NN_OK);
	logits.values = (float *)(uintptr_t)out;
	check_entry(file, test->name, "logits", logits, tolerance);
	network_begin_batch(network, (size_t)test->samples, &first, &samples);
	CU_ASSERT_EQUAL(network_forward(&out, network, images, true), NN_OK);
	CU_ASSERT_EQUAL(network_loss(&result, network, labels, 0), NN_OK);
	CU_ASSERT_EQUAL(network_backward(network, NULL, NULL), NN_OK);
	loss = (float)(result.loss / result.samples);
	check_entry(file, test->name, "loss", (struct tensor_entry){.values = &loss}, tolerance);
	CU_ASSERT_EQUAL(network_entries_init(&gradient, network_graph(network), network_gradients(network, &count)[0], NULL),
			NN_OK);
	CU_ASSERT(check_entries(file, test->name, "gradient/", &gradient, gradient_tolerance) >= 4);
	network_entries_release(&gradient);
}

static void check_net(const struct net_case *test)
{
	struct model_options options = {test->arch, test->size, CLASSES, test->shortcut, test->stride_in, false};
	struct network_setup setup = {.threads = 2, .capacity = SAMPLES_MAX, .shards = {1, 0, 1}, .training = true};
	struct safetensors *file = fixture_open("nets");
	struct network_entries model = {0};
	struct network *network = NULL;
	struct graph graph;
	char salted[32];
	float *images;

	CU_ASSERT_EQUAL(kernels_select(&setup.kernels, getenv("RESNET_ISA"), false), NN_OK);
	CU_ASSERT_EQUAL_FATAL(model_build(&graph, &options), NN_OK);
	CU_ASSERT_EQUAL_FATAL(network_create(&network, &graph, &setup), NN_OK);
	CU_ASSERT_EQUAL_FATAL(network_entries_init(&model, &graph, network_parameters(network), network_statistics(network)),
			      NN_OK);
	graph_init_parameters(network_parameters(network), network_statistics(network), &graph, 0);
	fill(&model, &graph);
	snprintf(salted, sizeof(salted), "images%d", fixture_read_int(file, test->name, "salt"));
	images = fixture_new(salted, (size_t)(test->samples * test->size * test->size) * 3, 1, 0);
	check_passes(file, test, network, &model, images);
	nn_free(images);
	network_entries_release(&model);
	network_destroy(network);
	graph_release(&graph);
	safetensors_close(file);
}

static void cifar_nets_match_pytorch(void)
{
	check_net(&(struct net_case){"resnet20", "resnet20", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 2, 8});
	check_net(&(struct net_case){"plain20", "plain20", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 2, 8});
	check_net(&(struct net_case){"preresnet110", "preresnet110", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 2, 8});
}

static void shortcuts_a_and_c_match_pytorch(void)
{
	check_net(&(struct net_case){"resnet18_a", "resnet18", SHORTCUT_A, STRIDE_IN_3X3, 4, 32});
	check_net(&(struct net_case){"resnet18_c", "resnet18", SHORTCUT_C, STRIDE_IN_3X3, 4, 32});
}

static void bottlenecks_match_pytorch_in_both_versions(void)
{
	check_net(&(struct net_case){"resnet50", "resnet50", SHORTCUT_DEFAULT, STRIDE_IN_3X3, 8, 32});
	check_net(&(struct net_case){"resnet50_v1", "resnet50", SHORTCUT_DEFAULT, STRIDE_IN_1X1, 8, 32});
}

void suite_fixture_nets(void)
{
	static const struct test_row rows[] = {
	    TEST(cifar_nets_match_pytorch),
	    TEST(shortcuts_a_and_c_match_pytorch),
	    TEST(bottlenecks_match_pytorch_in_both_versions),
	};

	ADD_SUITE("fixture_nets", rows);
}
