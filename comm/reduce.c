#include "comm/reduce.h"

#include <assert.h>
#include <string.h>

#include "comm/covers.h"
#include "comm/internal.h"
#include "nn/core/alloc.h"

enum {
	SLICE_MAX = 1 << 16,	/* floats of one partial in one message: 256 KiB */
	SHORT_MAX = 1 << 11,	/* floats of a range that is not worth slicing */
	RECEIVED_MAX = 1 << 21, /* floats of all partials received at once: 8 MiB; sets the slice on many ranks */
	BLOCK = 1 << 10,	/* floats added at a time, so that a block of every partial stays in the cache */
};

/* One step of the tree: row `into` += row `from`. */
struct addition {
	int into;
	int from;
};

struct reducer {
	const struct comm *comm;
	size_t max_count;
	size_t slice_max;
	size_t short_max;
	struct covers covers;	    /* of all places; row i below is node i */
	struct addition *additions; /* [rows - 1], in the order of the tree */
	float **rows;		    /* [rows], the slice at hand of every partial */
	float *received;
	MPI_Request *requests;
	int *counts;	    /* [places], for MPI */
	int *displacements; /* [places] */
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Writes down the additions of the node [lo, hi), children first, and returns the row that holds its sum then. */
static int plan_node(struct reducer *reducer, int *next_row, int *planned, int lo, int hi)
{
	const struct shard_node *node = &reducer->covers.nodes[*next_row];
	int mid = lo + (hi - lo) / 2;
	int left, right;

	if (node->lo == lo && node->hi == hi)
		return (*next_row)++;
	left = plan_node(reducer, next_row, planned, lo, mid);
	right = plan_node(reducer, next_row, planned, mid, hi);
	reducer->additions[(*planned)++] = (struct addition){.into = left, .from = right};
	return left;
}

static enum nn_status allocate(struct reducer *reducer)
{
	size_t rows = (size_t)covers_total(&reducer->covers);
	size_t places = (size_t)reducer->covers.places;
	size_t held = (size_t)covers_held(&reducer->covers, reducer->comm->place);
	size_t longest;
	enum nn_status status;

	reducer->slice_max = least(least(SLICE_MAX, RECEIVED_MAX / rows + 1), (reducer->max_count + places - 1) / places);
	reducer->short_max = least(least(SHORT_MAX, RECEIVED_MAX / rows), reducer->max_count);
	longest = reducer->slice_max > reducer->short_max ? reducer->slice_max : reducer->short_max;
	status = nn_alloc(&reducer->additions, sizeof(*reducer->additions) * rows);
	if (status == NN_OK)
		status = nn_alloc(&reducer->rows, sizeof(*reducer->rows) * rows);
	if (status == NN_OK)
		status = nn_alloc(&reducer->received, sizeof(*reducer->received) * rows * longest);
	if (status == NN_OK)
		status = nn_alloc(&reducer->requests, sizeof(MPI_Request) * (rows + held * places));
	if (status == NN_OK)
		status = nn_alloc(&reducer->counts, sizeof(int) * places);
	if (status == NN_OK)
		status = nn_alloc(&reducer->displacements, sizeof(int) * places);
	return status;
}

enum nn_status reducer_create(struct reducer **out, struct comm *comm, struct shards shards, size_t max_count)
{
	struct reducer *reducer;
	int next_row = 0, planned = 0;
	enum nn_status status = nn_alloc(&reducer, sizeof(*reducer));

	*out = NULL;
	if (status != NN_OK)
		return status;
	assert(shards.lo == comm_shards(comm, shards.count).lo && shards.hi == comm_shards(comm, shards.count).hi);
	reducer->comm = comm;
	reducer->max_count = max_count;
	status = covers_init(&reducer->covers, 0, comm->size, comm->size, shards.count);
	if (status == NN_OK)
		status = allocate(reducer);
	if (status != NN_OK) {
		reducer_destroy(reducer);
		return status;
	}
	plan_node(reducer, &next_row, &planned, 0, shards.count);
	*out = reducer;
	return NN_OK;
}

void reducer_destroy(struct reducer *reducer)
{
	if (!reducer)
		return;
	covers_release(&reducer->covers);
	nn_free(reducer->additions);
	nn_free(reducer->rows);
	nn_free(reducer->received);
	nn_free(reducer->requests);
	nn_free(reducer->counts);
	nn_free(reducer->displacements);
	nn_free(reducer);
}

int reducer_partials(const struct reducer *reducer)
{
	int held = covers_held(&reducer->covers, reducer->comm->place);

	return held > 0 ? held : 1;
}

static void add(float *restrict into, const float *restrict from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		into[i] += from[i];
}

/* Sums `count` floats of all rows in the order of the tree; out may be row 0. */
static void sum_rows(const struct reducer *reducer, float *out, size_t count)
{
	int additions = covers_total(&reducer->covers) - 1;

	for (size_t begin = 0; begin < count; begin += BLOCK)
		for (int i = 0; i < additions; i++) {
			const struct addition *addition = &reducer->additions[i];

			add(reducer->rows[addition->into] + begin, reducer->rows[addition->from] + begin,
			    least(BLOCK, count - begin));
		}
	if (out != reducer->rows[0])
		memcpy(out, reducer->rows[0], sizeof(*out) * count);
}

/* A short range: every rank receives all partials. */
static void sum_short(struct reducer *reducer, float *const *partials, size_t offset, size_t count)
{
	const struct covers *covers = &reducer->covers;
	int place = reducer->comm->place;

	for (int i = 0; i < covers_total(covers); i++)
		reducer->rows[i] = reducer->received + (size_t)i * count;
	for (int i = 0; i < covers_held(covers, place); i++)
		memcpy(reducer->rows[covers->first[place] + i], partials[i] + offset, sizeof(float) * count);
	for (int i = 0; i < covers->places; i++) {
		reducer->counts[i] = covers_held(covers, i) * (int)count;
		reducer->displacements[i] = covers->first[i] * (int)count;
	}
	comm_check(reducer->comm,
		   MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, reducer->received, reducer->counts, reducer->displacements,
				  MPI_FLOAT, reducer->comm->ordered),
		   "MPI_Allgatherv");
	sum_rows(reducer, partials[0] + offset, count);
}

/* Receives this place's slice of the partials of place `peer`; returns the number of requests made. */
static int receive_rows(struct reducer *reducer, MPI_Request *requests, int peer, int count)
{
	const struct covers *covers = &reducer->covers;
	int made = 0;

	for (int i = covers->first[peer]; count > 0 && i < covers->first[peer + 1]; i++) {
		reducer->rows[i] = reducer->received + (size_t)i * reducer->slice_max;
		comm_check(reducer->comm,
			   MPI_Irecv(reducer->rows[i], count, MPI_FLOAT, peer, 0, reducer->comm->ordered, &requests[made++]),
			   "MPI_Irecv");
	}
	return made;
}

/* Sends place `peer` its slice of the partials held here; returns the number of requests made. */
static int send_rows(struct reducer *reducer, MPI_Request *requests, int peer, float *const *partials, size_t offset)
{
	int held = covers_held(&reducer->covers, reducer->comm->place);
	int count = reducer->counts[peer];
	int made = 0;

	for (int i = 0; count > 0 && i < held; i++)
		comm_check(reducer->comm,
			   MPI_Isend(partials[i] + offset + reducer->displacements[peer], count, MPI_FLOAT, peer, 0,
				     reducer->comm->ordered, &requests[made++]),
			   "MPI_Isend");
	return made;
}

/* After this, rows point to this place's slice of every partial. Peers are taken in rotated order, so that no place is everybody's
 * first. */
static void scatter(struct reducer *reducer, float *const *partials, size_t offset)
{
	const struct covers *covers = &reducer->covers;
	int places = covers->places;
	int place = reducer->comm->place;
	int made = 0;

	for (int i = 0; i < covers_held(covers, place); i++)
		reducer->rows[covers->first[place] + i] = partials[i] + offset + reducer->displacements[place];
	for (int step = 1; step < places; step++)
		made += receive_rows(reducer, reducer->requests + made, (place + places - step) % places, reducer->counts[place]);
	for (int step = 1; step < places; step++)
		made += send_rows(reducer, reducer->requests + made, (place + step) % places, partials, offset);
	comm_check(reducer->comm, MPI_Waitall(made, reducer->requests, MPI_STATUSES_IGNORE), "MPI_Waitall");
}

/* At most places * slice_max floats. */
static void sum_chunk(struct reducer *reducer, float *const *partials, size_t offset, size_t count)
{
	int places = reducer->covers.places;
	int place = reducer->comm->place;

	for (int i = 0; i < places; i++) {
		reducer->displacements[i] = (int)shard_begin(i, places, count);
		reducer->counts[i] = (int)shard_begin(i + 1, places, count) - reducer->displacements[i];
	}
	scatter(reducer, partials, offset);
	if (reducer->counts[place] > 0)
		sum_rows(reducer, partials[0] + offset + reducer->displacements[place], (size_t)reducer->counts[place]);
	comm_check(reducer->comm,
		   MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, partials[0] + offset, reducer->counts, reducer->displacements,
				  MPI_FLOAT, reducer->comm->ordered),
		   "MPI_Allgatherv");
}

void reducer_sum(struct reducer *reducer, float *const *partials, size_t offset, size_t count)
{
	size_t chunk = reducer->slice_max * (size_t)reducer->covers.places;

	assert(count <= reducer->max_count);
	if (reducer->covers.places == 1)
		return; /* the cover is the whole tree */
	if (count <= reducer->short_max) {
		if (count > 0)
			sum_short(reducer, partials, offset, count);
		return;
	}
	for (size_t done = 0; done < count; done += chunk)
		sum_chunk(reducer, partials, offset + done, least(chunk, count - done));
}
