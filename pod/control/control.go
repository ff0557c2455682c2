// Package control is the control socket: a unix socket that serves the state of a running podswitch over HTTP, as JSON and read-only.
//
//	err := control.Serve(ctx, listener, control.Source{Status: status, Log: log})  // in the switch
//	err := control.Get(ctx, path, control.StatusPath, &s)                          // in podswitch status
//
// The mode of the socket's file decides which processes can connect, and Serve accepts only those of root and of its own user. A
// connection gets one response, made from a snapshot. The resources of all clients together are bounded:
//
//	connections at a time   maxConns 16; further ones are closed
//	lifetime of each        lifetime 2 s, from accept to the last byte of the response
//	request                 4 KiB of header, no body, GET only
//	requests                perSecond 50; further ones get status 429
//
// This is at most 33 goroutines and, with responses of an ordinary size, less than 1 MiB.
package control

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/vswitch"
)

// A Status is the resource StatusPath.
type Status struct {
	Version   string        `json:"version,omitempty"` // of the program that answers
	Waiting   bool          `json:"waiting,omitempty"` // a keeper answers, which waits for a switch: the other fields have no meaning
	Ready     bool          `json:"ready"`             // the uplink is up, and the guest has the pod address; Ethernet mode: all ports are up
	Uplink    string        `json:"uplink,omitempty"`  // up or down; absent: a plain learning switch has no uplink
	Holder    string        `json:"holder"`            // kernel, switch or guest; kernel in Ethernet mode; HolderNone with Waiting
	Address   string        `json:"address"`           // the pod address with its prefix length; empty: none
	Gateway   string        `json:"gateway"`           // empty: none
	WireMAC   vswitch.MAC   `json:"wire_mac,omitzero"`
	RouterMAC vswitch.MAC   `json:"router_mac,omitzero"`
	MTU       int           `json:"mtu"`            // of the guest's link in bytes
	Lease     *Lease        `json:"lease"`          // null: none
	IPv6      *FamilyStatus `json:"ipv6,omitempty"` // absent: the pod address is of IPv4 alone. With IPv6 alone, Address is empty and Holder that of IPv6
	Ports     []Port        `json:"ports"`

	Refused    []string    `json:"refused,omitempty"`    // changes of the pod's network that have no effect, one sentence each
	Settings   *Settings   `json:"settings,omitempty"`   // those in force
	Neighbours *Neighbours `json:"neighbours,omitempty"` // next hops on the wire; absent: Ethernet mode

	KeeperPID int    `json:"keeper_pid,omitempty"` // the keeper process; 0: unknown, or in a process namespace that the switch cannot see, as of another container
	SwitchPID int    `json:"switch_pid,omitempty"` // the switch process
	Sandbox   string `json:"sandbox,omitempty"`    // of the switch process, such as "no capabilities, 44 system calls, landlock 7"
	Takeovers int    `json:"takeovers,omitempty"`  // the number of takeovers since the keeper started
}

// A FamilyStatus is the state of the pod's IPv6 address. The fields are those of Status.
type FamilyStatus struct {
	Holder  string `json:"holder"`
	Address string `json:"address"`
	Gateway string `json:"gateway"`
	Router  string `json:"router"` // link-local address of the switch, the guest's router
	MTU     int    `json:"mtu"`
	Lease   *Lease `json:"lease"`
}

// A Lease is the lease of the guest.
type Lease struct {
	MAC      vswitch.MAC `json:"mac"`
	HostName string      `json:"hostname"`
	Expires  time.Time   `json:"expires"`
	DUID     string      `json:"duid_kind,omitempty"` // of IPv6: LLT, EN, LL or UUID
}

// HolderNone is the Holder while the keeper holds the address and no switch is there to answer for it.
const HolderNone = "none"

// The values of Settings.Method, as the VM document names them.
const (
	MethodBridge   = "bridge"
	MethodDelegate = "bridge.delegateIp"
)

// Settings are those that the command line and the VM document have set, and the pod's rules that apply to the guest.
type Settings struct {
	Method    string         `json:"method"`             // the connection method
	PinnedMAC vswitch.MAC    `json:"guest_mac,omitzero"` // the only MAC that the guest may use; absent: any
	Mute      bool           `json:"mute"`               // the pod address stays on the pod interface, and the kernel ignores traffic for it
	Keep      []string       `json:"keep,omitempty"`     // kept ports, tcp/PORT or udp/PORT, with ",proxy" or ",from=client" if so
	Rules     []vswitch.Rule `json:"rules,omitempty"`    // of the guest's destinations; the first match decides
	HoldAfter time.Duration  `json:"hold_after_ns"`      // from the loss of the guest until the switch answers for the address
}

// Neighbours are the next hops on the wire.
type Neighbours struct {
	Counts map[string]int `json:"counts"` // by Neighbour.State
	List   []Neighbour    `json:"list"`   // the first 64, in the order of their addresses
}

// A Neighbour is a next hop on the wire.
type Neighbour struct {
	Address netip.Addr  `json:"address"`
	MAC     vswitch.MAC `json:"mac,omitzero"` // absent: not known yet
	State   string      `json:"state"`        // permanent, reachable, stale or incomplete
	Age     float64     `json:"age_seconds"`  // since the last confirmation
}

// The values of Port.State.
const (
	LinkUp           = "up"
	LinkDown         = "down"          // the device does not exist, is down, or has no carrier
	LinkNoHypervisor = "no-hypervisor" // the hypervisor has not opened the other side of the device, or has not connected
)

// A Port has the state and the counters of one port. A frame that is segmented later counts once.
type Port struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	State    string            `json:"state"` // up, down or no-hypervisor
	RxFrames uint64            `json:"rx_frames"`
	RxBytes  uint64            `json:"rx_bytes"`
	TxFrames uint64            `json:"tx_frames"`
	TxBytes  uint64            `json:"tx_bytes"`
	Drops    map[string]uint64 `json:"drops"`
}

// NewPort returns a Port with the present values of c.
func NewPort(name, kind, state string, c *vswitch.Counters) Port {
	return Port{
		Name: name, Kind: kind, State: state,
		RxFrames: c.RxFrames.Load(), RxBytes: c.RxBytes.Load(),
		TxFrames: c.TxFrames.Load(), TxBytes: c.TxBytes.Load(),
		Drops: c.Drops(),
	}
}

// A Station is an entry of the forwarding database of a learning switch. StationsPath is a list of them.
type Station struct {
	MAC    vswitch.MAC `json:"mac"`
	Port   string      `json:"port"`
	Age    float64     `json:"age_seconds"` // since its last frame
	Static bool        `json:"static"`
}

// A Source is the state that Serve serves. Its functions must be safe for concurrent use.
type Source struct {
	Status   func() Status
	Stations func() []Station // nil: no forwarding database
	Owner    int              // user id that may connect, as root and this process's own user may; 0 or less: no other user
	Log      *zap.Logger      // receives refused connections and failures; nil: discarded. Clients can cause any number of them
}

// The resources.
const (
	StatusPath   = "/status"
	StationsPath = "/fdb"
)
