#include <math.h>
#include <stdlib.h>

#include "nn/layers/loss.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

struct result {
	double loss;
	int rank;
	float d[4];
};

static struct result loss_of(const float *logits, int label, int classes, double smoothing)
{
	struct result result;
	int32_t labels[1] = {label};

	loss_softmax(&result.loss, &result.rank, result.d, logits, labels, reference_set(0), classes, smoothing, 1, 1);
	return result;
}

static void equal_scores_give_log_of_classes_and_half_gradients(void)
{
	const float logits[2] = {7, 7};
	struct result first = loss_of(logits, 0, 2, 0), second = loss_of(logits, 1, 2, 0);

	CU_ASSERT_DOUBLE_EQUAL(first.loss, log(2), 1e-15);
	CU_ASSERT_EQUAL(first.d[0], -0.5);
	CU_ASSERT_EQUAL(first.d[1], 0.5);
	CU_ASSERT_EQUAL(first.rank, 0);
	CU_ASSERT_EQUAL(second.rank, 1);
}

/* Probabilities 1/8, 2/8, 5/8. */
static void three_classes_by_hand_with_and_without_smoothing(void)
{
	const float logits[3] = {0, (float)log(2), (float)log(5)};
	struct result plain = loss_of(logits, 1, 3, 0), smooth = loss_of(logits, 1, 3, 0.3);

	CU_ASSERT_DOUBLE_EQUAL(plain.loss, log(4), 1e-7);
	CU_ASSERT_EQUAL(plain.rank, 1);
	CU_ASSERT_DOUBLE_EQUAL(plain.d[0], 0.125, 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(plain.d[1], 0.25 - 1, 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(plain.d[2], 0.625, 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(smooth.loss, 0.8 * log(4) + 0.1 * log(8) + 0.1 * log(1.6), 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(smooth.d[0], 0.125 - 0.1, 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(smooth.d[1], 0.25 - 0.8, 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(smooth.d[2], 0.625 - 0.1, 1e-7);
}

/* Probabilities 1/8, 2/8, 5/8; 3/4 of class 1 and 1/4 of class 2, then 1/4 and 3/4. */
static void mixed_labels_share_the_loss(void)
{
	const float logits[6] = {0, (float)log(2), (float)log(5), 0, (float)log(2), (float)log(5)}, shares[2] = {0.75f, 0.25f};
	const int32_t labels[2] = {1, 1}, others[2] = {2, 2};
	double loss[2];
	int rank[2];
	float d[6];

	loss_softmax_mixed(loss, rank, d, logits, labels, others, shares, reference_set(0), 3, 0.3, 2, 2);
	CU_ASSERT_DOUBLE_EQUAL(loss[0], 0.7 * (0.75 * log(4) + 0.25 * log(1.6)) + 0.1 * (log(8) + log(4) + log(1.6)), 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(loss[1], 0.7 * (0.25 * log(4) + 0.75 * log(1.6)) + 0.1 * (log(8) + log(4) + log(1.6)), 1e-7);
	CU_ASSERT_EQUAL(rank[0], 1);
	CU_ASSERT_EQUAL(rank[1], 0);
	CU_ASSERT_DOUBLE_EQUAL(d[0], 2 * (0.125 - 0.1), 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(d[1], 2 * (0.25 - 0.1 - 0.7 * 0.75), 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(d[2], 2 * (0.625 - 0.1 - 0.7 * 0.25), 1e-7);
}

static void rank_counts_better_classes_ties_before_and_nan(void)
{
	const float logits[4] = {3, 5, 3, 1};
	const float broken[4] = {3, 5, NAN, 1};
	const int wanted[4] = {1, 0, 2, 3};

	for (int k = 0; k < 4; k++) {
		CU_ASSERT_EQUAL(loss_of(logits, k, 4, 0).rank, wanted[k]);
		CU_ASSERT_EQUAL(loss_of(broken, k, 4, 0).rank, 4);
		CU_ASSERT(isnan(loss_of(broken, k, 4, 0).loss));
	}
}

static void large_scores_do_not_overflow(void)
{
	const float far[2] = {3e38f, -3e38f}, high[2] = {1e4f, 1e4f - 1};
	struct result right = loss_of(far, 0, 2, 0.1), wrong = loss_of(far, 1, 2, 0);

	CU_ASSERT_DOUBLE_EQUAL(right.loss / (0.05 * 6e38), 1, 1e-6);
	CU_ASSERT_EQUAL(right.d[1], -0.05f);
	CU_ASSERT_DOUBLE_EQUAL(wrong.loss / 6e38, 1, 1e-6);
	CU_ASSERT_EQUAL(wrong.d[0], 1);
	CU_ASSERT_EQUAL(wrong.d[1], -1);
	CU_ASSERT_DOUBLE_EQUAL(loss_of(high, 0, 2, 0).loss, log(1 + exp(-1)), 1e-14);
}

/* Differences of the double loss are good to 1e-9, a float gradient below 2 to 6e-8. */
static void check_sample(const struct kernels *kernels, int classes, int label, double smoothing, double scale)
{
	float *logits = reference_values((size_t)classes, (uint64_t)classes), *d_logits = guard_alloc((size_t)classes);
	double *moved, loss, without;
	int32_t labels[1] = {label};
	int rank;

	for (int k = 0; k < classes; k++)
		logits[k] *= 6;
	moved = reference_doubles(logits, (size_t)classes);
	loss_softmax(&loss, &rank, d_logits, logits, labels, kernels, classes, smoothing, scale, 1);
	loss_softmax(&without, &rank, NULL, logits, labels, kernels, classes, smoothing, scale, 1);
	CU_ASSERT_DOUBLE_EQUAL(loss, reference_loss(moved, label, classes, smoothing), 1e-13);
	CU_ASSERT_EQUAL(loss, without);
	for (int k = 0; k < classes; k++) {
		double up, down;

		moved[k] += 1e-4;
		up = reference_loss(moved, label, classes, smoothing);
		moved[k] -= 2e-4;
		down = reference_loss(moved, label, classes, smoothing);
		moved[k] += 1e-4;
		CU_ASSERT_DOUBLE_EQUAL(d_logits[k], scale * (up - down) / 2e-4, 1e-7);
	}
	CU_ASSERT(guard_intact(d_logits, (size_t)classes));
	free(logits);
	guard_free(d_logits);
	free(moved);
}

static void gradient_matches_finite_differences(void)
{
	for (int s = 0; reference_set(s); s++)
		for (int classes = 1; classes <= 40; classes++) {
			check_sample(reference_set(s), classes, classes / 2, 0, 1);
			check_sample(reference_set(s), classes, classes - 1, 0.1, 0.25);
		}
}

static void samples_do_not_see_each_other(void)
{
	enum { SAMPLES = 5, CLASSES = 7 };
	float *logits = reference_values(SAMPLES * CLASSES, 1), d_all[SAMPLES * CLASSES], d_one[CLASSES];
	const int32_t labels[SAMPLES] = {6, 0, 3, 3, 5};
	double all[SAMPLES], one;
	int ranks[SAMPLES], rank;

	loss_softmax(all, ranks, d_all, logits, labels, reference_set(0), CLASSES, 0.1, 0.2, SAMPLES);
	for (int n = 0; n < SAMPLES; n++) {
		loss_softmax(&one, &rank, d_one, logits + n * CLASSES, labels + n, reference_set(0), CLASSES, 0.1, 0.2, 1);
		CU_ASSERT_EQUAL(one, all[n]);
		CU_ASSERT_EQUAL(rank, ranks[n]);
		for (int k = 0; k < CLASSES; k++)
			CU_ASSERT_EQUAL(d_one[k], d_all[n * CLASSES + k]);
	}
	free(logits);
}

void suite_loss(void)
{
	static const struct test_row rows[] = {
	    TEST(equal_scores_give_log_of_classes_and_half_gradients),
	    TEST(three_classes_by_hand_with_and_without_smoothing),
	    TEST(mixed_labels_share_the_loss),
	    TEST(rank_counts_better_classes_ties_before_and_nan),
	    TEST(large_scores_do_not_overflow),
	    TEST(gradient_matches_finite_differences),
	    TEST(samples_do_not_see_each_other),
	};

	ADD_SUITE("loss", rows);
}
