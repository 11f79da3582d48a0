#include "nn/core/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

enum { MESSAGE_BYTES = 1024 };

static _Thread_local char message[MESSAGE_BYTES];

/* A file may be called by any bytes: line breaks would tear the one line of an error, and others would command the terminal. */
static void keep_printable(const char *text)
{
	size_t used = 0;

	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		bool control = byte < ' ' || byte == 127;

		if (used + (control ? 4 : 1) >= MESSAGE_BYTES)
			break;
		used += (size_t)snprintf(message + used, MESSAGE_BYTES - used, control ? "\\x%02x" : "%c", byte);
	}
	message[used] = '\0';
}

enum nn_status nn_error(enum nn_status status, const char *format, ...)
{
	char text[MESSAGE_BYTES]; /* the arguments may hold the message before */
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	keep_printable(text);
	return status;
}

const char *nn_error_message(void)
{
	return message;
}

int nn_exit_code(enum nn_status status)
{
	static const int codes[] = {
	    [NN_OK] = 0,     [NN_ERR_USAGE] = 2,  [NN_ERR_MEMORY] = 2, [NN_ERR_DATA] = 3, [NN_ERR_CHECKPOINT] = 4,
	    [NN_ERR_IO] = 5, [NN_ERR_NUMBER] = 6, [NN_ERR_PEER] = 7,
	};

	return codes[status];
}
