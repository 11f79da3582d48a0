/* An MPI library that lets only one thread call it, loaded with LD_PRELOAD: by common.sh's preload. */
#include <mpi.h>

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided)
{
	(void)required;
	return PMPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, provided);
}
