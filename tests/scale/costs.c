/* Measures what the simulated machine needs to know, between two ranks, and prints it as the words that replay takes.
 *   mpirun -np 2 costs
 * latency: half the round trip of 8 bytes. message: a processor's time for one
 * message, sent or received; where the wire takes no time, that is half of it. add: one addition in a sum of 64 gradients; merge:
 * one channel in a merge of 64 rows of statistics. The best of several rounds. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "comm/additions.h"
#include "nn/core/shards.h"

enum { ROUNDS = 50, ROWS = 64, FLOATS = 4096, CHANNELS = 512 };

static double least(double a, double b)
{
	return a < b ? a : b;
}

static double latency(int other, int first)
{
	double best = 1, start;
	char bytes[8] = "";

	for (int i = 0; i < 20 * ROUNDS; i++) {
		start = MPI_Wtime();
		if (first)
			MPI_Send(bytes, 8, MPI_BYTE, other, 0, MPI_COMM_WORLD);
		MPI_Recv(bytes, 8, MPI_BYTE, other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		if (!first)
			MPI_Send(bytes, 8, MPI_BYTE, other, 0, MPI_COMM_WORLD);
		best = least(best, MPI_Wtime() - start);
	}
	return best / 2;
}

static double add(const struct shard_node *nodes)
{
	static float memory[ROWS][FLOATS];
	struct addition additions[ROWS];
	float *rows[ROWS];
	int planned = 0, next = 0;
	double best = 1;

	for (int i = 0; i < ROWS; i++)
		rows[i] = memory[i];
	additions_plan(additions, &planned, nodes, &next, 0, ROWS);
	for (int i = 0; i < ROUNDS; i++) {
		double start = MPI_Wtime();

		additions_run(additions, planned, rows, 0, FLOATS, false);
		best = least(best, (MPI_Wtime() - start) / (planned * FLOATS));
	}
	return best;
}

static double merge(const struct shard_node *nodes)
{
	static double rows[ROWS][1 + 2 * CHANNELS];
	double best = 1;

	for (int i = 0; i < ROUNDS; i++) {
		double start;

		for (int k = 0; k < ROWS; k++)
			for (int c = 0; c <= 2 * CHANNELS; c++)
				rows[k][c] = 1 + k + c;
		start = MPI_Wtime();
		statistics_tree(rows[0], nodes, ROWS, ROWS, CHANNELS, MERGE_MOMENTS);
		best = least(best, (MPI_Wtime() - start) / ((ROWS - 1) * CHANNELS));
	}
	return best;
}

int main(int argc, char **argv)
{
	struct shard_node nodes[ROWS];
	double trip;
	int rank, size;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (size != 2)
		MPI_Abort(MPI_COMM_WORLD, 2);
	for (int i = 0; i < ROWS; i++)
		nodes[i] = (struct shard_node){i, i + 1};
	trip = latency(1 - rank, rank == 0);
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 0)
		printf("latency=%.3e message=%.3e add=%.3e merge=%.3e\n", trip, trip / 2, add(nodes), merge(nodes));
	MPI_Finalize();
	return 0;
}
