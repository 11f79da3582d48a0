/* Rank 1 stops when MPI is to start, and seconds of alarm() are short, loaded with LD_PRELOAD: by common.sh's preload. */
#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { SECOND_US = 5000 };

unsigned alarm(unsigned seconds)
{
	setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = seconds * SECOND_US}, NULL);
	return 0;
}

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided)
{
	const char *rank = getenv("OMPI_COMM_WORLD_RANK");

	if (rank && strcmp(rank, "1") == 0)
		raise(SIGSTOP);
	return PMPI_Init_thread(argc, argv, required, provided);
}
