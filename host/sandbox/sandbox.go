package sandbox

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// A Policy is what differs between processes that are locked in. The zero value is the tightest.
type Policy struct {
	// Datagrams leaves a unix datagram socket that the process has the use of socket files by their path, as a guest port does that
	// answers who sent last. It makes a difference from landlock's ABI 9 on, which would refuse it.
	Datagrams bool
}

// A Report says how well the process is locked in. What it does not name holds on every kernel.
type Report struct {
	Landlock    int  `json:"landlock"`     // landlock's ABI version as far as it is used; 0: the kernel has none
	SystemCalls int  `json:"system_calls"` // how many are allowed
	Bounding    bool `json:"bounding"`     // the bounding set is empty too, which takes CAP_SETPCAP; without it no_new_privs does the same
}

// layers are those that Enter puts on; tests leave some of them out, to see the others at work.
type layers struct{ landlock, capabilities, seccomp bool }

// Enter locks in all threads of the process, those to come included. It needs no privilege. What the process has open stays
// of use, timers and the runtime's poller too.
//
// It is called once: a second call is a forbidden system call, and ends the process. After an error the process may be
// locked in by half, and has to end. The error is a *missing.Error when the kernel has no seccomp filters, something outside
// forbids to use them or to drop a capability, or the binary was built with cgo.
func Enter(p Policy) (Report, error) {
	return enter(p, layers{landlock: true, capabilities: true, seccomp: true})
}

// enter goes from what says most about others to what forbids the means of the steps before it.
func enter(p Policy, l layers) (r Report, err error) {
	if withCgo {
		return r, &missing.Error{What: "enter the sandbox", Need: "a binary without cgo, whose threads make other system calls",
			Give: "build with CGO_ENABLED=0"}
	}
	if err := settle(); err != nil {
		return r, fmt.Errorf("enter the sandbox: %w", err)
	}
	calls := SystemCalls()
	filter, err := assemble(calls) // before the first step: an error leaves the process as it was
	if err != nil {
		return r, fmt.Errorf("enter the sandbox: %w", err)
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

// settle makes the runtime and the library open now what they open at first use: the zone of the local time, and the poller.
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

// refused says what could not be done; everything that Enter calls works for every process, unless something outside forbids it.
func refused(what, need string, err error) error {
	return &missing.Error{What: "enter the sandbox: " + what, Need: need,
		Give: "use a newer kernel, or let the container's own seccomp profile allow it", Err: err}
}
