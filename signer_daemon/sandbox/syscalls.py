"""The system calls of a signer that serves: (x86-64, aarch64), None where there is no such call.

Whatever is not here kills the process. Numbers: arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h of the kernel.
"""

import errno

Numbers = tuple[int | None, int | None]

ALLOWED: dict[str, Numbers] = {
    # waiting and threads
    "futex": (202, 98),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "poll": (7, None),
    "ppoll": (271, 73),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "sched_yield": (24, 124),
    "restart_syscall": (219, 128),  # how the kernel resumes a wait after SIGSTOP
    "gettid": (186, 178),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),  # glibc asks before it starts a thread
    "sched_getscheduler": (145, 120),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # signals: only their receipt
    "rt_sigprocmask": (14, 135),
    "rt_sigtimedwait": (128, 137),
    "rt_sigaction": (13, 134),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    # memory
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    # connections that came in on the two sockets; there is no call to make another
    "recvmsg": (47, 212),
    "sendmsg": (46, 211),
    "accept4": (288, 242),
    "getpeername": (52, 205),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "setsockopt": (54, 208),
    "shutdown": (48, 210),
    "epoll_ctl": (233, 21),
    "epoll_create1": (291, 20),
    "eventfd2": (290, 19),
    # files: which ones is for Landlock to say; those to be written are open already
    "read": (0, 63),
    "pread64": (17, 67),
    "readv": (19, 65),
    "write": (1, 64),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "fdatasync": (75, 83),
    "fsync": (74, 82),
    "ftruncate": (77, 46),
    "flock": (73, 32),
    "fcntl": (72, 25),
    "close": (3, 57),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "stat": (4, None),
    "lstat": (6, None),
    "getdents64": (217, 61),
    "unlink": (87, None),  # gRPC removes its sockets when it stops
    "unlinkat": (263, 35),
    # facts about ourselves
    "getrandom": (318, 278),
    "clock_gettime": (228, 113),  # these five where the vDSO cannot answer
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getcpu": (309, 168),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getcwd": (79, 17),
    "uname": (63, 160),
    "sysinfo": (99, 179),
}

# Allowed with some arguments only: seccomp.py says which.
GUARDED: dict[str, Numbers] = {
    "openat": (257, 56),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "clone": (56, 220),
    "tgkill": (234, 131),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
}

# Libraries try these and do without them.
ANSWERED: dict[str, tuple[Numbers, int]] = {
    "clone3": ((435, 435), errno.ENOSYS),  # its flags are out of a filter's sight; clone's are not
    "ioctl": ((16, 29), errno.ENOTTY),  # Python asks of every file whether it is a terminal
    "access": ((21, None), errno.EACCES),
    "faccessat": ((269, 48), errno.EACCES),
    "readlink": ((89, None), errno.EACCES),
    "readlinkat": ((267, 78), errno.EACCES),
    "statx": ((332, 291), errno.ENOSYS),
}
