// Calls of Linux and glibc that Swift's Glibc module hides, because it is built without _GNU_SOURCE.
#pragma once
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
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

// Sockets over which a process hands its memory to others of its user, on this machine: of an abstract name, which no
// folder shows and the kernel forgets with the socket. -1 where it cannot be.
static inline struct sockaddr_un nameOfMemoryDoor(uint64_t number) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "tamring-%016llx", (unsigned long long)number);
  return name;
}

static inline int listenAtMemoryDoor(uint64_t number) {
  const struct sockaddr_un name = nameOfMemoryDoor(number);
  const int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (door == -1) return -1;
  if (bind(door, (const struct sockaddr *)&name, sizeof name) == 0 && listen(door, 64) == 0) return door;
  close(door);
  return -1;
}

// Whether the process at the other end has this process's user.
static inline int isOfThisUser(int connection) {
  struct { pid_t pid; uid_t uid; gid_t gid; } other;
  socklen_t length = sizeof other;
  return getsockopt(connection, SOL_SOCKET, 17 /* SO_PEERCRED */, &other, &length) == 0 && other.uid == geteuid();
}

// Neither side waits for the other for longer than a second.
static inline void limitWaiting(int connection) {
  const struct timeval second = {.tv_sec = 1};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
}

static inline int connectToMemoryDoor(uint64_t number) {
  const struct sockaddr_un name = nameOfMemoryDoor(number);
  const int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (connection == -1) return -1;
  limitWaiting(connection);
  if (connect(connection, (const struct sockaddr *)&name, sizeof name) == 0 && isOfThisUser(connection)) return connection;
  close(connection);
  return -1;
}

static inline int acceptAtMemoryDoor(int door) {
  const int connection = accept(door, NULL, NULL);
  if (connection == -1) return -1;
  fcntl(connection, F_SETFD, FD_CLOEXEC);
  limitWaiting(connection);
  if (isOfThisUser(connection)) return connection;
  close(connection);
  return -2;
}

union DescriptorMessage { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; };

// Sends a byte, and a descriptor with it.
static inline int sendDescriptor(int connection, int descriptor) {
  union DescriptorMessage control = {.head = {
    .cmsg_len = CMSG_LEN(sizeof descriptor), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.head), &descriptor, sizeof descriptor);
  char byte = 1;
  struct iovec bytes = {&byte, 1};
  const struct msghdr message = {
    .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  return sendmsg(connection, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static inline int receiveDescriptor(int connection) {
  union DescriptorMessage control;
  char byte;
  struct iovec bytes = {&byte, 1};
  struct msghdr message = {
    .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (recvmsg(connection, &message, 0x40000000 /* MSG_CMSG_CLOEXEC */) != 1) return -1;
  const struct cmsghdr *const head = CMSG_FIRSTHDR(&message);
  if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) return -1;
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
  return descriptor;
}

// From now on the process leaves no core dump, and other processes of its user cannot read its memory.
static inline void forbidDumps(void) {
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

// As many open files as the system lets this process have.
static inline void raiseFileLimit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// A socket pair whose ends are not inherited by child processes.
static inline int closeOnExecSocketPair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

// Sends without SIGPIPE.
static inline ssize_t sendQuietly(int socket, const void *bytes, size_t count) {
  return send(socket, bytes, count, MSG_NOSIGNAL);
}
