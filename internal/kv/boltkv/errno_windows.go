package boltkv

import "syscall"

// noSpace is how the system says that a file cannot grow:
// ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL, ERROR_DISK_QUOTA_EXCEEDED.
var noSpace = []syscall.Errno{39, 112, 1295}
