#include "nn/core/status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[1024];

enum nn_status nn_error(enum nn_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
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
