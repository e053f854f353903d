// Calls of Linux and glibc that Swift's Glibc module hides, because it is built without _GNU_SOURCE.
#pragma once
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern int pipe2(int ends[2], int flags);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

extern int pthread_setname_np(pthread_t thread, const char *name);

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
  // Freeing a large block would otherwise merge all small ones, for each clip that is decoded.
  mallopt(M_MXFAST, 0);
}

// std::set_new_handler, if a C++ library is loaded: what is called where it gets no memory, instead of an exception.
static inline void setNewHandler(void (*handler)(void)) {
  void (*(*const set)(void (*)(void)))(void) =
      (void (*(*)(void (*)(void)))(void))dlsym(NULL, "_ZSt15set_new_handlerPFvvE");
  if (set) set(handler);
}

extern int memfd_create(const char *name, unsigned flags);

// Memory of this length that has no name in any folder and never changes its length; -1 where there is none.
static inline int createMemory(const char *name, off_t length) {
  enum { closeOnExec = 1, allowSealing = 2, addSeals = 1033, noMoreSealsShrinkingNorGrowing = 1 | 2 | 4 };
  const int memory = memfd_create(name, closeOnExec | allowSealing);
  if (memory == -1) return -1;
  if (ftruncate(memory, length) == 0 && fcntl(memory, addSeals, noMoreSealsShrinkingNorGrowing) == 0) return memory;
  close(memory);
  return -1;
}

// Whether a descriptor is of memory that cannot shrink.
static inline int cannotShrink(int memory) {
  enum { getSeals = 1034, shrinking = 2 };
  const int seals = fcntl(memory, getSeals);
  return seals != -1 && (seals & shrinking) != 0;
}

// MADV_COLLAPSE, from Linux 6.1 on.
static inline void collapseIntoHugePages(void *start, size_t length) {
  enum { collapse = 25 };
  madvise(start, length, collapse);
}

// What is written after this is seen by nobody who does not see the word.
static inline void storeBeforeWrites(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

// As it was after all that was read before.
static inline uint32_t loadAfterReads(const uint32_t *word) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

// A number in shared memory that one process counts up and another reads now and then.
static inline void storeCount(uint64_t *place, uint64_t value) { __atomic_store_n(place, value, __ATOMIC_RELAXED); }
static inline uint64_t loadCount(const uint64_t *place) { return __atomic_load_n(place, __ATOMIC_RELAXED); }

// A socket pair whose ends are not inherited by child processes.
static inline int closeOnExecSocketPair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

// Sends without SIGPIPE.
static inline ssize_t sendQuietly(int socket, const void *bytes, size_t count) {
  return send(socket, bytes, count, MSG_NOSIGNAL);
}
