#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"
#include "trainer/state/network_entries.h"

/* A graph and the vectors that its entries point into. */
struct state {
	struct graph graph;
	float *parameters, *statistics;
	struct network_entries entries;
};

static void state_init(struct state *state, const char *arch, int image_size, int classes)
{
	state->graph = fixture_graph(arch, image_size, classes, SHORTCUT_DEFAULT);
	CU_ASSERT_EQUAL_FATAL(nn_alloc(&state->parameters, state->graph.parameters * sizeof(float)), NN_OK);
	CU_ASSERT_EQUAL_FATAL(nn_alloc(&state->statistics, state->graph.statistics * sizeof(float)), NN_OK);
	CU_ASSERT_EQUAL_FATAL(network_entries_init(&state->entries, &state->graph, state->parameters, state->statistics), NN_OK);
}

static void state_release(struct state *state)
{
	network_entries_release(&state->entries);
	nn_free(state->parameters);
	nn_free(state->statistics);
	graph_release(&state->graph);
}

static const struct tensor_entry *find(const struct network_entries *entries, const char *name)
{
	for (int i = 0; i < entries->count; i++)
		if (strcmp(entries->entries[i].name, name) == 0)
			return &entries->entries[i];
	return NULL;
}

/* Whether the tensor has this shape in files; unused dimensions are 0. */
static bool has(const struct network_entries *entries, const char *name, int64_t a, int64_t b, int64_t c, int64_t d)
{
	const int64_t expected[TENSOR_ENTRY_DIMS] = {a, b, c, d};
	const struct tensor_entry *entry = find(entries, name);
	int64_t shape[TENSOR_ENTRY_DIMS];
	int dims, wanted = d ? 4 : b ? 2 : a ? 1 : 0;

	if (!entry)
		return false;
	dims = tensor_entry_file_shape(shape, entry);
	return dims == wanted && memcmp(shape, expected, (size_t)dims * sizeof(shape[0])) == 0;
}

static bool has_batchnorm(const struct network_entries *entries, const char *prefix, int channels)
{
	static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
	char name[128];
	bool all = true;

	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s.%s", prefix, parts[i]);
		all = all && has(entries, name, channels, 0, 0, 0);
	}
	snprintf(name, sizeof(name), "%s.num_batches_tracked", prefix);
	return all && has(entries, name, 0, 0, 0, 0) && find(entries, name)->type == TENSOR_I64;
}

/* torchvision.models.resnet18().state_dict(): two blocks of two convolutions in each of four stages. */
static void check_block(const struct network_entries *entries, int stage, int block)
{
	int width = 64 << (stage - 1), in = stage > 1 && block == 0 ? width / 2 : width;
	char prefix[64];

	for (int conv = 1; conv <= 2; conv++) {
		snprintf(prefix, sizeof(prefix), "layer%d.%d.conv%d.weight", stage, block, conv);
		CU_ASSERT(has(entries, prefix, width, conv == 1 ? in : width, 3, 3));
		snprintf(prefix, sizeof(prefix), "layer%d.%d.bn%d", stage, block, conv);
		CU_ASSERT(has_batchnorm(entries, prefix, width));
	}
	snprintf(prefix, sizeof(prefix), "layer%d.%d.downsample.0.weight", stage, block);
	CU_ASSERT_EQUAL(has(entries, prefix, width, in, 1, 1), in != width);
	snprintf(prefix, sizeof(prefix), "layer%d.%d.downsample.1", stage, block);
	CU_ASSERT_EQUAL(has_batchnorm(entries, prefix, width), in != width);
}

static void resnet18_has_the_names_and_shapes_of_torchvision(void)
{
	struct state state;

	state_init(&state, "resnet18", 224, 1000);
	CU_ASSERT_EQUAL(state.entries.count, 122);
	CU_ASSERT(has(&state.entries, "conv1.weight", 64, 3, 7, 7));
	CU_ASSERT(has_batchnorm(&state.entries, "bn1", 64));
	for (int stage = 1; stage <= 4; stage++)
		for (int block = 0; block < 2; block++)
			check_block(&state.entries, stage, block);
	CU_ASSERT(has(&state.entries, "fc.weight", 1000, 512, 0, 0));
	CU_ASSERT(has(&state.entries, "fc.bias", 1000, 0, 0, 0));
	state_release(&state);
}

static void the_head_is_the_last_layer(void)
{
	static const char *const nets[] = {"resnet18", "resnet20", "preresnet110", "plain34"};
	struct state state;

	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
		state_init(&state, nets[i], model_is_cifar(nets[i]) ? 32 : 64, 7);
		CU_ASSERT_STRING_EQUAL(state.entries.entries[state.entries.head].name, "fc.weight");
		CU_ASSERT_STRING_EQUAL(state.entries.entries[state.entries.head + 1].name, "fc.bias");
		CU_ASSERT_EQUAL(state.entries.entries[state.entries.head].shape[0], 7);
		state_release(&state);
	}
}

/* Counts how often entries cover each float of a vector. */
static size_t covered_once(const struct network_entries *entries, const float *values, size_t count)
{
	unsigned char *seen;
	size_t once = 0;

	CU_ASSERT_EQUAL_FATAL(nn_alloc(&seen, count), NN_OK);
	for (int i = 0; i < entries->count; i++) {
		const struct tensor_entry *entry = &entries->entries[i];
		const float *first = entry->values;

		if (entry->type == TENSOR_F32 && first >= values && first < values + count)
			for (size_t k = 0; k < tensor_entry_count(entry); k++)
				seen[(size_t)(first - values) + k]++;
	}
	for (size_t k = 0; k < count; k++)
		once += seen[k] == 1;
	nn_free(seen);
	return once;
}

static void every_float_of_the_network_belongs_to_one_tensor(void)
{
	struct state state;

	state_init(&state, "resnet20", 32, 10);
	CU_ASSERT_EQUAL(covered_once(&state.entries, state.parameters, state.graph.parameters), 269722);
	CU_ASSERT_EQUAL(covered_once(&state.entries, state.statistics, state.graph.statistics), state.graph.statistics);
	state_release(&state);
}

static void names_are_all_different(void)
{
	struct state state;

	state_init(&state, "resnet50", 64, 10);
	for (int i = 0; i < state.entries.count; i++)
		CU_ASSERT_PTR_EQUAL(find(&state.entries, state.entries.entries[i].name), &state.entries.entries[i]);
	state_release(&state);
}

static void all_batch_norms_count_the_same_batches(void)
{
	struct state state;
	int counters = 0;

	state_init(&state, "resnet20", 32, 10);
	state.entries.batches = 391;
	for (int i = 0; i < state.entries.count; i++)
		if (state.entries.entries[i].type == TENSOR_I64) {
			counters++;
			CU_ASSERT_EQUAL(*(const int64_t *)state.entries.entries[i].values, 391);
		}
	CU_ASSERT_EQUAL(counters, 19);
	state_release(&state);
}

static void momentum_has_the_parameters_only(void)
{
	struct state state;
	struct network_entries velocity;

	state_init(&state, "resnet18", 64, 10);
	CU_ASSERT_EQUAL_FATAL(network_entries_init(&velocity, &state.graph, state.parameters, NULL), NN_OK);
	CU_ASSERT_EQUAL(velocity.count, 62);
	CU_ASSERT(has(&velocity, "layer4.1.bn2.bias", 512, 0, 0, 0));
	CU_ASSERT_PTR_NULL(find(&velocity, "bn1.running_mean"));
	CU_ASSERT_EQUAL(covered_once(&velocity, state.parameters, state.graph.parameters), state.graph.parameters);
	network_entries_release(&velocity);
	state_release(&state);
}

static void a_linear_layer_over_pixels_is_flat_in_files(void)
{
	struct graph graph = fixture_graph("vgg19", 32, 10, SHORTCUT_DEFAULT);
	struct network_entries entries;
	float *parameters = reference_alloc(graph.parameters * sizeof(float));

	CU_ASSERT_EQUAL_FATAL(network_entries_init(&entries, &graph, parameters, NULL), NN_OK);
	CU_ASSERT_EQUAL(entries.count, 38);
	CU_ASSERT(has(&entries, "classifier.0.weight", 4096, 512 * 7 * 7, 0, 0));
	CU_ASSERT(has(&entries, "classifier.6.weight", 10, 4096, 0, 0));
	network_entries_release(&entries);
	graph_release(&graph);
	free(parameters);
}

static void a_failing_allocation_leaves_nothing_behind(void)
{
	struct state state;
	struct network_entries entries;

	state_init(&state, "resnet20", 32, 10);
	for (long nth = 1; nth <= 2; nth++) {
		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(network_entries_init(&entries, &state.graph, state.parameters, state.statistics), NN_ERR_MEMORY);
		nn_alloc_fail_at(0);
		network_entries_release(&entries);
	}
	state_release(&state);
}

void suite_network_entries(void)
{
	static const struct test_row rows[] = {
	    TEST(resnet18_has_the_names_and_shapes_of_torchvision), TEST(the_head_is_the_last_layer),
	    TEST(every_float_of_the_network_belongs_to_one_tensor), TEST(names_are_all_different),
	    TEST(all_batch_norms_count_the_same_batches),	    TEST(momentum_has_the_parameters_only),
	    TEST(a_linear_layer_over_pixels_is_flat_in_files),	    TEST(a_failing_allocation_leaves_nothing_behind),
	};

	ADD_SUITE("network_entries", rows);
}
