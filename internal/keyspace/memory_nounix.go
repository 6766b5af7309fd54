//go:build !unix

package keyspace

func mapBytes(n int) (b []byte, mapped bool) { return make([]byte, n), false }

func unmapBytes([]byte) {}
