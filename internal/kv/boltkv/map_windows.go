package boltkv

import "syscall"

const readOnlyFS = syscall.Errno(19) // ERROR_WRITE_PROTECT

// mapSize leaves it to bbolt, which on Windows makes a file as long as its
// map.
func mapSize(int64) int { return 0 }

func affordable(want int, _ int64) int { return want }
