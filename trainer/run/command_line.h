/* The command line: argp with rows made from the table of options, but silent and without leaving the program. */
#ifndef TRAINER_RUN_COMMAND_LINE_H
#define TRAINER_RUN_COMMAND_LINE_H

#include "trainer/run/options.h"

/* Sets what argv names, or exit_text for --help, --usage and --version; argv is not changed.
 * Ownership: exit_text is the caller's, freed by nn_free.
 * Errors: NN_ERR_USAGE names the option, and for an unknown one the likely meant one; NN_ERR_MEMORY. */
enum nn_status command_line_read(struct options *options, int argc, char **argv);

#endif
