// Package sandbox locks a process in, for good: afterwards it can do with the descriptors that it has, and with those that it
// is given, what a switch does, and nothing else.
//
// Three layers say the same thing in different words, so that a hole in one is not a way out:
//
//	landlock      no file is opened, made or removed; no TCP port is bound or connected to; no signal and no abstract socket
//	              reaches a process outside (landlock(7); each as far as the kernel has it)
//	capabilities  none, in any set, and none can be had by an exec (capabilities(7), PR_SET_NO_NEW_PRIVS of prctl(2))
//	seccomp       a list of system calls, some with conditions on their arguments; every other one ends the process (seccomp(2))
//
// The list is written against what the Go runtime of this module's Go version calls on Linux, and what the packages of frames
// call. A binary with cgo makes other calls, which the list does not have.
package sandbox
