package keeper

import (
	"os"
	"os/exec"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/vswitch"
)

// A Config configures a keeper. Exactly one of Pod and Switch is set.
type Config struct {
	Pod      *plan.Config     // a guest and a pod
	Switch   *SwitchConfig    // a plain learning switch
	Version  string           // of this program, for status
	Control  string           // path of the control socket
	From     string           // the flag that Control comes from, for messages; empty: --control
	Host     bool             // allow the machine's own network namespace, whose address a guest would get
	Owner    int              // user id that sockets are given to; -1: they stay this process's own
	Peers    grant.Peers      // the users and processes that may connect
	Log      *zap.Logger      // not nil
	Resolved func(*plan.Plan) // called with the plan before a port is opened; nil: not called
	ExitCode func(error) int  // returns the exit code of a process that ends with the error

	// HoldSwitch is the hold time: how long the address stays taken, without an answer from anything, after a switch has ended unasked,
	// until another one has started: Run starts one, Listen waits for one. 0: the address is given back at once.
	HoldSwitch time.Duration
	// HoldStop is the same after a switch has stopped because it or the keeper was asked to end, while a hypervisor was attached: the
	// stop is then one of a container that is about to be replaced. A keeper that is asked to end leaves the address taken, for the
	// next keeper or for the watchdog. 0: the address is given back at once. It needs HoldSwitch.
	HoldStop time.Duration
	// Watchdog makes the command of the watchdog, which inherits one end of a socket pair as descriptor 3, calls Watch with it, and then
	// restores the pod interface. It is needed if Pod takes or mutes the address.
	Watchdog func(end *os.File) *exec.Cmd
	// ParseSettings parses the settings that come with a takeover; nil: a takeover cannot change them.
	ParseSettings func(text []byte) (plan.Settings, error)
}

// A SwitchConfig configures a plain learning switch.
type SwitchConfig struct {
	Ports   []hypervisor.Attachment
	Bridge  vswitch.BridgeConfig // the keeper sets Ports, Upstream and MaxFrame
	Offload bool                 // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
	NoMerge bool                 // ports do not merge received frames
}
