/* Fails, or kills at, the N-th system call that touches a folder. For LD_PRELOAD.
 *
 * arm(folder, nth, fault) begins to count calls that write below the folder; fault is an errno,
 * SHORT for a write that stops halfway with ENOSPC at the next one, KILL_BEFORE or KILL_AFTER.
 * With nth = 0 nothing fails. counted() returns how many calls there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/sendfile.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHORT = -1, KILL_BEFORE = -2, KILL_AFTER = -3 };

static char folder[4096];
static int nth, fault, count, armed, half;

void arm(const char *path, int number, int what) {
  snprintf(folder, sizeof folder, "%s", path);
  nth = number, fault = what, count = 0, half = 0, armed = 1;
}

int counted(void) {
  armed = 0;
  return count;
}

static int inside(int directory, const char *path) {
  char whole[8192], link[64];
  if (!armed || !path) return 0;
  if (path[0] == '/') return !strncmp(path, folder, strlen(folder));
  if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
  else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
  ssize_t length = readlink(link, whole, sizeof whole - 1);
  return length > 0 && !strncmp(whole, folder, strlen(folder));
}

static int of(int descriptor) { return inside(descriptor, "."); }

/* Whether this call is to fail; errno is set then. */
static int fails(int concerned) {
  if (!concerned) return 0;
  if (half) { errno = ENOSPC; return 1; }
  if (++count != nth) return 0;
  if (fault == KILL_BEFORE) kill(getpid(), SIGKILL);
  if (fault > 0) { errno = fault; return 1; }
  return 0;
}

static void after(int concerned) {
  if (concerned && count == nth && fault == KILL_AFTER) kill(getpid(), SIGKILL);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)

#define CALL(type, name, parameters, arguments, concerned) \
  type name parameters { \
    REAL(name); \
    int ours = concerned; \
    if (fails(ours)) return -1; \
    type done = real arguments; \
    after(ours); \
    return done; \
  }

ssize_t write(int descriptor, const void *bytes, size_t length) {
  REAL(write);
  int ours = of(descriptor);
  if (fails(ours)) return -1;
  if (ours && count == nth && fault == SHORT && length > 1) {
    half = 1;
    return real(descriptor, bytes, length / 2);
  }
  ssize_t done = real(descriptor, bytes, length);
  after(ours);
  return done;
}

static int writes(int flags) { return flags & (O_WRONLY | O_RDWR | O_CREAT | O_DIRECTORY); }

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    va_list list; va_start(list, flags); int mode = va_arg(list, int); va_end(list); \
    int ours = writes(flags) && inside(AT_FDCWD, path); \
    if (fails(ours)) return -1; \
    int done = real(path, flags, mode); \
    after(ours); \
    return done; \
  }

#define OPENAT(name) \
  int name(int directory, const char *path, int flags, ...) { \
    REAL(name); \
    va_list list; va_start(list, flags); int mode = va_arg(list, int); va_end(list); \
    int ours = writes(flags) && inside(directory, path); \
    if (fails(ours)) return -1; \
    int done = real(directory, path, flags, mode); \
    after(ours); \
    return done; \
  }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
CALL(ssize_t, pwrite, (int d, const void *b, size_t n, off_t o), (d, b, n, o), of(d))
CALL(ssize_t, pwrite64, (int d, const void *b, size_t n, off64_t o), (d, b, n, o), of(d))
CALL(int, fsync, (int d), (d), of(d))
CALL(int, fdatasync, (int d), (d), of(d))
CALL(int, ftruncate, (int d, off_t n), (d, n), of(d))
CALL(int, ftruncate64, (int d, off64_t n), (d, n), of(d))
CALL(int, close, (int d), (d), of(d))
CALL(int, rename, (const char *a, const char *b), (a, b), inside(AT_FDCWD, b))
CALL(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b), inside(e, b))
CALL(int, unlink, (const char *a), (a), inside(AT_FDCWD, a))
CALL(int, unlinkat, (int d, const char *a, int f), (d, a, f), inside(d, a))
CALL(int, mkdir, (const char *a, mode_t m), (a, m), inside(AT_FDCWD, a))
CALL(int, chmod, (const char *a, mode_t m), (a, m), inside(AT_FDCWD, a))
CALL(int, fchmod, (int d, mode_t m), (d, m), of(d))
CALL(int, fchmodat, (int d, const char *a, mode_t m, int f), (d, a, m, f), inside(d, a))
CALL(ssize_t, sendfile, (int o, int i, off_t *p, size_t n), (o, i, p, n), of(o))
CALL(ssize_t, sendfile64, (int o, int i, off64_t *p, size_t n), (o, i, p, n), of(o))
CALL(ssize_t, copy_file_range, (int i, off64_t *p, int o, off64_t *q, size_t n, unsigned f),
     (i, p, o, q, n, f), of(o))
