/* SPDX-License-Identifier: MIT
 *
 * Threads of the library, inside whatever program has loaded it: nobody joins one,
 * as the program may end while it runs, and no signal of the program's is handled
 * on one.
 */
#include <signal.h>

#include "../host.h"

int32_t thread_start(void *(*run)(void *), struct link *link, size_t stack_bytes)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, stack_bytes);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attr, run, link);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -error;
}
