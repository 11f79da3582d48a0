#include "trainer/bench/peaks.h"

#include <omp.h>

#include "nn/core/alloc.h"
#include "trainer/bench/timing.h"

enum {
	ARRAY_FLOATS = 1 << 26, /* three of them are larger than caches are */
	CACHE_FLOATS = 1 << 15, /* three of them fit a core's second cache, and not its first */
	CACHE_PASSES = 1000,
	BF16_CALLS = 20000,
	ROUNDS = 4000000 /* of multiply-adds */
};

/* The memory at hand, and what one thread has of it. */
struct room {
	const struct kernels *kernels;
	int threads;
	float *arrays;
};

struct share {
	float *a, *b, *c;
	size_t floats;
};

static struct share share_of(const struct room *room, int thread)
{
	size_t floats = ARRAY_FLOATS / (size_t)room->threads / 64 * 64, first = floats * (size_t)thread;

	return (struct share){room->arrays + first, room->arrays + ARRAY_FLOATS + first, room->arrays + 2 * ARRAY_FLOATS + first,
			      floats};
}

/* The work of one thread; returns how many operations or bytes it was. */
typedef double (*work_fn)(const struct room *room, struct share share);

static double multiply_adds(const struct room *room, struct share share)
{
	float x[PEAK_CHAINS * 16] = {0};

	(void)share;
	room->kernels->peak.multiply_adds(x, 0.5f, ROUNDS);
	return 2.0 * ROUNDS * PEAK_CHAINS * room->kernels->vector;
}

/* Blocks of 32 rows x 32 columns over 8 steps, as convolutions have them at best. */
static double bf16_products(const struct room *room, struct share share)
{
	enum { STEPS = 8, ROWS = 32, COLUMNS = 32, STEP = 32 };
	static const uint16_t a[ROWS * STEPS * STEP], b[COLUMNS * STEPS * STEP];
	const uint16_t *const rows[] = {a, a + 16 * STEPS * STEP};
	float c[ROWS * COLUMNS];

	(void)share;
	room->kernels->dot_begin();
	for (int i = 0; i < BF16_CALLS; i++)
		room->kernels->dot(c, rows, b, (ptrdiff_t)STEPS * STEP, 0, 1, STEPS, 2, 2);
	room->kernels->dot_end();
	return 2.0 * BF16_CALLS * ROWS * COLUMNS * STEPS * STEP;
}

static double cache_triad(const struct room *room, struct share share)
{
	for (int i = 0; i < CACHE_PASSES; i++)
		room->kernels->peak.triad(share.a, share.b, share.c, 0.5f, CACHE_FLOATS);
	return 3.0 * sizeof(float) * CACHE_FLOATS * CACHE_PASSES;
}

static double triad(const struct room *room, struct share share)
{
	room->kernels->peak.triad(share.a, share.b, share.c, 0.5f, share.floats);
	return 3.0 * sizeof(float) * (double)share.floats;
}

/* What is read goes into memory, so that it has to be read. */
static double read_arrays(const struct room *room, struct share share)
{
	share.a[0] = room->kernels->peak.read(share.a, share.floats) + room->kernels->peak.read(share.b, share.floats) +
		     room->kernels->peak.read(share.c, share.floats);
	return 3.0 * sizeof(float) * (double)share.floats;
}

static double write_arrays(const struct room *room, struct share share)
{
	room->kernels->peak.write(share.a, 0, share.floats);
	room->kernels->peak.write(share.b, 0, share.floats);
	room->kernels->peak.write(share.c, 0, share.floats);
	return 3.0 * sizeof(float) * (double)share.floats;
}

/* A ceiling is a row here. */
static const struct {
	const char *name, *unit;
	work_fn work;
} kinds[PEAK_KINDS] = {
    [PEAK_MULTIPLY_ADD] = {"fp32 multiply-add", "GFLOP/s", multiply_adds},
    [PEAK_BF16] = {"bf16 products", "GFLOP/s", bf16_products},
    [PEAK_CACHE] = {"cache, triad", "GB/s", cache_triad},
    [PEAK_TRIAD] = {"memory, triad", "GB/s", triad},
    [PEAK_READ] = {"memory, read", "GB/s", read_arrays},
    [PEAK_WRITE] = {"memory, write", "GB/s", write_arrays},
};

const char *peak_name(enum peak_kind kind)
{
	return kinds[kind].name;
}

const char *peak_unit(enum peak_kind kind)
{
	return kinds[kind].unit;
}

static double work_of_all(const struct room *room, work_fn work)
{
	double sum = 0;

#pragma omp parallel num_threads(room->threads) reduction(+ : sum)
	sum += work(room, share_of(room, omp_get_thread_num()));
	return sum;
}

enum nn_status peak_measure(struct peak *peak, enum peak_kind kind, const struct kernels *kernels, int threads, int repetitions)
{
	struct room room = {.kernels = kernels, .threads = threads};
	size_t floats = kind == PEAK_MULTIPLY_ADD || kind == PEAK_BF16 ? 0 : 3 * (size_t)ARRAY_FLOATS;
	double *speeds = NULL;
	enum nn_status status = nn_alloc(&room.arrays, floats * sizeof(float));

	if (status == NN_OK)
		status = nn_alloc(&speeds, (size_t)repetitions * sizeof(*speeds));
	for (int i = -1; i < repetitions && status == NN_OK; i++) {
		double start = timing_now(), amount = work_of_all(&room, kinds[kind].work);

		if (i >= 0)
			speeds[i] = 1e-9 * amount / (timing_now() - start);
	}
	if (status == NN_OK) {
		peak->median = timing_median(speeds, (size_t)repetitions);
		peak->highest = speeds[repetitions - 1];
	}
	nn_free(room.arrays);
	nn_free(speeds);
	return status;
}
