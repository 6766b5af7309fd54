package keyspace

import "syscall"

// giveBack lets the system take the memory; its content is lost. A failure costs memory only.
func giveBack(b []byte) { _ = syscall.Madvise(b, syscall.MADV_DONTNEED) }
