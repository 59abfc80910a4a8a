"""What confines the process: uid and capabilities, files (Landlock), system calls (seccomp)."""
