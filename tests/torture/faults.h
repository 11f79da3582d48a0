/* Faults in the calls that change files: the process is killed before one of them, one fails, or each is written to a log.
 *
 * The functions of the C library that this stands for (open, write, fsync, close, rename, mkdir, symlink, unlink, rmdir, ftruncate)
 * are defined in faults.c. Linked into a program they come before the library's; as faults.so they do so by LD_PRELOAD, with the
 * plan in the environment: FAULTS_ERRNO or else FAULTS_KILL (any text), FAULTS_CALL, FAULTS_PATH, FAULTS_FIRST, FAULTS_LAST. */
#ifndef TESTS_TORTURE_FAULTS_H
#define TESTS_TORTURE_FAULTS_H

#include <stdbool.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_KILL,  /* SIGKILL instead of the call */
	FAULT_ERROR, /* the call fails with plan.error; close closes all the same, as the kernel does */
	FAULT_SHORT, /* write takes half of the bytes; other calls go well */
};

struct fault_plan {
	enum fault_kind kind;
	int error;
	long first, last; /* which of the calls that match, counted from 1 */
	const char *call; /* "fsync", ...; NULL: every one */
	const char *path; /* part of the path; NULL: every path */
};

/* From now on calls are counted, and the plan holds. Ownership: the plan's strings stay the caller's. */
void faults_begin(struct fault_plan plan);

/* No faults any more. Returns the number of calls that matched since faults_begin. */
long faults_end(void);

/* The name of the nth call (from 1) since faults_begin; "" when there was none. */
const char *faults_call(long nth);

/* Appends each call that goes well to a new file, until faults_end: name and arguments between tabs, the bytes of a write in
 * hexadecimal digits, descriptors as numbers. Returns false when the file cannot be made. */
bool faults_log(const char *path);

/* Without syncing, a save on a disk takes a tenth of the time; only a power cut would tell. The log has the calls all the same. */
void faults_skip_fsync(bool skip);

#endif
