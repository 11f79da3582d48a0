/* Floats as text that gives the same bits back: the little-endian bytes, two hexadecimal digits each.
 * In Python: numpy.frombuffer(bytes.fromhex(text), '<f4'). */
#ifndef TRAINER_STATE_FLOAT_TEXT_H
#define TRAINER_STATE_FLOAT_TEXT_H

#include <stddef.h>

#include "nn/core/status.h"

/* *text = `count` floats as a string. Ownership: the caller's, freed by nn_free. Errors: NN_ERR_MEMORY; *text is then NULL. */
enum nn_status float_text_write(char **text, const float *values, size_t count);

/* Reads exactly `count` floats. Errors: NN_ERR_DATA for any other text; the values are then undefined. */
enum nn_status float_text_read(float *values, size_t count, const char *text);

#endif
