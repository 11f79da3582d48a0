/* What two hosts pay at least for the bytes of a step: plain sockets move them, one thread sending and one receiving, while a third
 * computes on the same core. No sums, no statistics, no MPI between the two.
 *   mpirun -np 2 sockets ADDRESS BYTES MILLISECONDS ROUNDS     ADDRESS is that of rank 0's host
 * BYTES go each way, the received ones over each other, while so much is computed as takes MILLISECONDS alone; rounds with and
 * without them take turns. Prints the medians of the slower rank, and the share of a round that the bytes cost. */
#include <arpa/inet.h>
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 5555, CALL_BYTES = 1 << 18, ROUNDS_MAX = 99, TABLE_FLOATS = 1 << 17 }; /* the table fits the second-level cache */

static int connection;
static size_t bytes;
static char *outgoing, incoming[CALL_BYTES];
static float table[TABLE_FLOATS];

static _Noreturn void refuse(const char *why)
{
	fprintf(stderr, "sockets: error: %s\n", why);
	MPI_Abort(MPI_COMM_WORLD, 2);
	abort();
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void *send_all(void *unused)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t sent = send(connection, outgoing + done, least(bytes - done, CALL_BYTES), 0);

		if (sent <= 0)
			refuse("cannot send");
		done += (size_t)sent;
	}
	return unused;
}

static void *receive_all(void *unused)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t received = recv(connection, incoming, least(bytes - done, CALL_BYTES), MSG_WAITALL);

		if (received <= 0)
			refuse("cannot receive");
		done += (size_t)received;
	}
	return unused;
}

static void connect_ranks(int rank, const char *address)
{
	struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	if (inet_pton(AF_INET, address, &host.sin_addr) != 1)
		refuse("the address is to be one of IPv4, such as 10.0.0.1");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (rank == 0 && (bind(listener, (struct sockaddr *)&host, sizeof(host)) || listen(listener, 1)))
		refuse("cannot listen at port 5555 of the address: it is to be one of rank 0's host, and the port free");
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 0)
		connection = accept(listener, NULL, NULL);
	else
		connection = connect(listener, (struct sockaddr *)&host, sizeof(host)) ? -1 : listener;
	if (connection < 0)
		refuse("no connection to port 5555 of rank 0's address");
}

static void compute(long passes)
{
	for (long pass = 0; pass < passes; pass++)
		for (int i = 0; i < TABLE_FLOATS; i++)
			table[i] = table[i] * 0.5f + 1.0f;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Milliseconds of the computing. */
static double time_round(long passes, int moving)
{
	pthread_t threads[2];
	double start, milliseconds;

	MPI_Barrier(MPI_COMM_WORLD);
	start = MPI_Wtime();
	if (moving && (pthread_create(&threads[0], NULL, send_all, NULL) || pthread_create(&threads[1], NULL, receive_all, NULL)))
		refuse("cannot start a thread");
	compute(passes);
	milliseconds = (MPI_Wtime() - start) * 1e3;
	for (int i = 0; i < 2 && moving; i++)
		pthread_join(threads[i], NULL);
	return milliseconds;
}

int main(int argc, char **argv)
{
	double times[2][ROUNDS_MAX], medians[2], slowest[2], start;
	int rank, size, rounds;
	long passes = 2000;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (argc != 5 || size != 2)
		refuse("two ranks; sockets ADDRESS BYTES MILLISECONDS ROUNDS");
	bytes = (size_t)strtoll(argv[2], NULL, 10);
	rounds = (int)strtol(argv[4], NULL, 10);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		refuse("1 to 99 rounds");
	outgoing = calloc(bytes, 1);
	if (!outgoing)
		refuse("no memory");
	connect_ranks(rank, argv[1]);
	compute(passes); /* at first a processor may be slower */
	start = MPI_Wtime();
	compute(passes);
	passes = (long)((double)passes * strtod(argv[3], NULL) * 1e-3 / (MPI_Wtime() - start));
	for (int round = -1; round < rounds; round++)
		for (int moving = 0; moving < 2; moving++)
			times[moving][round < 0 ? 0 : round] = time_round(passes, moving);
	for (int moving = 0; moving < 2; moving++) {
		qsort(times[moving], (size_t)rounds, sizeof(double), by_size);
		medians[moving] = times[moving][rounds / 2];
	}
	MPI_Reduce(medians, slowest, 2, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
	if (rank == 0)
		printf("plain sockets, %.1f MB each way beside computing: %.1f ms, without %.1f ms: %.2f %%\n",
		       (double)bytes * 1e-6, slowest[1], slowest[0], 100 * (1 - slowest[0] / slowest[1]));
	close(connection);
	free(outgoing);
	MPI_Finalize();
	return 0;
}
