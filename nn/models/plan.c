#include "nn/models/plan.h"

#include <stdlib.h>

#include "nn/core/alloc.h"

enum { UNIT = 16 };

static int larger_first(const void *a, const void *b)
{
	const struct plan_item *x = *(struct plan_item *const *)a, *y = *(struct plan_item *const *)b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return (x->first > y->first) - (x->first < y->first);
}

static int lower_first(const void *a, const void *b)
{
	const struct plan_item *x = *(struct plan_item *const *)a, *y = *(struct plan_item *const *)b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static size_t rounded(size_t size)
{
	return (size + UNIT - 1) / UNIT * UNIT;
}

static void place(struct plan_item *item, struct plan_item *const *placed, int count)
{
	size_t at = 0;

	for (int i = 0; i < count; i++) {
		const struct plan_item *other = placed[i];

		if (other->last < item->first || other->first > item->last)
			continue;
		if (other->offset >= at + rounded(item->size))
			break;
		if (other->offset + rounded(other->size) > at)
			at = other->offset + rounded(other->size);
	}
	item->offset = at;
}

/* Keeps placed[] sorted by offset. */
static void insert(struct plan_item **placed, int count, struct plan_item *item)
{
	int at = count;

	while (at > 0 && lower_first(&placed[at - 1], &item) > 0) {
		placed[at] = placed[at - 1];
		at--;
	}
	placed[at] = item;
}

enum nn_status plan_place(struct plan_item *items, int count, size_t *total)
{
	struct plan_item **order, **placed;
	enum nn_status status = nn_alloc(&order, 2 * (size_t)count * sizeof(struct plan_item *));
	int used = 0;

	*total = 0;
	if (status != NN_OK)
		return status;
	placed = order + count;
	for (int i = 0; i < count; i++)
		order[i] = &items[i];
	qsort(order, (size_t)count, sizeof(*order), larger_first); /* NOLINT(bugprone-sizeof-expression): pointers are sorted */
	for (int i = 0; i < count; i++) {
		if (order[i]->size == 0)
			continue;
		place(order[i], placed, used);
		insert(placed, used++, order[i]);
		if (order[i]->offset + rounded(order[i]->size) > *total)
			*total = order[i]->offset + rounded(order[i]->size);
	}
	nn_free(order);
	return NN_OK;
}

enum nn_status plan_peak(size_t *peak, int *time, const struct plan_item *items, int count)
{
	size_t *change, size = 0;
	int end = 0;
	enum nn_status status;

	*peak = 0;
	*time = 0;
	for (int i = 0; i < count; i++)
		end = items[i].size && items[i].last >= end ? items[i].last + 1 : end;
	status = nn_alloc(&change, ((size_t)end + 1) * sizeof(*change));
	if (status != NN_OK)
		return status;
	for (int i = 0; i < count; i++) {
		if (items[i].size == 0)
			continue;
		change[items[i].first] += items[i].size;
		change[items[i].last + 1] -= items[i].size; /* unsigned: the sums come out right */
	}
	for (int t = 0; t < end; t++) {
		size += change[t];
		if (size > *peak) {
			*peak = size;
			*time = t;
		}
	}
	nn_free(change);
	return NN_OK;
}
