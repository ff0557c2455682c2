// Package control is the unix socket that shows the state of a running podswitch: HTTP with JSON bodies, read-only.
//
// Who may ask is who the socket's mode lets in, and of those root and the process's own user. Whoever asks gets one answer a
// connection, made from a snapshot; a slow one holds nothing up but itself, and only for so long:
//
//	connections at once   maxConns 16; further ones are closed
//	time of each          lifetime 2 s, from the accept to the last byte of the answer
//	request               4 KiB of header, no body, GET alone
//	requests              perSecond 50; further ones get status 429
//
// That is 33 goroutines at most and, with answers of an ordinary size, less than 1 MiB.
package control

import (
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/vswitch"
)

// A Status is what `podswitch status` shows.
type Status struct {
	Holder    string      `json:"holder"`  // kernel, switch or guest; of a plain switch: kernel
	Address   string      `json:"address"` // the pod address with its prefix length; empty: there is none
	Gateway   string      `json:"gateway"` // empty: there is none
	WireMAC   vswitch.MAC `json:"wire_mac"`
	RouterMAC vswitch.MAC `json:"router_mac"`
	MTU       int         `json:"mtu"`   // bytes of IP packet
	Lease     *Lease      `json:"lease"` // null: nobody has one
	Ports     []Port      `json:"ports"`

	KeeperPID int    `json:"keeper_pid,omitempty"` // the privileged process; 0: there is none of its own
	SwitchPID int    `json:"switch_pid,omitempty"` // the process that moves the frames
	Sandbox   string `json:"sandbox,omitempty"`    // what holds the switch, such as "no capabilities, 44 system calls, landlock 7"
	Takeovers int    `json:"takeovers,omitempty"`  // how often another switch has gone on where one stopped
}

// A Lease is the guest's.
type Lease struct {
	MAC      vswitch.MAC `json:"mac"`
	HostName string      `json:"hostname"`
	Expires  time.Time   `json:"expires"`
}

// A Port shows the counters of one port; a frame that is still to be segmented counts once.
type Port struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	RxFrames uint64            `json:"rx_frames"`
	RxBytes  uint64            `json:"rx_bytes"`
	TxFrames uint64            `json:"tx_frames"`
	TxBytes  uint64            `json:"tx_bytes"`
	Drops    map[string]uint64 `json:"drops"`
}

// NewPort takes a snapshot of counters.
func NewPort(name, kind string, c *vswitch.Counters) Port {
	return Port{
		Name: name, Kind: kind,
		RxFrames: c.RxFrames.Load(), RxBytes: c.RxBytes.Load(),
		TxFrames: c.TxFrames.Load(), TxBytes: c.TxBytes.Load(),
		Drops: c.Drops(),
	}
}

// A Station is an entry of a learning switch's forwarding database.
type Station struct {
	MAC    vswitch.MAC `json:"mac"`
	Port   string      `json:"port"`
	Age    float64     `json:"age_seconds"` // since it was last heard
	Static bool        `json:"static"`
}

// A Source tells the state of what runs. Both functions may be called at any time, from any goroutine.
type Source struct {
	Status   func() Status
	Stations func() []Station // nil: there is no forwarding database
	Log      *zap.Logger      // takes who was refused, each kind at most once a minute; nil is silence
}

// The resources of the socket.
const (
	StatusPath   = "/status"
	StationsPath = "/fdb"
)
