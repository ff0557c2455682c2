// Package sandbox restricts a process to the system calls of a running switch. There is no way back. Afterwards the process can use the
// descriptors that it has and those that it receives, and can do little else.
//
//	report, err := sandbox.Enter(sandbox.Policy{}) // after every file is open and every library is initialised
//	if err != nil {
//		return err // the process may be partly restricted: end it
//	}
//
// Enter applies three layers, in this order. They overlap, so that a hole in one layer is not a way out:
//
//  1. landlock: the process can open, create and remove no file, bind and connect no TCP port, and send no signal and connect to no
//     abstract unix socket outside the sandbox (landlock(7), as far as the kernel's ABI version supports each)
//  2. capabilities: no set has any, and no_new_privs prevents a gain by execve(2) (capabilities(7), PR_SET_NO_NEW_PRIVS of prctl(2))
//  3. seccomp: a list of system calls, some with conditions on their arguments, is allowed; any other call kills the process
//     (seccomp(2), SECCOMP_RET_KILL_PROCESS, Linux 4.14)
//
// calls.go has the list, and machine_*.go what one architecture needs in addition. It contains the calls that the runtime of this module's Go version and the packages of the frame path make on
// Linux. A binary with cgo makes other calls, so Enter refuses it.
package sandbox
