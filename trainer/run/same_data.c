#include <stdio.h>
#include <string.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/run/internal.h"

/* What each rank tells of its data, and what its place in the table holds. */
enum { TRAIN_DIGEST, VAL_DIGEST, TRAIN_COUNT, VAL_COUNT, FIELDS };

enum { HOST_BYTES = 256, ODD_NAMED = 4 };

static int64_t as_int64(uint64_t bits)
{
	int64_t value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void describe(int64_t fields[FIELDS], const struct run *run)
{
	fields[TRAIN_DIGEST] = as_int64(dataset_digest(run->train));
	fields[VAL_DIGEST] = run->val ? as_int64(dataset_digest(run->val)) : 0;
	fields[TRAIN_COUNT] = (int64_t)dataset_count(run->train);
	fields[VAL_COUNT] = run->val ? (int64_t)dataset_count(run->val) : 0;
}

static bool same(const int64_t *table, int a, int b)
{
	return memcmp(table + (size_t)a * FIELDS, table + (size_t)b * FIELDS, FIELDS * sizeof(*table)) == 0;
}

/* The lowest rank of those that are the most; *alike = how many they are. */
static int find_usual(int *alike, const int64_t *table, int ranks)
{
	int usual = 0;

	*alike = 0;
	for (int a = 0; a < ranks; a++) {
		int count = 0;

		for (int b = 0; b < ranks; b++)
			count += same(table, a, b);
		if (count > *alike) {
			*alike = count;
			usual = a;
		}
	}
	return usual;
}

/* Adds "2 on host b (50 and 20 images)" for each odd rank to the list, up to ODD_NAMED of them. */
static void name_odd(char *list, size_t size, struct comm *comm, const int64_t *table, int usual)
{
	int named = 0;

	for (int rank = 0; rank < comm_size(comm) && named < ODD_NAMED; rank++) {
		const int64_t *fields = table + (size_t)rank * FIELDS;
		char host[HOST_BYTES] = "";
		size_t used = strlen(list);

		if (same(table, rank, usual))
			continue;
		snprintf(host, sizeof(host), "%s", comm_host(comm));
		comm_broadcast(comm, host, sizeof(host), rank);
		snprintf(list + used, size - used, "%s%d on host %s (%lld and %lld images)", named++ ? ", " : "", rank, host,
			 (long long)fields[TRAIN_COUNT], (long long)fields[VAL_COUNT]);
	}
}

/* The lowest odd rank reports for all. */
static enum nn_status refuse(struct comm *comm, const int64_t *table, int usual, int alike)
{
	const int64_t *fields = table + (size_t)usual * FIELDS;
	int ranks = comm_size(comm), first = 0;
	char list[ODD_NAMED * (HOST_BYTES + 64)] = "";
	enum nn_status status = NN_OK;

	name_odd(list, sizeof(list), comm, table, usual);
	while (same(table, first, usual))
		first++;
	if (comm_rank(comm) == first)
		status = nn_error(NN_ERR_DATA,
				  "the names or labels of training and validation images are not the same on all ranks: %d of %d "
				  "ranks see %lld and %lld images, others do not: rank %s%s; copy the data there again",
				  alike, ranks, (long long)fields[TRAIN_COUNT], (long long)fields[VAL_COUNT], list,
				  ranks - alike > ODD_NAMED ? " and more" : "");
	return comm_agree(comm, status);
}

enum nn_status same_data(struct run *run)
{
	int ranks = comm_size(run->comm), usual, alike;
	int64_t *table;
	enum nn_status status = comm_agree(run->comm, nn_alloc(&table, (size_t)ranks * FIELDS * sizeof(*table)));

	if (status == NN_OK) {
		describe(table + (size_t)comm_rank(run->comm) * FIELDS, run);
		comm_sum_int64(run->comm, table, ranks * FIELDS);
		usual = find_usual(&alike, table, ranks);
		if (alike < ranks)
			status = refuse(run->comm, table, usual, alike);
	}
	nn_free(table);
	return status;
}
