/* Status codes and the message that goes with them. Every fallible function of nn, comm and trainer returns one. */
#ifndef NN_CORE_STATUS_H
#define NN_CORE_STATUS_H

/* In increasing order of exit code; NN_OK is 0. */
enum nn_status {
	NN_OK,
	NN_ERR_USAGE,	   /* option, configuration or shape that cannot work: exit 2 */
	NN_ERR_MEMORY,	   /* allocation failed: exit 2 */
	NN_ERR_DATA,	   /* images, labels, data set: exit 3 */
	NN_ERR_CHECKPOINT, /* checkpoint missing, damaged or of another kind: exit 4 */
	NN_ERR_IO,	   /* output cannot be written: exit 5 */
	NN_ERR_NUMBER,	   /* loss or gradient not finite: exit 6 */
	NN_ERR_PEER,	   /* a rank was lost or is silent: exit 7 */
};

/* Records a message for this thread and returns `status`, so that the origin of an error reads `return nn_error(...)`.
 * The message says what, which file, and what to do; control characters, which names of files may hold, become \xHH, so that it
 * is one line. At most 1023 bytes are kept. */
enum nn_status nn_error(enum nn_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The message recorded last by this thread. Never NULL. Valid until the thread records another. */
const char *nn_error_message(void);

/* Exit code of a program that ends with `status`. */
int nn_exit_code(enum nn_status status);

#endif
