#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layers/batchnorm.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { CHANNELS = 5, PIXELS = 6, SAMPLES = 13, SHARDS = 8, SIZE = SAMPLES * PIXELS * CHANNELS, ROW = 1 + 2 * CHANNELS, PARTS = 3 };

/* A layer on the shards [lo, hi) of SHARDS of a batch, its context and results; x and the rest are the whole batch's. */
struct piece {
	struct context context;
	struct batchnorm bn;
	size_t first, begin[SHARDS + 1];
	double sample_rows[SAMPLES * PARTS * ROW], shard_rows[(SHARDS + 1) * ROW];
	float mean[CHANNELS], inverse_std[CHANNELS], coefficients[2 * CHANNELS];
	float running_mean[CHANNELS], running_var[CHANNELS];
	float out[SIZE], d_x[SIZE];
};

/* The whole batch: channels, pixels and samples may be smaller than the room for them. */
struct batch {
	int channels;
	size_t pixels, samples;
	float *x, *residual, *d_out, *gamma, *beta;
};

static void batch_init(struct batch *batch)
{
	*batch = (struct batch){CHANNELS,
				PIXELS,
				SAMPLES,
				reference_values(SIZE, 1),
				reference_values(SIZE, 2),
				reference_values(SIZE, 3),
				reference_values(CHANNELS, 4),
				reference_values(CHANNELS, 5)};
}

static void batch_release(struct batch *batch)
{
	free(batch->x);
	free(batch->residual);
	free(batch->d_out);
	free(batch->gamma);
	free(batch->beta);
}

static void piece_init(struct piece *piece, const struct batch *batch, int lo, int hi, const struct kernels *kernels)
{
	memset(piece, 0, sizeof(*piece));
	piece->first = shard_begin(lo, SHARDS, batch->samples);
	for (int v = lo; v <= hi; v++)
		piece->begin[v - lo] = shard_begin(v, SHARDS, batch->samples) - piece->first;
	piece->context = (struct context){.kernels = kernels,
					  .threads = 1,
					  .samples = piece->begin[hi - lo],
					  .shards = {SHARDS, lo, hi},
					  .shard_begin = piece->begin,
					  .sample_rows = piece->sample_rows,
					  .shard_rows = piece->shard_rows};
	piece->bn = (struct batchnorm){batch->channels, batch->pixels, piece->mean, piece->inverse_std, piece->coefficients, 1,
				       &kernels->fp32};
	for (int c = 0; c < CHANNELS; c++)
		piece->running_var[c] = 1;
}

static size_t piece_offset(const struct piece *piece, const struct batch *batch)
{
	return piece->first * batch->pixels * (size_t)batch->channels;
}

static enum nn_status piece_train(struct piece *piece, const struct batch *batch, bool residual, bool relu)
{
	size_t at = piece_offset(piece, batch);

	return batchnorm_train(piece->out, piece->running_mean, piece->running_var, &piece->bn, batch->x + at,
			       residual ? batch->residual + at : NULL, relu, batch->gamma, batch->beta, &piece->context);
}

/* d_x = the gradient; *masked (SIZE) = that of the residual. */
static enum nn_status piece_backward(struct piece *piece, float *masked, const struct batch *batch, bool relu)
{
	size_t at = piece_offset(piece, batch);

	memcpy(masked, batch->d_out + at, piece->context.samples * batch->pixels * (size_t)batch->channels * sizeof(float));
	batchnorm_backward_sums(masked, &piece->bn, piece->out, relu, batch->x + at, &piece->context);
	batchnorm_gather(&piece->bn, &piece->context, MERGE_SUM);
	return batchnorm_backward_data(piece->d_x, &piece->bn, masked, batch->x + at, batch->gamma, false, &piece->context);
}

/* Values 1 2 3 6: mean 3, M2 14. */
static void a_batch_of_four_values_by_hand(void)
{
	float x[] = {1, 2, 3, 6}, gamma[] = {2}, beta[] = {1}, residual[] = {0, 0, -1, 10};
	struct batch batch = {1, 2, 2, x, residual, NULL, gamma, beta};
	double scale = 2 / sqrt(3.5 + 1e-5);

	for (int s = 0; reference_set(s); s++) {
		struct piece piece;

		piece_init(&piece, &batch, 0, SHARDS, reference_set(s));
		CU_ASSERT_EQUAL(piece_train(&piece, &batch, false, false), NN_OK);
		for (int i = 0; i < 4; i++)
			CU_ASSERT_DOUBLE_EQUAL(piece.out[i], ((double)x[i] - 3) * scale + 1, 1e-6);
		CU_ASSERT_DOUBLE_EQUAL(piece.running_mean[0], 0.3, 1e-7);
		CU_ASSERT_DOUBLE_EQUAL(piece.running_var[0], 0.9 + 0.1 * 14 / 3, 1e-6);
		CU_ASSERT_EQUAL(piece_train(&piece, &batch, true, true), NN_OK);
		CU_ASSERT_EQUAL(piece.out[0], 0);
		CU_ASSERT_EQUAL(piece.out[2], 0);
		CU_ASSERT_DOUBLE_EQUAL(piece.out[3], 3 * scale + 11, 2e-6);
		CU_ASSERT_DOUBLE_EQUAL(piece.running_mean[0], 0.9 * 0.3 + 0.3, 1e-7);
	}
}

static void one_value_per_channel_stays_finite_and_takes_the_biased_variance(void)
{
	float x[] = {5, -7}, gamma[] = {2, 3}, beta[] = {1, 4}, d_out[] = {1, 1}, masked[2];
	struct batch batch = {2, 1, 1, x, NULL, d_out, gamma, beta};
	struct piece piece;

	piece_init(&piece, &batch, 0, SHARDS, reference_set(0));
	CU_ASSERT_EQUAL(piece_train(&piece, &batch, false, false), NN_OK);
	CU_ASSERT_EQUAL(piece.out[0], 1);
	CU_ASSERT_EQUAL(piece.out[1], 4);
	CU_ASSERT_DOUBLE_EQUAL(piece.running_mean[1], -0.7, 1e-7);
	CU_ASSERT_DOUBLE_EQUAL(piece.running_var[0], 0.9, 1e-7);
	CU_ASSERT_EQUAL(piece_backward(&piece, masked, &batch, false), NN_OK);
	CU_ASSERT_EQUAL(piece.d_x[0], 0);
	CU_ASSERT_EQUAL(piece.d_x[1], 0);
}

static void evaluation_uses_the_running_statistics(void)
{
	float x[] = {1, 2, 3, 6}, gamma[] = {2}, beta[] = {1}, mean[] = {2}, var[] = {4};
	struct batch batch = {1, 2, 2, x, NULL, NULL, gamma, beta};
	struct piece piece;

	piece_init(&piece, &batch, 0, SHARDS, reference_set(0));
	batchnorm_eval(piece.out, &piece.bn, x, NULL, true, gamma, beta, mean, var, &piece.context);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_DOUBLE_EQUAL(piece.out[i], fmax(0, ((double)x[i] - 2) * 2 / sqrt(4 + 1e-5) + 1), 1e-6);
}

/* The weighted sum of the layer's output, in double. */
static double weighted_output(const struct batch *batch, const double *x, const double *gamma, const double *beta, bool relu)
{
	size_t channels = (size_t)batch->channels, count = batch->pixels * batch->samples;
	double total = 0;

	for (size_t c = 0; c < channels; c++) {
		double mean = 0, variance = 0;

		for (size_t i = c; i < count * channels; i += channels)
			mean += x[i] / (double)count;
		for (size_t i = c; i < count * channels; i += channels)
			variance += (x[i] - mean) * (x[i] - mean) / (double)count;
		for (size_t i = c; i < count * channels; i += channels) {
			double y = (x[i] - mean) / sqrt(variance + BATCHNORM_EPS) * gamma[c] + beta[c] + (double)batch->residual[i];

			total += relu && y < 0 ? 0 : y * (double)batch->d_out[i];
		}
	}
	return total;
}

/* Central differences of weighted_output with respect to values, which is one of its arguments. */
static void differences(double *result, double *values, size_t count, const struct batch *batch, double *const args[3], bool relu)
{
	const double step = 1e-5;

	for (size_t i = 0; i < count; i++) {
		double kept = values[i], up, down;

		values[i] = kept + step;
		up = weighted_output(batch, args[0], args[1], args[2], relu);
		values[i] = kept - step;
		down = weighted_output(batch, args[0], args[1], args[2], relu);
		values[i] = kept;
		result[i] = (up - down) / (2 * step);
	}
}

/* The bound: differences are good to 1e-9 here; gradients are sums of a few float products of size 1 times 1 / std < 2, each
 * rounded to 6e-8. Those of gamma and beta are sums of 78 terms. */
static void check_gradients(bool relu, const struct kernels *kernels)
{
	struct batch batch;
	struct piece piece;
	float masked[SIZE], sums[2][CHANNELS] = {{0}};
	double wanted[SIZE];
	double *args[3];

	batch_init(&batch);
	args[0] = reference_doubles(batch.x, SIZE);
	args[1] = reference_doubles(batch.gamma, CHANNELS);
	args[2] = reference_doubles(batch.beta, CHANNELS);
	piece_init(&piece, &batch, 0, SHARDS, kernels);
	CU_ASSERT_EQUAL(piece_train(&piece, &batch, true, relu), NN_OK);
	CU_ASSERT_EQUAL(piece_backward(&piece, masked, &batch, relu), NN_OK);
	for (size_t n = 0; n < SAMPLES; n++)
		for (size_t c = 0; c < CHANNELS; c++) {
			sums[0][c] += (float)piece.sample_rows[n * ROW + 1 + CHANNELS + c];
			sums[1][c] += (float)piece.sample_rows[n * ROW + 1 + c];
		}
	differences(wanted, args[0], SIZE, &batch, args, relu);
	CU_ASSERT(reference_distance(piece.d_x, wanted, SIZE) < 2e-6);
	for (int i = 1; i < 3; i++) {
		differences(wanted, args[i], CHANNELS, &batch, args, relu);
		CU_ASSERT(reference_distance(sums[i - 1], wanted, CHANNELS) < 1e-5);
	}
	for (size_t i = 0; i < SIZE; i++)
		CU_ASSERT_EQUAL(masked[i], !relu || piece.out[i] > 0 ? batch.d_out[i] : 0);
	for (int i = 0; i < 3; i++)
		free(args[i]);
	batch_release(&batch);
}

static void gradients_match_finite_differences(void)
{
	for (int s = 0; reference_set(s); s++) {
		check_gradients(false, reference_set(s));
		check_gradients(true, reference_set(s));
	}
}

/* sums (ROW) of the first `count` rows of sample_rows. */
static void add_rows(double *sums, const struct piece *piece, size_t count)
{
	memset(sums, 0, ROW * sizeof(*sums));
	for (size_t i = 0; i < count * ROW; i++)
		sums[i % ROW] += piece->sample_rows[i];
}

static void check_sums_again(const struct batch *batch, const struct kernels *kernels, int threads)
{
	float masked[SIZE], again[SIZE], rooms[3 * PIXELS / PARTS * CHANNELS];
	double sums[ROW], sums_again[ROW];
	struct piece piece;

	piece_init(&piece, batch, 0, SHARDS, kernels);
	CU_ASSERT_EQUAL(piece_train(&piece, batch, false, true), NN_OK);
	memcpy(masked, batch->d_out, sizeof(masked));
	memcpy(again, batch->d_out, sizeof(again));
	batchnorm_backward_sums(masked, &piece.bn, piece.out, true, batch->x, &piece.context);
	add_rows(sums, &piece, SAMPLES);
	piece.bn.parts = PARTS;
	piece.context.threads = threads;
	batchnorm_backward_sums_again(again, &piece.bn, rooms, batch->x, batch->beta, &piece.context);
	add_rows(sums_again, &piece, (size_t)SAMPLES * PARTS);
	CU_ASSERT_EQUAL(memcmp(masked, again, sizeof(masked)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(masked, batch->d_out, sizeof(masked)), 0);
	for (int i = 0; i < ROW; i++)
		CU_ASSERT_DOUBLE_EQUAL(sums_again[i], sums[i], 1e-5);
}

static void an_output_made_again_gives_the_same_mask_and_sums(void)
{
	struct batch batch;

	batch_init(&batch);
	for (int s = 0; reference_set(s); s++)
		for (int threads = 1; threads <= 3; threads++)
			check_sums_again(&batch, reference_set(s), threads);
	batch_release(&batch);
}

/* Two passes stand for the ranks of a job: the first collects every rank's rows, the second hands out their merge. */
struct collector {
	const struct piece *piece; /* at hand */
	bool hand_out;
	double rows[SHARDS * ROW];
};

static enum nn_status collect(void *context, double *rows, int channels, enum merge merge)
{
	struct collector *collector = context;
	const struct shards *shards = &collector->piece->context.shards;

	if (collector->hand_out) {
		double merged[SHARDS * ROW];

		memcpy(merged, collector->rows, sizeof(merged));
		statistics_subtree(merged, 0, SHARDS, channels, merge);
		memcpy(rows, merged, ROW * sizeof(double));
		return NN_OK;
	}
	memcpy(collector->rows + shards->lo * ROW, rows, (size_t)(shards->hi - shards->lo) * ROW * sizeof(double));
	rows[0] = 0; /* nothing known yet: the layer leaves its output alone */
	return NN_OK;
}

/* One layer in `ranks` pieces; the k-th holds the shards cuts[k] .. cuts[k + 1] - 1. */
static void run_pieces(struct piece *pieces, const struct batch *batch, const int *cuts, int ranks)
{
	struct collector collector = {0};
	float masked[SIZE];

	for (int pass = 0; pass < 4; pass++) {
		collector.hand_out = pass & 1;
		for (int k = 0; k < ranks; k++) {
			if (pass == 0)
				piece_init(&pieces[k], batch, cuts[k], cuts[k + 1], reference_set(0));
			collector.piece = &pieces[k];
			pieces[k].context.exchange = collect;
			pieces[k].context.exchange_context = &collector;
			CU_ASSERT_EQUAL(pass < 2 ? piece_train(&pieces[k], batch, true, true)
						 : piece_backward(&pieces[k], masked, batch, true),
					NN_OK);
		}
	}
}

static void statistics_have_the_same_bits_however_ranks_cut_the_shards(void)
{
	static const int cuts[][5] = {{0, 4, 8, 8, 8}, {0, 3, 8, 8, 8}, {0, 1, 2, 7, 8}, {0, 0, 5, 5, 8}};
	struct piece *pieces = reference_alloc(5 * sizeof(*pieces)), *whole = &pieces[4];
	struct batch batch;
	float masked[SIZE];

	batch_init(&batch);
	piece_init(whole, &batch, 0, SHARDS, reference_set(0));
	CU_ASSERT_EQUAL(piece_train(whole, &batch, true, true), NN_OK);
	CU_ASSERT_EQUAL(piece_backward(whole, masked, &batch, true), NN_OK);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		run_pieces(pieces, &batch, cuts[i], 4);
		for (int k = 0; k < 4; k++) {
			size_t at = piece_offset(&pieces[k], &batch),
			       bytes = pieces[k].context.samples * PIXELS * CHANNELS * sizeof(float);

			CU_ASSERT(same_bits(pieces[k].out, whole->out + at, bytes));
			CU_ASSERT(same_bits(pieces[k].d_x, whole->d_x + at, bytes));
			CU_ASSERT(same_bits(pieces[k].running_mean, whole->running_mean, sizeof(whole->running_mean)));
			CU_ASSERT(same_bits(pieces[k].running_var, whole->running_var, sizeof(whole->running_var)));
		}
	}
	batch_release(&batch);
	free(pieces);
}

static void an_empty_batch_changes_nothing(void)
{
	struct batch batch = {.channels = 2, .pixels = 3};
	struct piece piece;
	float gamma[] = {1, 1};

	piece_init(&piece, &batch, 0, SHARDS, reference_set(0));
	batch.gamma = batch.beta = gamma;
	CU_ASSERT_EQUAL(batchnorm_train(piece.out, piece.running_mean, piece.running_var, &piece.bn, gamma, NULL, true, gamma,
					gamma, &piece.context),
			NN_OK);
	CU_ASSERT_EQUAL(piece.running_mean[0], 0);
	CU_ASSERT_EQUAL(piece.running_var[1], 1);
	batchnorm_gather(&piece.bn, &piece.context, MERGE_SUM);
	CU_ASSERT_EQUAL(batchnorm_backward_data(piece.d_x, &piece.bn, piece.d_x, gamma, gamma, false, &piece.context), NN_OK);
}

void suite_batchnorm(void)
{
	static const struct test_row rows[] = {
	    TEST(a_batch_of_four_values_by_hand),
	    TEST(one_value_per_channel_stays_finite_and_takes_the_biased_variance),
	    TEST(evaluation_uses_the_running_statistics),
	    TEST(gradients_match_finite_differences),
	    TEST(an_output_made_again_gives_the_same_mask_and_sums),
	    TEST(statistics_have_the_same_bits_however_ranks_cut_the_shards),
	    TEST(an_empty_batch_changes_nothing),
	};

	ADD_SUITE("batchnorm", rows);
}
