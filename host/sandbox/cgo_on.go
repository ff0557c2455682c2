//go:build cgo

package sandbox

// withCgo reports whether the C library creates the threads. It uses clone3(2), whose arguments are in memory that a seccomp filter cannot
// read, and mprotect(2).
const withCgo = true
