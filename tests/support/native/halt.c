/* Preloaded into processes under test: halts one of them at an exact point, keeps a log, and can put
   the clock wrong.

   rename() and renameat() are where files of ours come to be. HALT_AT is "before:" or "after:" and an end of the new
   name. The first process that gets there, told by HALT_ONCE being made anew, stops itself
   (SIGSTOP); the test then kills whom it likes, or lets it go on. Each rename is a line of HALT_LOG.
   CLOCK_AHEAD is in seconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), of_end = strlen(end);
    return length >= of_end && strcmp(text + length - of_end, end) == 0;
}

static void halt(const char *when, const char *name) {
    const char *at = getenv("HALT_AT"), *once = getenv("HALT_ONCE");
    size_t length = strlen(when);
    if (!at || !once || strncmp(at, when, length) != 0 || !ends_with(name, at + length)) return;
    int made = open(once, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (made < 0) return;
    dprintf(made, "%d\n", getpid());
    close(made);
    raise(SIGSTOP); /* To this very thread: kill() may pick another, and this one would go on. */
}

static void note(const char *name) {
    const char *log = getenv("HALT_LOG");
    int file = log ? open(log, O_CREAT | O_APPEND | O_WRONLY, 0600) : -1;
    if (file < 0) return;
    dprintf(file, "%d %s\n", getpid(), name);
    close(file);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    halt("before:", to);
    int result = real(from, to);
    if (result == 0) note(to);
    halt("after:", to);
    return result;
}

int renameat(int from_folder, const char *from, int folder, const char *to) {
    int (*real)(int, const char *, int, const char *) = dlsym(RTLD_NEXT, "renameat");
    char link[64], path[2 * PATH_MAX + 2];
    ssize_t length = -1;
    if (folder != AT_FDCWD && to[0] != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = readlink(link, path, PATH_MAX);
    }
    snprintf(path + (length > 0 ? length : 0), PATH_MAX, length > 0 ? "/%s" : "%s", to);
    halt("before:", path);
    int result = real(from_folder, from, folder, to);
    if (result == 0) note(path);
    halt("after:", path);
    return result;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, now);
    const char *ahead = getenv("CLOCK_AHEAD");
    if (result == 0 && which == CLOCK_REALTIME && ahead) now->tv_sec += atol(ahead);
    return result;
}
