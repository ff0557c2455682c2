//go:build !cgo

package sandbox

// withCgo tells that the C library makes the threads: with clone3(2), whose arguments no filter can see, and mprotect(2).
const withCgo = false
