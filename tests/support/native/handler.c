/* Handles SIGTERM before Python begins, as a program does that Python is embedded in. */

#include <signal.h>
#include <unistd.h>

static void say_so(int number) {
    (void)number;
    if (write(STDOUT_FILENO, "handled\n", 8) != 8) _exit(1);
}

__attribute__((constructor)) static void handle(void) { signal(SIGTERM, say_so); }
