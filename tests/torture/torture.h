/* The parts of the torture program. Each prints a line of figures and lines that begin with FAIL, and returns the number of those.
 */
#ifndef TESTS_TORTURE_TORTURE_H
#define TESTS_TORTURE_TORTURE_H

/* SIGKILL before every call of a save that changes files, and errors of every kind at and from every one, in every scenario.
 * `scratch` is a folder for the run folders. */
int torture_calls(const char *scratch);

/* `kills` SIGKILLs at random moments to a process that saves without end. */
int torture_kills(const char *scratch, long kills, unsigned seed);

/* Every bit of every file of a checkpoint flipped, every shorter length, and more: the run gives the checkpoint before. */
int torture_damage(const char *scratch);

#endif
