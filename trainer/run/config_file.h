/* Options in INI files: those that users write for --config, and RUN/config.ini, which repeats a run. */
#ifndef TRAINER_RUN_CONFIG_FILE_H
#define TRAINER_RUN_CONFIG_FILE_H

#include "trainer/run/options.h"

/* Sets the options that `path` names in a section [train] or before any section, and notes `source` as where they come from. Those
 * that have come from a greater source keep their values.
 * A long text may go on in indented lines. Options of the file that were not given elsewhere still need options_resolve.
 * Errors: NN_ERR_USAGE with file, line and option in the message; options before that line are set. */
enum nn_status options_read_ini(struct options *options, const char *path, enum option_source source);

/* Writes every option's value to `path`, replacing the file in one go: a crash leaves the old one or the new one.
 * `resnet-train --config PATH` then has the same options, so `options` must be resolved. Errors: NN_ERR_IO. */
enum nn_status options_write_ini(const struct options *options, const char *path);

#endif
