#include "trainer/data/split.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "nn/core/alloc.h"
#include "trainer/data/sampler.h"

/* One class while images are chosen. */
struct share {
	size_t images;
	size_t begin;  /* of its images in the list sorted by class */
	size_t listed; /* of them in that list so far */
	size_t val;
	uint64_t remainder; /* of images * val / all, over all */
	uint32_t place;	    /* in a random order of the classes, for equal remainders */
};

/* Stands for the classes themselves where sampler_permutation wants an epoch; classes are fewer. */
static const uint64_t class_order = UINT64_MAX - 1;

static int by_remainder(const void *a, const void *b)
{
	const struct share *x = *(const struct share *const *)a, *y = *(const struct share *const *)b;

	if (x->remainder != y->remainder)
		return x->remainder < y->remainder ? 1 : -1;
	return (x->place > y->place) - (x->place < y->place);
}

static void count_classes(struct share *shares, const struct dataset *whole)
{
	size_t begin = 0;

	for (size_t i = 0; i < dataset_count(whole); i++)
		shares[dataset_label(whole, i)].images++;
	for (int c = 0; c < dataset_classes(whole); c++) {
		shares[c].begin = begin;
		begin += shares[c].images;
	}
}

/* Gives each class its share of `val`: whole parts, then one more for the largest remainders, as long as an image is left to train
 * on. Source: Hamilton's method of apportionment. */
static void apportion(struct share *shares, struct share **order, size_t classes, size_t all, size_t val)
{
	size_t given = 0, before;

	for (size_t c = 0; c < classes; c++) {
		shares[c].val = (size_t)((uint64_t)val * shares[c].images / all);
		shares[c].remainder = (uint64_t)val * shares[c].images % all;
		given += shares[c].val;
		order[c] = &shares[c];
	}
	qsort(order, classes, sizeof(struct share *), by_remainder);
	do {
		before = given;
		for (size_t c = 0; c < classes && given < val; c++)
			if (order[c]->val + 1 < order[c]->images) {
				order[c]->val++;
				given++;
			}
	} while (given < val && given > before);
}

static enum nn_status work_out_shares(struct share *shares, const struct dataset *whole, size_t val, uint64_t seed)
{
	size_t classes = (size_t)dataset_classes(whole), all = dataset_count(whole), most = all;
	struct share **order = NULL;
	uint32_t *places = NULL;
	enum nn_status status = nn_alloc(&order, classes * sizeof(struct share *));

	if (status == NN_OK)
		status = nn_alloc(&places, classes * sizeof(*places));
	if (status == NN_OK) {
		count_classes(shares, whole);
		sampler_permutation(places, classes, seed, class_order);
		for (size_t c = 0; c < classes; c++) {
			shares[places[c]].place = (uint32_t)c;
			most -= shares[c].images > 0;
		}
		if (val < 1 || val > most)
			status =
			    nn_error(NN_ERR_USAGE,
				     "%zu of %zu images cannot validate: at least 1, and at most %zu so that each class keeps one "
				     "to train on; give another --val",
				     val, all, most);
		else
			apportion(shares, order, classes, all, val);
	}
	nn_free(order);
	nn_free(places);
	return status;
}

/* validates[i] = whether image i does: of each class the first ones of a random order. */
static void draw(bool *validates, uint32_t *members, uint32_t *order, struct share *shares, const struct dataset *whole,
		 uint64_t seed)
{
	for (size_t i = 0; i < dataset_count(whole); i++) {
		struct share *share = &shares[dataset_label(whole, i)];

		members[share->begin + share->listed++] = (uint32_t)i;
	}
	for (int c = 0; c < dataset_classes(whole); c++) {
		const struct share *share = &shares[c];

		sampler_permutation(order + share->begin, share->images, seed, (uint64_t)c);
		for (size_t k = 0; k < share->val; k++)
			validates[members[share->begin + order[share->begin + k]]] = true;
	}
}

static enum nn_status collect(struct split_choice *choice, const bool *validates, size_t count, size_t val)
{
	enum nn_status status = nn_alloc(&choice->train, (count - val) * sizeof(*choice->train));

	if (status == NN_OK)
		status = nn_alloc(&choice->val, val * sizeof(*choice->val));
	for (size_t i = 0; i < count && status == NN_OK; i++)
		if (validates[i])
			choice->val[choice->val_count++] = (uint32_t)i;
		else
			choice->train[choice->train_count++] = (uint32_t)i;
	return status;
}

enum nn_status split_choose(struct split_choice *choice, const struct dataset *whole, struct split_size size, uint64_t seed)
{
	size_t count = dataset_count(whole);
	uint64_t wanted = size.share > 0 ? (uint64_t)llround(size.share * (double)count) : size.count;
	size_t val = (size_t)wanted;
	struct share *shares = NULL;
	bool *validates = NULL;
	uint32_t *members = NULL, *order = NULL;
	enum nn_status status = nn_alloc(&shares, (size_t)dataset_classes(whole) * sizeof(*shares));

	*choice = (struct split_choice){0};
	if (status == NN_OK)
		status = work_out_shares(shares, whole, val, seed);
	if (status == NN_OK)
		status = nn_alloc(&validates, count * sizeof(*validates));
	if (status == NN_OK)
		status = nn_alloc(&members, count * sizeof(*members));
	if (status == NN_OK)
		status = nn_alloc(&order, count * sizeof(*order));
	if (status == NN_OK) {
		draw(validates, members, order, shares, whole, seed);
		status = collect(choice, validates, count, val);
	}
	nn_free(shares);
	nn_free(validates);
	nn_free(members);
	nn_free(order);
	return status;
}

void split_choice_release(struct split_choice *choice)
{
	nn_free(choice->train);
	nn_free(choice->val);
	*choice = (struct split_choice){0};
}
