package sandbox

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// A Policy has the exceptions that a process needs, and a bound of what it uses. The zero value has none.
type Policy struct {
	// Datagrams lets an open unix datagram socket send to the path of a socket file, which a guest port with a learned peer does. Without
	// it, landlock refuses such a send from ABI version 9 on.
	Datagrams bool
	// Descriptors is the most descriptors that the process may have open from then on: it cannot raise its limit again. 0 leaves the limit as it is,
	// and so does a value above it.
	Descriptors int
}

// A Report has the parts of the sandbox that depend on the kernel and on the process's privileges. All other parts are always in effect.
type Report struct {
	Landlock    int  `json:"landlock"`     // landlock's ABI version in use; 0: the kernel has no landlock
	SystemCalls int  `json:"system_calls"` // number of allowed system calls
	Bounding    bool `json:"bounding"`     // the bounding set is empty, which needs CAP_SETPCAP; otherwise no_new_privs has the same effect
}

// layers selects the layers that enter applies. Tests omit some of them, to test the others.
type layers struct{ landlock, capabilities, seccomp bool }

// Enter restricts all threads of the process, and all future ones. It needs no privilege. Open descriptors, timers and the runtime's poller
// keep working.
//
// Enter must be called once: a second call makes a forbidden system call, which kills the process. After an error the process may be partly
// restricted, and must end. The error is a *missing.Error if the kernel has no seccomp filters, if an outer sandbox forbids one of the
// steps, or if the binary was built with cgo.
func Enter(p Policy) (Report, error) {
	return enter(p, layers{landlock: true, capabilities: true, seccomp: true})
}

// enter applies the layers in the order of the package comment. seccomp comes last, because its filter forbids the system calls of the
// steps before it.
func enter(p Policy, l layers) (r Report, err error) {
	if withCgo {
		return r, &missing.Error{What: "enter the sandbox", Need: "a binary built without cgo, which makes other system calls",
			Give: "build with CGO_ENABLED=0"}
	}
	if err := settle(); err != nil {
		return r, fmt.Errorf("enter the sandbox: %w", err)
	}
	calls := allowedCalls()
	filter, err := assemble(calls) // before the first step, so that an error changes nothing
	if err != nil {
		return r, fmt.Errorf("enter the sandbox: %w", err)
	}
	if err := limitDescriptors(p.Descriptors); err != nil {
		return r, err
	}
	if l.landlock {
		if r.Landlock, err = restrictAccess(p); err != nil {
			return r, err
		}
	}
	if l.capabilities {
		if r.Bounding, err = dropCapabilities(); err != nil {
			return r, err
		}
	}
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return r, refused("set no_new_privs", "Linux 3.5", err)
	}
	if l.seccomp {
		r.SystemCalls = len(calls)
		err = install(filter)
	}
	return r, err
}

// limitDescriptors lowers the limit of descriptors (getrlimit(2), RLIMIT_NOFILE). Other processes pass descriptors to this one, whose number no filter
// of system calls bounds.
func limitDescriptors(most int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return refused("read the limit of descriptors", "getrlimit", err)
	}
	if most <= 0 || uint64(most) >= limit.Max {
		return nil
	}
	limit = unix.Rlimit{Cur: uint64(most), Max: uint64(most)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return refused("limit the descriptors", "setrlimit", err)
	}
	return nil
}

// settle makes the runtime open the files that it otherwise opens at the first use: the local time zone, and the poller's epoll descriptor.
func settle() error {
	_ = time.Local.String()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	return w.Close()
}

// refused returns the error of a step. No step needs a privilege, so the kernel lacks a feature or an outer sandbox forbids the step.
func refused(what, need string, err error) error {
	return &missing.Error{What: "enter the sandbox: " + what, Need: need,
		Give: "use a newer kernel, or allow it in the container's seccomp profile", Err: err}
}
