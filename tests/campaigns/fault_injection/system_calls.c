/* Counts the system calls on files of one folder, and makes one of them fail, or kills the process there.

   Preloaded with LD_PRELOAD. `fault_configure` selects the folder and the call; until then, nothing is changed.
   `fault_record` records all changes of that folder, with what is written, for `power_loss.py`. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum action { PASS, FAIL, SHORT, KILL_BEFORE, KILL_AFTER };

static char folder[PATH_MAX];
static long chosen_number;      /* the call that is changed, counted from 1; 0 for none */
static int chosen_action, chosen_error, is_repeated;
static char chosen_call[32];    /* the kind of the chosen call, set when it is reached */
static int log_descriptor = -1; /* a file that lists the calls */
static int record_descriptor = -1; /* a file that records the changes */
static atomic_long call_count;

void fault_configure(const char *path, long number, int action, int error, int repeated, int descriptor)
{
    snprintf(folder, sizeof folder, "%s", path);
    chosen_number = number;
    chosen_action = action;
    chosen_error = error;
    is_repeated = repeated;
    log_descriptor = descriptor;
    call_count = 0;
}

static int is_inside(const char *path)
{
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static void descriptor_path(int descriptor, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

/* What happens to a call on a file; sets errno if it fails. */
static enum action decide(const char *call, const char *path)
{
    if (!folder[0] || !is_inside(path))
        return PASS;
    long number = ++call_count;
    if (log_descriptor >= 0)
        dprintf(log_descriptor, "%s %s\n", call, path);
    int is_chosen = number == chosen_number;
    if (is_chosen)
        snprintf(chosen_call, sizeof chosen_call, "%s", call);
    else if (!is_repeated || number < chosen_number || strcmp(call, chosen_call))
        return PASS;
    if (chosen_action == KILL_BEFORE)
        kill(getpid(), SIGKILL);
    errno = chosen_error;
    return chosen_action == SHORT && !is_chosen ? FAIL : chosen_action;
}

void fault_record(int descriptor)
{
    record_descriptor = descriptor;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Records a change: a line with its kind, two numbers, the path and, after a tab, a second path; then `size` bytes. */
static void record(const char *change, const char *path, const char *other, long number, const void *data, long size)
{
    char line[2 * PATH_MAX + 64];
    if (record_descriptor < 0 || !folder[0] || !is_inside(path))
        return;
    int error = errno;
    int length = snprintf(line, sizeof line, "%s %ld %ld %s\t%s\n", change, number, size, path, other);
    ssize_t done = REAL(write)(record_descriptor, line, length);
    if (done == length && size)
        done = REAL(write)(record_descriptor, data, size);
    if (done < 0)
        abort();
    errno = error;
}

/* Records that a file is complete: what was written must survive a power loss from now on. */
void fault_mark(const char *path)
{
    record("mark", path, "", 0, NULL, 0);
}

/* Calls the function unless the fault replaces it; `path` is an expression of type char*, `failure` the result then. */
#define WRAP(result, call, name, parameters, arguments, path, failure, record_change) \
    result name parameters                                         \
    {                                                              \
        enum action action = decide(call, path);                   \
        if (action == FAIL || action == SHORT)                     \
            return failure;                                        \
        result value = REAL(name) arguments;                       \
        if (value != failure)                                      \
            record_change;                                         \
        if (action == KILL_AFTER)                                  \
            kill(getpid(), SIGKILL);                               \
        return value;                                              \
    }

#define NOT_RECORDED (void)0
#define WRAP_PATH(call, name, parameters, arguments, record_change) \
    WRAP(int, call, name, parameters, arguments, path, -1, record_change)
#define RECORD(change) record(change, path, "", 0, NULL, 0)

#define WRAP_OPEN(name)                                            \
    int name(const char *path, int flags, ...)                     \
    {                                                              \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                              \
        enum action action = decide("open", path);                 \
        if (action == FAIL || action == SHORT)                     \
            return -1;                                             \
        int is_new = (flags & O_CREAT) && access(path, F_OK);      \
        int descriptor = REAL(name)(path, flags, mode);            \
        if (descriptor >= 0 && is_new)                             \
            RECORD("create");                                      \
        else if (descriptor >= 0 && (flags & O_TRUNC))             \
            RECORD("truncate");                                    \
        if (action == KILL_AFTER)                                  \
            kill(getpid(), SIGKILL);                               \
        return descriptor;                                         \
    }

#define WRAP_DESCRIPTOR(result, call, name, parameters, arguments, record_change) \
    result name parameters                                         \
    {                                                              \
        char path[PATH_MAX];                                       \
        descriptor_path(descriptor, path);                         \
        enum action action = decide(call, path);                   \
        if (action == FAIL || action == SHORT)                     \
            return -1;                                             \
        result value = REAL(name) arguments;                       \
        if (value >= 0)                                            \
            record_change;                                         \
        if (action == KILL_AFTER)                                  \
            kill(getpid(), SIGKILL);                               \
        return value;                                              \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP(int, "rename", rename, (const char *from, const char *to), (from, to), to, -1,
     record("rename", from, to, 0, NULL, 0))
WRAP(DIR *, "opendir", opendir, (const char *path), (path), path, NULL, NOT_RECORDED)
WRAP_PATH("unlink", unlink, (const char *path), (path), RECORD("unlink"))
WRAP_PATH("mkdir", mkdir, (const char *path, mode_t mode), (path, mode), RECORD("mkdir"))
WRAP_PATH("rmdir", rmdir, (const char *path), (path), RECORD("unlink"))
WRAP_PATH("chmod", chmod, (const char *path, mode_t mode), (path, mode), NOT_RECORDED)
WRAP_PATH("stat", stat64, (const char *path, struct stat64 *status), (path, status), NOT_RECORDED)
WRAP_PATH("stat", lstat64, (const char *path, struct stat64 *status), (path, status), NOT_RECORDED)
WRAP_DESCRIPTOR(int, "stat", fstat64, (int descriptor, struct stat64 *status), (descriptor, status), NOT_RECORDED)
WRAP_DESCRIPTOR(int, "fsync", fsync, (int descriptor), (descriptor), RECORD("fsync"))
WRAP_DESCRIPTOR(int, "truncate", ftruncate64, (int descriptor, off64_t size), (descriptor, size),
                record("truncate", path, "", size, NULL, 0))
WRAP_DESCRIPTOR(off64_t, "seek", lseek64, (int descriptor, off64_t offset, int origin), (descriptor, offset, origin),
                NOT_RECORDED)
WRAP_DESCRIPTOR(ssize_t, "read", read, (int descriptor, void *data, size_t size), (descriptor, data, size), NOT_RECORDED)

/* With the environment variable NO_LOCKS, there are none on any file. */
int flock(int descriptor, int operation)
{
    char path[PATH_MAX];
    descriptor_path(descriptor, path);
    enum action action = decide("flock", path);
    if (getenv("NO_LOCKS"))
        errno = ENOLCK;
    if (getenv("NO_LOCKS") || action == FAIL || action == SHORT)
        return -1;
    int value = REAL(flock)(descriptor, operation);
    if (action == KILL_AFTER)
        kill(getpid(), SIGKILL);
    return value;
}

/* A file is closed, even if that fails. */
int close(int descriptor)
{
    char path[PATH_MAX];
    descriptor_path(descriptor, path);
    enum action action = decide("close", path);
    int error = errno;
    int value = REAL(close)(descriptor);
    if (action == KILL_AFTER)
        kill(getpid(), SIGKILL);
    if (action == FAIL || action == SHORT) {
        errno = error;
        return -1;
    }
    return value;
}

ssize_t write(int descriptor, const void *data, size_t size)
{
    char path[PATH_MAX];
    descriptor_path(descriptor, path);
    enum action action = decide("write", path);
    if (action == FAIL)
        return -1;
    if (action == SHORT || action == KILL_AFTER)
        size /= 2;
    ssize_t value = REAL(write)(descriptor, data, size);
    if (value > 0 && path[0] == '/')
        record("write", path, "", REAL(lseek64)(descriptor, 0, SEEK_CUR) - value, data, value);
    if (action == KILL_AFTER)
        kill(getpid(), SIGKILL);
    return value;
}
