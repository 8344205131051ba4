/* Makes input and output fail as a bad disk or file server would: preloaded into a process, it stands
   before the C library.

   FAULTY_IO lists faults, separated by semicolons, each as call:part:errno:times. In each process,
   the first `times` calls of that kind for a file whose path contains `part` fail with that error. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_FAULTS 16

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int failed[MOST_FAULTS];

/* Counts one more failure, unless it was enough of them. */
static int once_more(int number, int times) {
    pthread_mutex_lock(&mutex);
    int more = failed[number] < times;
    failed[number] += more;
    pthread_mutex_unlock(&mutex);
    return more;
}

static int fault(const char *call, const char *path) {
    const char *faults = getenv("FAULTY_IO");
    char kind[16], part[256];
    int error, times;
    for (int i = 0; faults && i < MOST_FAULTS; i++) {
        if (sscanf(faults, "%15[^:]:%255[^:]:%d:%d", kind, part, &error, &times) != 4) break;
        if (!strcmp(kind, call) && strstr(path, part) && once_more(i, times)) {
            errno = error;
            return 1;
        }
        faults = strchr(faults, ';');
        if (faults) faults++;
    }
    return 0;
}

/* The path of what is open, and of `name` in it, if that is given. */
static int fault_in(const char *call, int descriptor, const char *name) {
    char link[64], path[2 * PATH_MAX + 2];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    path[length] = 0;
    if (name) snprintf(path + length, sizeof path - length, "/%s", name);
    return fault(call, path);
}

static int fault_at(const char *call, int descriptor) { return fault_in(call, descriptor, NULL); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                     \
    int name(const char *path, int flags, ...) {       \
        va_list rest;                                  \
        va_start(rest, flags);                         \
        mode_t mode = va_arg(rest, mode_t);            \
        va_end(rest);                                  \
        if (fault("open", path)) return -1;            \
        return REAL(name)(path, flags, mode);          \
    }

#define OPENAT(name)                                                                \
    int name(int folder, const char *path, int flags, ...) {                        \
        va_list rest;                                                               \
        va_start(rest, flags);                                                      \
        mode_t mode = va_arg(rest, mode_t);                                         \
        va_end(rest);                                                               \
        int below = folder != AT_FDCWD && path[0] != '/';                           \
        if (below ? fault_in("open", folder, path) : fault("open", path)) return -1; \
        return REAL(name)(folder, path, flags, mode);                               \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t read(int descriptor, void *buffer, size_t count) {
    return fault_at("read", descriptor) ? -1 : REAL(read)(descriptor, buffer, count);
}

ssize_t write(int descriptor, const void *buffer, size_t count) {
    return fault_at("write", descriptor) ? -1 : REAL(write)(descriptor, buffer, count);
}

ssize_t writev(int descriptor, const struct iovec *pieces, int count) {
    return fault_at("write", descriptor) ? -1 : REAL(writev)(descriptor, pieces, count);
}

int fsync(int descriptor) { return fault_at("fsync", descriptor) ? -1 : REAL(fsync)(descriptor); }

int flock(int descriptor, int what) {
    return fault_at("flock", descriptor) ? -1 : REAL(flock)(descriptor, what);
}

int close(int descriptor) {
    int failed = fault_at("close", descriptor), error = errno;
    int closed = REAL(close)(descriptor);
    if (!failed) return closed;
    errno = error;
    return -1;
}
