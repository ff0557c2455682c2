package keeper

import (
	"os"
	"os/exec"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/vswitch"
)

// A Config says what is kept, and for whom. Either Attach or Switch is set.
type Config struct {
	Attach   *plan.Config     // a guest and a pod
	Switch   *SwitchConfig    // a plain learning switch
	Control  string           // path of the control socket
	Owner    int              // user that sockets are given to; -1: they stay this process's
	Peers    grant.Peers      // who may connect
	Log      *zap.Logger      // what is said meanwhile
	Resolved func(*plan.Plan) // called once it is clear what will be done, before it is done; may be nil
	ExitCode func(error) int  // of a process that ends with the error

	// Watchdog is what restores the pod interface when nobody has the other end of the pipe any more.
	Watchdog func(pipe *os.File) *exec.Cmd
	// Settings reads the settings that come with a takeover; nil: they are not for a switch to change.
	Settings func(text []byte) (plan.Settings, error)
}

// A SwitchConfig says what a plain learning switch connects.
type SwitchConfig struct {
	Ports   []hypervisor.Attachment
	Bridge  vswitch.BridgeConfig // but for what follows from the ports
	Offload bool                 // the ports take frames with a checksum to complete and segments to cut

	NoMerge bool // frames that continue one another are not merged
}
