#include <math.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/models/graph_input.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"
#include "trainer/run/look.h"

enum { CLASSES = 5 };

static void a_graph_for_another_size_is_the_one_that_the_builder_makes(void)
{
	static const char *const names[] = {"resnet18", "resnet50", "resnet20", "preresnet110", "vgg19"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct graph small = fixture_graph(names[i], 64, CLASSES, SHORTCUT_A), large;
		struct graph built = fixture_graph(names[i], 96, CLASSES, SHORTCUT_A);

		CU_ASSERT_EQUAL_FATAL(graph_with_input(&large, &small, 96, 96), NN_OK);
		CU_ASSERT_EQUAL(large.parameters, built.parameters);
		CU_ASSERT_EQUAL(large.statistics, built.statistics);
		CU_ASSERT_EQUAL_FATAL(large.node_count, built.node_count);
		for (int n = 0; n < large.node_count; n++) {
			CU_ASSERT_EQUAL(large.nodes[n].op, built.nodes[n].op);
			CU_ASSERT_EQUAL(large.nodes[n].h, built.nodes[n].h);
			CU_ASSERT_EQUAL(large.nodes[n].w, built.nodes[n].w);
			CU_ASSERT_EQUAL(large.nodes[n].param, built.nodes[n].param);
			CU_ASSERT_EQUAL(memcmp(&large.nodes[n].conv, &built.nodes[n].conv, sizeof(struct conv)), 0);
		}
		graph_release(&small);
		graph_release(&large);
		graph_release(&built);
	}
}

static void a_failed_allocation_leaves_a_graph_that_can_be_released(void)
{
	struct graph from = fixture_graph("resnet20", 32, CLASSES, SHORTCUT_B), graph;

	for (long nth = 1; nth <= 3; nth++) {
		nn_alloc_fail_at(nth);
		CU_ASSERT_EQUAL(graph_with_input(&graph, &from, 40, 48), NN_ERR_MEMORY);
		nn_alloc_fail_at(0);
		graph_release(&graph);
	}
	graph_release(&from);
}

/* A fixture with its training network, whose weights another one looks through. */
static void look_init(struct look *look, struct fixture *fixture, struct augment *augment, enum protocol_kind kind)
{
	struct network_setup setup = fixture_setup(reference_set(0), 4, 1);

	fixture_init(fixture, fixture_graph("resnet20", 16, CLASSES, SHORTCUT_B), &setup, 4);
	*augment = (struct augment){.size = 16, .normal.inverse_std = {2, 3, 4}, .eval_scale = 1.25f};
	*look = (struct look){fixture->network, reference_set(0), augment, {kind, false}, 4, 1};
}

static void make_image(struct image *image, int width, int height)
{
	CU_ASSERT_EQUAL_FATAL(image_set_size(image, width, height), NN_OK);
	for (int i = 0; i < width * height * 3; i++)
		image->pixels[i] = (uint8_t)(i * i * 5 + i / 7);
}

static void the_size_of_batches_does_not_change_scores(void)
{
	double logits[2][CLASSES], probabilities[2][CLASSES];
	struct augment_scratch scratch = {0};
	struct image image = {0};
	struct fixture fixture;
	struct augment augment;
	struct look look;

	look_init(&look, &fixture, &augment, PROTOCOL_TEN_CROP);
	make_image(&image, 33, 21);
	for (size_t i = 0; i < 2; i++) {
		struct scores scores = {logits[i], probabilities[i], 0};

		look.batch = i ? 4 : 1;
		CU_ASSERT_EQUAL(look_at_image(&scores, &look, &image, &scratch), NN_OK);
	}
	CU_ASSERT(same_bits(logits[0], logits[1], sizeof(logits[0])));
	CU_ASSERT(same_bits(probabilities[0], probabilities[1], sizeof(probabilities[0])));
	image_release(&image);
	augment_scratch_release(&scratch);
	fixture_release(&fixture);
}

/* Short sides of 16, 18, 27, 34 and 46: the scores are the means of five networks made by hand. */
static void the_scales_are_run_with_the_weights_of_the_network(void)
{
	double logits[CLASSES], probabilities[CLASSES], by_hand[CLASSES] = {0};
	struct scores scores = {logits, probabilities, 0};
	struct augment_scratch scratch = {0};
	struct image image = {0};
	struct fixture fixture;
	struct augment augment;
	struct look look;

	look_init(&look, &fixture, &augment, PROTOCOL_MULTI_SCALE);
	make_image(&image, 33, 21);
	CU_ASSERT_EQUAL(look_at_image(&scores, &look, &image, &scratch), NN_OK);
	for (int i = 0; i < VIEW_SCALES; i++) {
		struct fit fit = views_scale(&image, &augment, i);
		struct network_setup setup = fixture_setup(reference_set(0), 1, 1);
		struct graph graph;
		struct network *network;
		const float *out;
		float *pixels;

		CU_ASSERT_EQUAL_FATAL(graph_with_input(&graph, &fixture.graph, fit.height, fit.width), NN_OK);
		CU_ASSERT_EQUAL_FATAL(network_create(&network, &graph, &setup), NN_OK);
		memcpy(network_parameters(network), network_parameters(fixture.network), graph.parameters * sizeof(float));
		memcpy(network_statistics(network), network_statistics(fixture.network), graph.statistics * sizeof(float));
		CU_ASSERT_EQUAL_FATAL(nn_alloc(&pixels, (size_t)fit.height * (size_t)fit.width * 3 * sizeof(float)), NN_OK);
		CU_ASSERT_EQUAL(views_whole(pixels, &image, &augment, &fit, false, &scratch), NN_OK);
		network_begin_samples(network, 1);
		CU_ASSERT_EQUAL(network_forward(&out, network, pixels, false), NN_OK);
		for (int k = 0; k < CLASSES; k++)
			by_hand[k] += (double)out[k] / VIEW_SCALES;
		nn_free(pixels);
		network_destroy(network);
		graph_release(&graph);
	}
	for (int k = 0; k < CLASSES; k++)
		CU_ASSERT_DOUBLE_EQUAL(logits[k], by_hand[k], 1e-9);
	image_release(&image);
	augment_scratch_release(&scratch);
	fixture_release(&fixture);
}

/* Softmax (1/4, 3/4) and (3/4, 1/4): the mean is (1/2, 1/2). */
static void softmax_is_averaged_over_views(void)
{
	const float views[2][2] = {{0, (float)log(3)}, {(float)log(3), 0}};
	double logits[2], probabilities[2], loss;
	struct scores scores = {logits, probabilities, 0};
	const struct kernels *kernels = reference_set(0);
	int rank;

	scores_clear(&scores, 2);
	scores_add(&scores, views[0], kernels, 2);
	scores_add(&scores, views[1], kernels, 2);
	scores_finish(&scores, 2);
	CU_ASSERT_DOUBLE_EQUAL(probabilities[0], 0.5, 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(logits[0], log(3) / 2, 1e-7);
	probabilities[0] = probabilities[1] = 0.5;
	scores_judge(&loss, &rank, &scores, 0, kernels, 2);
	CU_ASSERT_EQUAL(rank, 0);
	CU_ASSERT_DOUBLE_EQUAL(loss, log(2), 1e-9);
	scores_judge(&loss, &rank, &scores, 1, kernels, 2);
	CU_ASSERT_EQUAL(rank, 1);
	probabilities[1] = NAN;
	scores_judge(&loss, &rank, &scores, 0, kernels, 2);
	CU_ASSERT_EQUAL(rank, 2);
	CU_ASSERT(isnan(loss));
	probabilities[0] = 0;
	probabilities[1] = 1;
	scores_judge(&loss, &rank, &scores, 0, kernels, 2);
	CU_ASSERT(isfinite(loss) && loss > 700);
}

void suite_look(void)
{
	static const struct test_row rows[] = {
	    TEST(a_graph_for_another_size_is_the_one_that_the_builder_makes),
	    TEST(a_failed_allocation_leaves_a_graph_that_can_be_released),
	    TEST(the_size_of_batches_does_not_change_scores),
	    TEST(the_scales_are_run_with_the_weights_of_the_network),
	    TEST(softmax_is_averaged_over_views),
	};

	ADD_SUITE("look", rows);
}
