/* Between two nodes: each sends all of its sums to the other, and both add everything. That is recursive doubling's one round; no
 * byte more goes than when each adds one half for both, and no message waits for another.
 *
 * It is cut in pieces, of which a few are under way, so that the link has something to carry while nobody looks: a look takes some
 * 10 to 20 microseconds from the thread that computes on the same core, and with five pieces one is enough for three of them. More
 * pieces would be in the way of statistics, which go through the same connection. */
#include <string.h>

#include "comm/node_reducer.h"
#include "nn/core/alloc.h"

enum {
	/* Bytes of a message. Open MPI sends up to 64 KiB at once over TCP, its header included, and asks the receiver first for
	 * more, which takes a look on either side. */
	PIECE_BYTES = 60 << 10,
	PIECES_A_NAP = 3,
	NAP_MOST_NS = 1500000,
};

enum nn_status pair_init(struct pair *pair, const struct covers *covers, struct comm *comm, bool bf16, const char *what)
{
	size_t own = (size_t)covers_held(covers, comm->node_index), others = (size_t)covers_total(covers) - own;
	enum nn_status status;

	pair->piece = PIECE_BYTES / (bf16 ? sizeof(uint16_t) : sizeof(float));
	status = nn_alloc(&pair->landed, sizeof(*pair->landed) * PAIR_FLIGHTS * others * pair->piece);
	for (int i = 0; i < PAIR_FLIGHTS && status == NN_OK; i++)
		status = parcels_init(&pair->flights[i], comm, what, bf16, own + others, (own + others) * pair->piece);
	return status;
}

void pair_release(struct pair *pair)
{
	for (int i = 0; i < PAIR_FLIGHTS; i++)
		parcels_release(&pair->flights[i]);
	nn_free(pair->landed);
	*pair = (struct pair){0};
}

/* A sum, cut in pieces. */
struct cut {
	struct node_reducer *reducer;
	float *const *sums;
	size_t count, pieces;
};

static size_t length_of(const struct cut *cut, size_t i)
{
	size_t begin = i * cut->reducer->pair.piece;

	return i + 1 < cut->pieces ? cut->reducer->pair.piece : cut->count - begin;
}

/* Row k of piece i. */
static float *row_of(const struct cut *cut, size_t i, int k)
{
	const struct pair *pair = &cut->reducer->pair;
	const struct covers *covers = &cut->reducer->covers;
	int mine = cut->reducer->comm->node_index, own = covers_held(covers, mine), others = covers_held(covers, 1 - mine);
	int own_place = k - covers->first[mine], place = k - covers->first[1 - mine];

	if (own_place >= 0 && own_place < own)
		return cut->sums[own_place] + i * pair->piece;
	return pair->landed + (i % PAIR_FLIGHTS * (size_t)others + (size_t)place) * pair->piece;
}

/* Begins to send piece i of this node's sums, and to receive that of the other's. */
static void begin_piece(const struct cut *cut, size_t i)
{
	const struct covers *covers = &cut->reducer->covers;
	struct parcels *flight = &cut->reducer->pair.flights[i % PAIR_FLIGHTS];
	int mine = cut->reducer->comm->node_index, other = 1 - mine;

	for (int k = covers->first[other]; k < covers->first[other + 1]; k++)
		parcels_receive(flight, row_of(cut, i, k), length_of(cut, i), other);
	for (int k = covers->first[mine]; k < covers->first[mine + 1]; k++)
		parcels_send(flight, row_of(cut, i, k), length_of(cut, i), other);
}

/* Waits for both, and adds them where the total belongs. */
static void end_piece(const struct cut *cut, float *total, size_t i)
{
	struct node_reducer *reducer = cut->reducer;
	int mine = reducer->comm->node_index, result = 0;
	/* Of one sum each, left and right may change places, so that the other's goes into this node's: no bit depends on it. */
	struct addition to_mine = {.into = mine, .from = 1 - mine};

	parcels_wait(&reducer->pair.flights[i % PAIR_FLIGHTS]);
	for (int k = 0; k < covers_total(&reducer->covers); k++)
		reducer->rows[k] = row_of(cut, i, k);
	if (reducer->planned == 1)
		result = mine;
	additions_run(reducer->planned == 1 ? &to_mine : reducer->additions, reducer->planned, reducer->rows, 0, length_of(cut, i),
		      reducer->bf16);
	total += i * reducer->pair.piece;
	if (total != reducer->rows[result])
		memcpy(total, reducer->rows[result], length_of(cut, i) * sizeof(*total));
}

/* Until the next few pieces will have come, or the last one. */
static long choose_nap(const struct cut *cut, size_t left)
{
	long ns = cut->reducer->pair.piece_ns * (left < PIECES_A_NAP ? (long)left : PIECES_A_NAP);

	return ns < NAP_MOST_NS ? ns : NAP_MOST_NS;
}

void reduce_pair(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	struct pair *pair = &reducer->pair;
	struct cut cut = {reducer, sums, count, (count + pair->piece - 1) / pair->piece};
	struct comm *comm = reducer->comm;
	double start = MPI_Wtime();
	size_t begun = 0;

	for (size_t i = 0; i < cut.pieces; i++) {
		for (; begun < cut.pieces && begun < i + PAIR_FLIGHTS; begun++)
			begin_piece(&cut, begun);
		comm->given_nap_ns = choose_nap(&cut, cut.pieces - i);
		end_piece(&cut, total, i);
	}
	comm->given_nap_ns = 0;
	pair->piece_ns = (long)((MPI_Wtime() - start) * 1e9 / (double)cut.pieces);
}
