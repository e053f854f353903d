// Calls of Linux and glibc that Swift's Glibc module hides, because it is built without _GNU_SOURCE.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

extern int pipe2(int ends[2], int flags);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

// A pipe whose ends are not inherited by child processes.
static inline int closeOnExecPipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }
// POSIX_SPAWN_SETSID: the child starts a session of its own.
enum { spawnInOwnSession = 0x80 };

extern int renameat2(int oldDirectory, const char *oldPath, int newDirectory, const char *newPath, unsigned flags);

// Lets two names change places, at once.
static inline int exchangeNames(const char *a, const char *b) { return renameat2(AT_FDCWD, a, AT_FDCWD, b, 2); }

// A descriptor that becomes readable when the process ends, whoever its parent is; -1 if there is none.
static inline int openProcess(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

// Blocks that are freed are kept for the next ones of their size, not given back to the system page by page. Larger
// ones than these come from it directly, and go back.
static inline void keepFreedMemory(void) {
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
}
